"""The list of questions: found, ordered and counted as its address says."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apps.oversight.models import Approval
from tests.factories.approvals import EACH_ITS_JOB, ApprovalFactory

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
RUN = UUID("01900000-0000-7000-8000-00000cd49e28")


def ids(client: Client, query: str) -> list[str]:
    """Every id of a list, page after page."""
    found: list[str] = []
    link = f"/approvals/?{query}"
    while link:
        page = client.get(link).content.decode()
        found += re.findall(r'data-id="([0-9a-f-]+)"', page)
        following = re.search(r'rel="next"\s+href="([^"]+)"', page)
        link = f"/approvals/{html.unescape(following[1])}" if following else ""
    return found


def many(number: int) -> list[Approval]:
    """Questions of which many have the same risk, amount or time."""
    rng, now = random.Random(7), timezone.now()
    with transaction.atomic():
        return [
            ApprovalFactory.create(
                job_slug=EACH_ITS_JOB,
                risk=rng.choice([1, 2, 3, 4]),
                amount_cents=rng.choice([None, 0, 100, -500, 500, 70_000]),
                expires_at=now + timedelta(minutes=rng.choice([5, 5, 9, 60])),
                created_at=now - timedelta(minutes=rng.choice([1, 2, 2, 30])),
            )
            for _ in range(number)
        ]


def amount(row: Approval) -> int:
    return -1 if row.amount_cents is None else abs(row.amount_cents)


ORDERS: dict[str, Callable[[Approval], Any]] = {
    "due": lambda a: (a.expires_at, -a.risk, a.created_at, a.pk),
    "risk": lambda a: (-a.risk, a.expires_at, a.pk),
    "amount": lambda a: (-amount(a), a.expires_at, a.pk),
    "oldest": lambda a: (a.created_at, a.pk),
}


@pytest.mark.parametrize("sort", [*ORDERS, "newest"])
def test_every_order_holds_over_all_pages(client_as: ClientAs, sort: str) -> None:
    made = many(120)
    wanted = sorted(made, key=ORDERS.get(sort, ORDERS["oldest"]), reverse=sort == "newest")

    assert ids(client_as("operator"), f"sort={sort}") == [str(row.pk) for row in wanted]


def test_an_order_that_is_none_and_a_key_of_another_order_are_left_out(
    client_as: ClientAs,
) -> None:
    made, client = many(60), client_as("operator")
    page = client.get("/approvals/?sort=due").content.decode()
    key = html.unescape(re.findall(r"after=([^&\"]+)", page)[-1])

    assert len(ids(client, "sort=nonsense")) == len(made)
    assert len(ids(client, f"sort=amount&after={key}")) == len(made)
    assert len(ids(client, f"tab=decided&sort=risk&after={key}")) == 0


@pytest.mark.parametrize(
    ("typed", "is_found"),
    [
        ("0cd49e28", True),
        ("run 0cd49e28", True),
        (str(RUN), True),
        (str(RUN).upper(), True),
        (RUN.hex, True),
        ("Sofia Q69X3R", True),
        ("Q69X3R plan", True),  # one in the sentence, one in the arguments only
        ("#Q69X3R", True),
        ("sofia_kim_7287", True),
        ("$1,240.00", True),
        ("1240", True),
        ("$1,241.00", False),
        ("Sofia Z7GOZK", False),
        ("100% plan", False),
        ("_", True),
        ("%", False),
        ("\\", False),
    ],
)
def test_search_finds_what_the_page_prints(client_as: ClientAs, typed: str, is_found: bool) -> None:
    approval = ApprovalFactory.create(run_id=RUN)
    ApprovalFactory.create(
        sentence="other", customer="ana", amount_cents=1, arguments={}, tool_name="x", job_slug="y"
    )

    response = client_as("operator").get("/approvals/", {"q": typed})

    found = re.findall(r'data-id="([0-9a-f-]+)"', response.content.decode())
    assert found == ([str(approval.pk)] if is_found else [])


def test_the_numbers_are_those_of_the_filters(client_as: ClientAs) -> None:
    ApprovalFactory.create_batch(3, risk=3)
    ApprovalFactory.create_batch(2, risk=1, domain_slug="retail")
    client = client_as("operator")

    def said(path: str) -> str:
        page = client.get(path).content.decode()
        (part,) = re.findall(r'<p id="counts".*?</p>', page, re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", part).split())

    assert said("/approvals/").startswith("5 waiting")
    assert said("/approvals/?domain=retail").startswith("2 of 5 waiting")
    assert said("/approvals/counts/?domain=retail").startswith("2 of 5 waiting")
    assert said("/approvals/?q=nowhere").startswith("0 of 5 waiting")
    assert "hx-get" in client.get("/approvals/?risk=3").content.decode()
