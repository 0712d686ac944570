"""Many requests of one job at once are one row of the queue, and none of them is lost in it."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.oversight.domain.storms import MOST, WITHIN, StormKey, key_of
from apps.oversight.forms import filters_from
from apps.oversight.models import Approval
from apps.oversight.selectors import Filters, counts, queue, storms
from tests.factories.approvals import ApprovalFactory

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def asked(moments: Iterable[datetime], job: str = "storming", **more: Any) -> list[Approval]:
    """Questions of one job, asked at these moments."""
    made = [ApprovalFactory.build(job_slug=job, created_at=at, **more) for at in moments]
    return Approval.objects.bulk_create(made)


def burst(number: int, job: str = "storming", *, since: datetime | None = None, **more: Any) -> Any:
    first = since or timezone.now() - timedelta(minutes=4)
    return asked((first + timedelta(seconds=5 * i) for i in range(number)), job, **more)


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def beginning(moments: Sequence[datetime]) -> datetime | None:
    """The rule, word by word: the first moment from which more than so many were asked in time."""
    inside = (sum(at <= other <= at + WITHIN for other in moments) for at in sorted(moments))
    return next((at for at, n in zip(sorted(moments), inside, strict=True) if n > MOST), None)


@pytest.mark.parametrize("seed", range(25))
def test_the_database_finds_what_the_rule_says(people: People, seed: int) -> None:
    rng, now = random.Random(seed), timezone.now().replace(microsecond=0)
    wanted, made = {}, dict[str, list[datetime]]()
    for job in ("one", "two", "three"):
        span = rng.choice([200, 290, 310, 900, 4000])
        made[job] = [
            now - timedelta(seconds=rng.randint(0, span)) for _ in range(rng.choice([15, 21, 45]))
        ]
        asked(made[job], job)
        if since := beginning(made[job]):
            wanted[job] = (since, sum(at >= since for at in made[job]))

    found = storms.storms(Filters(), people["operator"])

    assert {s.key.job: (s.key.since, s.total) for s in found} == wanted


@pytest.mark.parametrize(
    ("number", "seconds", "is_one"),
    [(20, 1, False), (21, 1, True), (21, 300, True), (21, 301, False)],
)
def test_it_takes_more_than_twenty_within_five_minutes(
    people: People, number: int, seconds: int, is_one: bool
) -> None:
    first = timezone.now() - HOUR
    step = timedelta(seconds=seconds) / (number - 1)
    asked(first + i * step for i in range(number))

    assert bool(storms.storms(Filters(), people["operator"])) == is_one


def test_every_request_stands_in_the_list_or_is_counted_in_one_row(people: People) -> None:
    user, now = people["operator"], timezone.now()
    burst(30, risk=2)
    burst(25, "other", risk=1)
    urgent = burst(3, risk=4, expires_at=now + timedelta(minutes=3))
    late = burst(2, risk=3, expires_at=now - HOUR, ends_at=now + HOUR)
    burst(12, "calm")
    before = asked([now - 3 * HOUR])
    ApprovalFactory.create(job_slug="storming", state="rejected")

    found = storms.storms(Filters(), user)
    rows, following = queue(Filters(), user, but=storms.these([s.key for s in found]))

    assert following is None
    assert sum(s.total for s in found) + len(rows) == counts(user, Filters())["total"] == 73
    first, second = found
    assert (first.key.job, first.total, first.worst) == ("storming", 35, 4)
    assert first.by_risk == ((4, 3), (3, 2), (2, 30))
    assert (first.overdue, first.soon) == (len(late), len(urgent))
    assert first.next_due == min(row.expires_at for row in late)
    assert (second.key.job, second.total, second.by_risk) == ("other", 25, ((1, 25),))
    assert {row.job_slug for row in rows if row.pk != before[0].pk} == {"calm"}
    assert before[0].pk in {row.pk for row in rows}, "what was asked before it stands by itself"


def test_it_follows_the_filters_as_the_counters_do(people: People) -> None:
    user = people["operator"]
    burst(25, risk=1)
    burst(3, risk=4)

    assert [s.total for s in storms.storms(Filters(), user)] == [28]
    assert storms.storms(Filters(risk=3), user) == []
    assert storms.storms(Filters(tab="decided"), user) == []
    found = storms.storms(Filters(q="Sofia"), user)
    assert [s.total for s in found] == [28]


def test_the_page_shows_one_row_and_opens_it(client_as: ClientAs) -> None:
    burst(31, sentence="Cancel it")
    ApprovalFactory.create(sentence="By itself")
    client = client_as("operator")

    page = client.get("/approvals/")

    assert "31 requests of storming since" in text(page)
    assert text(page).count("Cancel it") == 0
    assert "By itself" in text(page)
    assert "<strong>32</strong> waiting" in text(page)
    link = re.search(r'class="storm" data-storm data-id="" data-url="([^"]+)"', text(page))
    assert link
    opened = client.get("/approvals/" + html.unescape(link[1]))
    assert text(opened).count('class="sentence isolate"') == 31
    assert "By itself" not in text(opened)
    assert "<strong>31</strong> of 32 waiting" in text(opened)
    assert "31 requests of storming since" in text(opened)


def test_its_numbers_are_those_of_now(client_as: ClientAs) -> None:
    made = burst(22)
    client = client_as("operator")
    link = re.search(r'hx-get="(/approvals/storm/[^"]+)"', text(client.get("/approvals/")))
    assert link
    Approval.objects.filter(pk__in=[a.pk for a in made[:20]]).update(state="rejected")

    assert "2 requests of storming since" in text(client.get(html.unescape(link[1])))
    page = text(client.get("/approvals/"))
    assert "of storming since" not in page, "so few stand by themselves again"
    assert page.count('class="sentence isolate"') == 2


def test_pages_of_the_list_go_on_without_what_is_folded(client_as: ClientAs) -> None:
    burst(40)
    for i in range(60):
        ApprovalFactory.create(job_slug=f"job-{i}")
    client, link, found = client_as("operator"), "/approvals/", list[str]()
    while link:
        page = client.get(link).content.decode()
        found += re.findall(r'data-id="([0-9a-f-]+)"', page)
        following = re.search(r'rel="next"\s+href="([^"]+)"', page)
        link = f"/approvals/{html.unescape(following[1])}" if following else ""
    assert len(found) == len(set(found)) == 60


@pytest.mark.parametrize(("who", "may"), [("operator", True), ("admin", True), ("auditor", False)])
def test_whoever_may_stop_a_job_is_led_there(client_as: ClientAs, who: str, may: bool) -> None:
    burst(21)
    page = client_as(who).get("/approvals/").content.decode()
    assert ("/stops/?what=job%20storming#preview" in page) == may


@pytest.mark.parametrize(
    "storm",
    ["", "x", "job~", "~2026-01-01T00:00:00Z", "job~never", "a\x00b~2026-01-01", "ü~2026-01-01"],
)
def test_an_address_that_names_none_opens_none(client_as: ClientAs, storm: str) -> None:
    ApprovalFactory.create()
    client = client_as("operator")

    assert key_of(storm) is None
    assert client.get("/approvals/", {"storm": storm}).content.count(b"sentence isolate") == 1
    assert client.get("/approvals/storm/", {"storm": storm}).status_code == 404


def test_a_key_reads_as_it_was_written() -> None:
    key = StormKey("a-job", timezone.now())
    assert key_of(key.text) == key
    assert filters_from({"storm": key.text.replace("+", " ")}).storm == key
    assert filters_from({"storm": key.text, "tab": "decided"}).storm is None
