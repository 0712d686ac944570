"""A draft tried on every recorded decision, in slices that a crash takes back whole."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import factorial, inf
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.policy import selectors, services
from apps.policy.domain.backtest import BacktestTally
from apps.policy.domain.queueing import erlang_c, wait
from apps.policy.models import Backtest, PolicySet
from apps.policy.services import backtesting
from tests.factories.policy import decided, published
from tests.policy.texts import SCHEMA, document, refund

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]


@pytest.fixture
def toys() -> PolicySet:
    return published("toys", text=document(), schema=SCHEMA)


def of_amounts(*amounts: int) -> list[Any]:
    asked = [refund(facts={"amount_cents": amount, "own": True}) for amount in amounts]
    return decided("toys", asked)


def drafted(toys: PolicySet, people: dict[str, Any], text: str) -> None:
    services.save_draft(toys, text=text, revision=0, author=people["admin"])


def finished(toys: PolicySet, people: dict[str, Any], days: int = 7) -> Backtest:
    services.begin_backtest(toys, days=days, actor=people["admin"])
    while backtesting.go_on():
        pass
    found = selectors.backtest_of(toys)
    assert found is not None
    assert found.ended_at is not None
    return found


def test_every_recorded_decision_is_asked_again_in_slices(
    toys: PolicySet, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtesting, "SLICE", 2)
    rows = of_amounts(1_000, 5_001, 6_000, 9_000, 100)
    decided(
        "toys",
        [refund(facts={"amount_cents": 6_000, "own": True}, approvals=frozenset({"operator"}))],
    )
    decided("toys", [refund(tool="look", effect="read")])
    drafted(toys, people, document(most_cents=6_000))

    found = finished(toys, people)

    tally = BacktestTally.from_json(found.tally)
    assert (found.done, found.total, found.trouble) == (5, 5, "")
    assert tally.counts == {"permit→permit": 2, "hold→permit": 2, "hold→hold": 1}
    assert (tally.changed, tally.newly("approved"), tally.newly("held")) == (2, 2, 0)
    assert tally.first is not None
    assert tally.first["decision"] == str(rows[1].pk)
    assert [e["decision"] for e in tally.examples["hold→permit"]] == [
        str(rows[1].pk),
        str(rows[2].pk),
    ]
    hour = rows[0].at.hour
    assert tally.hours["operator"][hour] == [3, 1]


def test_a_crash_takes_back_a_slice_and_its_count_together(
    toys: PolicySet, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtesting, "SLICE", 2)
    of_amounts(1, 2, 3, 6_000, 5)
    drafted(toys, people, document(most_cents=9_000))
    services.begin_backtest(toys, days=1, actor=people["admin"])
    random, real = Random(3), BacktestTally.add

    def add(self: BacktestTally, one: Any) -> None:
        if random.random() < 0.3:
            raise RuntimeError("power is gone")
        real(self, one)

    monkeypatch.setattr(BacktestTally, "add", add)
    crashes = 0
    for _ in range(200):
        try:
            if not backtesting.go_on():
                break
        except RuntimeError:
            crashes += 1
    found = selectors.backtest_of(toys)

    assert found is not None
    assert crashes
    assert found.done == 5
    assert found.tally["counts"] == {"permit→permit": 4, "hold→permit": 1}


def test_what_can_not_be_replayed_is_counted_with_the_reason(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    of_amounts(1, 9_000)
    with connection.cursor() as cursor:
        insert = """INSERT INTO policy_decision (id, at, policy_version_id, run_id, step_id, action,
            answer, rules, roles, votes, risk, errors, request, request_digest)
            SELECT gen_random_uuid(), clock_timestamp(), policy_version_id, run_id, step_id, action,
            %s, rules, roles, votes, risk, errors, %s::jsonb || request - %s, request_digest
            FROM policy_decision WHERE answer = %s"""
        cursor.execute(insert, ["deny", '{"tool": "fly"}', "tool", "permit"])
        cursor.execute(insert, ["permit", "{}", "", "hold"])
        cursor.execute(insert, ["hold", '{"facts": 5}', "facts", "deny"])
    drafted(toys, people, document(most_cents=6_000))

    tally = BacktestTally.from_json(finished(toys, people).tally)

    assert tally.missed == {
        backtesting.UNREADABLE: 1,
        backtesting.GONE: 1,
        backtesting.OTHERWISE: 1,
    }
    assert tally.counts == {"permit→permit": 1, "hold→hold": 1}


def test_only_one_at_a_time_by_an_admin_of_a_draft_without_problems(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match="no draft"):
        services.begin_backtest(toys, days=1, actor=people["admin"])
    drafted(toys, people, document(most_cents=6_000))
    with pytest.raises(NotPermittedError):
        services.begin_backtest(toys, days=1, actor=people["operator"])
    for days in (0, 91):
        with pytest.raises(InvalidInputError, match="1 to 90"):
            services.begin_backtest(toys, days=days, actor=people["admin"])
    services.begin_backtest(toys, days=1, actor=people["admin"])
    with pytest.raises(ConflictError, match="under way"):
        services.begin_backtest(toys, days=1, actor=people["admin"])


def test_one_whose_text_no_longer_fits_ends_and_says_why(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    drafted(toys, people, document(most_cents=6_000))
    services.begin_backtest(toys, days=1, actor=people["admin"])
    Backtest.objects.update(text="policy: toys\n")

    backtesting.go_on()

    found = selectors.backtest_of(toys)
    assert found is not None
    assert found.ended_at is not None
    assert "Fix" in found.trouble
    assert backtesting.go_on() == 0


def test_the_page_shows_progress_what_changes_and_who_waits(
    toys: PolicySet, people: dict[str, Any], client_as: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = of_amounts(1_000, 5_001, 6_000)
    drafted(toys, people, document(most_cents=500))
    client, start = client_as("admin"), reverse("policy:backtest_start", args=["toys"])
    shown = reverse("policy:backtest", args=["toys"])

    begun = client.post(start, {"days": "1"}, HTTP_HX_REQUEST="true").content.decode()
    again = client.post(start, {"days": "1"}, HTTP_HX_REQUEST="true")
    assert "0 of" in begun
    assert 'hx-trigger="every 2s"' in begun
    assert (again.status_code, "under way" in again.content.decode()) == (409, True)
    backtesting.go_on()
    page = " ".join(client.get(shown).content.decode().split())
    assert "3 decisions of 1 day were asked again" in page
    assert "every 2s" not in page
    assert "1 newly held for a person" in page
    assert reverse("runs:detail", args=[rows[0].run_id]) in page
    assert "Erlang C" in page
    assert 'data-chart="held-operator"' in page
    crowded = client.get(shown, {"people": "1", "minutes": "60", "window": "1"}).content.decode()
    assert "the queue grows" in crowded
    assert client_as("operator").post(start, {"days": "1"}).status_code == 403
    assert client_as("operator").get(shown).status_code == 200


@pytest.mark.parametrize(
    ("load", "people", "probability"),
    [(0.5, 1, 0.5), (2.0, 3, 0.4444), (4.0, 5, 0.5541), (10.0, 14, 0.1741)],
)
def test_erlang_c_is_what_its_tables_say(load: float, people: int, probability: float) -> None:
    assert erlang_c(load, people) == pytest.approx(probability, abs=2e-3)


def test_erlang_c_bears_many_people() -> None:
    """Against the definition, in whole numbers."""
    load, people = Fraction(150), 160
    terms = [load**n / factorial(n) for n in range(people + 1)]
    last = terms[-1] * people / (people - load)

    assert erlang_c(150.0, 160) == pytest.approx(float(last / (sum(terms[:-1]) + last)))


def test_the_formula_waits_as_a_queue_does() -> None:
    """Simulated: requests at random, the first person who is free takes the next."""
    random, free, waits, now = Random(5), [0.0] * 3, [], 0.0
    for _ in range(60_000):
        now += random.expovariate(40 / 3600)
        first = min(range(3), key=free.__getitem__)
        begins = max(now, free[first])
        waits.append(begins - now)
        free[first] = begins + random.expovariate(1 / 180)
    expected = wait(40, 3, 3, 300)

    assert sum(waits) / len(waits) == pytest.approx(expected.mean_s, rel=0.12)
    assert sum(w > 300 for w in waits) / len(waits) == pytest.approx(expected.late, abs=0.02)
    assert expected.busy == pytest.approx(2 / 3)


def test_more_than_people_can_do_waits_without_end() -> None:
    assert wait(61, 1, 1, 60).mean_s == inf
    assert wait(10, 0, 1, 60).late == 1.0
    assert wait(0, 1, 1, 60).mean_s == 0.0
