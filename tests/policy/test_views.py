from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.audit.domain.actors import Actor
from apps.kernel.ids import new_id
from apps.policy.domain.request import Request
from apps.policy.models import PolicyDraft, PolicySet, PolicyVersion
from apps.policy.services import PolicyQuery, decide_batch, publish
from tests.factories.catalog import apply_toys, policy_text

As = Callable[[str], Client]
TEXT = policy_text()
WEAKER = policy_text(refund_cents=100_000)
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def toys(tmp_path: Path, db: None) -> PolicySet:
    apply_toys(tmp_path)
    return PolicySet.objects.get()


def url(name: str, *args: Any) -> str:
    return reverse(f"policy:{name}", args=args)


def text_of(response: Any) -> str:
    return response.content.decode()


def decide(cents: int) -> None:
    """One recorded decision about a refund."""
    request = Request(
        agent="toys-reference",
        agent_kind="reference",
        domain="toys",
        tool="refund",
        effect="irreversible",
        listed=True,
        facts={"amount_cents": cents, "owner": "kim"},
    )
    with transaction.atomic():
        decide_batch([PolicyQuery(new_id(), new_id(), "toys", request)])


def published_before_there_were_bounds(toys: PolicySet, rules: str) -> None:
    """A version of an older release, or one that somebody wrote past the product."""
    indented = "".join(f"  {line}\n" for line in rules.splitlines())
    text = f"policy: toys\nname: Toy desk\npolicies: |\n{indented}"
    old = toys.versions.get(number=1)
    PolicyVersion.objects.create(
        policy_set=toys, number=2, text=text, digest="2" * 64, schema=old.schema, limits=old.limits
    )
    PolicySet.objects.filter(pk=toys.pk).update(current_number=2)


PERMIT = "permit(principal, action, resource)"


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (f"{PERMIT};\n// {'x' * 70_000}", "Line 4: The text is longer than 64 kB."),
        (
            f"{PERMIT};\n{PERMIT} when {{ {'(' * 70}true{')' * 70} }};",
            "Line 5: It is nested more than 64 levels deep.",
        ),
        (f"{PERMIT} when {{ {' && '.join(['true'] * 490)} }};", "too long a chain"),
        (f"{PERMIT} when {{ <b>", "Line 4: "),
        ("// nothing", "There is no rule in it."),
    ],
)
def test_a_text_whose_rules_cant_be_shown_says_why(
    toys: PolicySet, client_as: As, rules: str, says: str
) -> None:
    published_before_there_were_bounds(toys, rules)
    client = client_as("operator")

    page = text_of(client.get(url("detail", "toys")))

    assert "The rules of v2 can't be shown, and every step is denied under it" in page
    assert says in page
    assert "<b>" not in page.replace("<body", "")
    assert "What people are told" not in page
    assert "no rules: denies all" in text_of(client.get(url("index")))
    assert client.get(url("version", "toys", 2)).status_code == 200
    admin = client_as("admin")
    assert admin.get(url("draft", "toys")).status_code == 200
    assert admin.post(url("roll_back", "toys", 1), {"note": "mend it"}).status_code == 302
    assert "New " in text_of(admin.get(url("draft", "toys")))


@pytest.mark.parametrize("role", ["operator", "product_manager", "auditor", "admin"])
@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("index", [], "Toy desk"),
        ("detail", ["toys"], "Money above the limit leaves only when a person agrees"),
        ("version", ["toys", 1], "The text"),
        ("draft", ["toys"], "refund_cents"),
    ],
)
def test_everybody_reads_policies(
    toys: PolicySet, client_as: As, role: str, name: str, args: list[Any], says: str
) -> None:
    response = client_as(role).get(url(name, *args))

    assert response.status_code == 200
    assert says in text_of(response)


def test_the_page_lists_what_may_go_without_facts(toys: PolicySet, client_as: As) -> None:
    assert "May go without facts" not in text_of(client_as("operator").get(url("detail", "toys")))
    text = TEXT.replace("policies: |", "may_go_without_facts:\n  refund: Coins only.\npolicies: |")
    with transaction.atomic():
        publish(toys, text=text, schema=PolicyVersion.objects.get().schema, actor=Actor.user("x"))

    page = text_of(client_as("operator").get(url("detail", "toys")))

    assert "May go without facts" in page
    assert "Coins only." in page


@pytest.mark.parametrize(
    "name", ["save", "check", "submit", "publish", "withdraw", "discard", "rebase"]
)
def test_only_admins_write(toys: PolicySet, client_as: As, name: str) -> None:
    for role in ("operator", "product_manager", "auditor"):
        response = client_as(role).post(url(f"draft_{name}", "toys"), {"text": WEAKER})
        assert response.status_code == 403
    assert not PolicyDraft.objects.exists()


def test_an_empty_list_says_what_that_means(client_as: As) -> None:
    assert "Without one every step is denied" in text_of(client_as("admin").get(url("index")))


def test_what_is_not_there_is_not_found(toys: PolicySet, client_as: As) -> None:
    client = client_as("admin")

    assert client.get(url("detail", "nobody")).status_code == 404
    assert client.get(url("version", "toys", 7)).status_code == 404


def test_a_mistake_in_cedar_is_named_with_its_line(toys: PolicySet, client_as: As) -> None:
    text = TEXT.replace("amount_cents >", "amount_cent >")

    said = client_as("admin").post(
        url("draft_check", "toys"), {"text": text, "revision": 0}, **JSON
    )

    problems = said.json()["problems"]
    assert {text.splitlines()[p["line"] - 1].strip()[:7] for p in problems} == {"context"}
    assert not PolicyDraft.objects.exists()


def test_recorded_decisions_are_asked_again(toys: PolicySet, client_as: As) -> None:
    for cents in (100, 6_000, 7_000, 200_000):
        decide(cents)

    said = client_as("admin").post(
        url("draft_check", "toys"), {"text": WEAKER, "revision": 0}, **JSON
    )

    html = said.json()["html"]
    assert "2 steps would no longer ask a person." in html
    assert "Limit refund_cents: 5,000 → 100,000" in html
    assert "weaker control" in html
    page = text_of(client_as("operator").get(url("detail", "toys")))
    assert '<td class="r" data-label="Decided 7 d">3</td>' in page


def test_a_limit_is_changed_by_its_field(toys: PolicySet, client_as: As) -> None:
    body = {
        "text": TEXT,
        "revision": 0,
        "f:limits.refund_cents": "100000",
        "i:limits.refund_cents": "5000",
    }

    client_as("admin").post(url("draft_save", "toys"), body)

    assert PolicyDraft.objects.get().text == WEAKER


def test_two_admins_publish_and_roll_back(toys: PolicySet, client_as: As) -> None:
    first, second, third = client_as("admin"), client_as("admin2"), client_as("admin3")
    body = {"text": WEAKER, "revision": 0, "note": "the desk asks too often"}
    assert first.post(url("draft_submit", "toys"), body).status_code == 302
    seen = {"revision": PolicyDraft.objects.get().revision, "note": "Agreed"}

    assert first.post(url("draft_publish", "toys"), seen).status_code == 403
    assert second.post(url("draft_publish", "toys"), seen).status_code == 302
    assert third.post(url("draft_publish", "toys"), seen).status_code == 302

    assert PolicyVersion.objects.filter(number=2, limits={"refund_cents": 100_000}).exists()
    back = {"note": "too many refunds"}
    assert first.post(url("roll_back", "toys", 1), back).status_code == 302
    assert PolicyDraft.objects.get().text == TEXT
    assert "Roll back to v1" in text_of(second.get(url("draft", "toys")))
    assert "5,000 → 100,000" in text_of(second.get(url("version", "toys", 2)))


def test_a_conflict_keeps_what_was_typed(toys: PolicySet, client_as: As) -> None:
    client_as("admin").post(url("draft_save", "toys"), {"text": WEAKER, "revision": 0})

    plain = client_as("admin2").post(url("draft_save", "toys"), {"text": "mine", "revision": 0})

    assert plain.status_code == 409
    assert "mine</textarea>" in text_of(plain)
    assert "admin saved this draft meanwhile" in text_of(plain)
