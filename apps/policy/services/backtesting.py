"""Backtests: every recorded decision of some days asked again under a draft's text.

A duty does the work in slices: each takes what comes next in the order of time, counts, and moves
the place on, in one transaction. So a crash takes back a slice and its count together, memory is
that of one slice whatever the number of days, and the page can tell how far it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from apps.audit.services import record
from apps.documents import services as documents
from apps.kernel.errors import ConflictError, InvalidInputError, TowerError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.policy import selectors
from apps.policy.adapters import Evaluator
from apps.policy.domain.backtest import BacktestTally, Replayed
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.request import Request
from apps.policy.models import Backtest, Decision, PolicySet
from apps.policy.services.drafting import POLICIES, schema_of
from apps.policy.services.publishing import checked
from apps.policy.services.reading import evaluator
from apps.policy.services.simulating import declared_then, request_of

MOST_DAYS = 90
SLICE = 500  # decisions: a tenth of a second of evaluation
ROUND_S = 1.5  # of work in one round of the duties
KEPT = 20  # backtests of one policy set
UNREADABLE = "Its question can't be read"
GONE = "Its tool is none of the domain's any more"
OTHERWISE = "The version that decided it would answer otherwise today"


@command
def begin_backtest(policy_set: PolicySet, *, days: int, actor: Any) -> Backtest:
    """Have the draft asked about every decision of the last ``days``. Raises InvalidInputError for
    a draft with problems or an odd number of days, ConflictError while one is under way."""
    documents.require(POLICIES, actor)
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInputError(f"Days are a number from 1 to {MOST_DAYS}.", field="days")
    draft = selectors.draft_of(policy_set)
    if draft is None:
        raise InvalidInputError("There is no draft to be asked.", field="days")
    schema = schema_of(policy_set)
    checked(draft.text, schema, policy_set.slug, policy_set.domain_slug)
    now = database_now()
    # Of two who begin at once the unique index (one that is open, of a set) lets one in.
    if Backtest.objects.filter(policy_set=policy_set, ended_at=None).exists():
        raise ConflictError("A backtest of this policy is under way.", code="backtest_open")
    since = now - timedelta(days=days)
    made = Backtest.objects.create(
        policy_set=policy_set,
        text=draft.text,
        schema=dict(schema),
        days=days,
        revision=draft.revision,
        asked_by=actor,
        since=since,
        until=now,
        place_at=since,
        total=selectors.decisions_between(policy_set, since, now).count(),
        tally=BacktestTally().to_json(),
    )
    kept = Backtest.objects.filter(policy_set=policy_set).order_by("-id")[KEPT:]
    Backtest.objects.filter(pk__in=[b.pk for b in kept]).delete()
    record(
        kind="policy.backtest_started",
        actor=actor.actor,
        subject_type="policy",
        subject_id=policy_set.slug,
        payload={"days": days, "revision": draft.revision},
    )
    return made


def go_on() -> int:
    """Work on the backtests that are under way, for a moment: a duty. Returns how many slices were
    done."""
    done, until = 0, time.monotonic() + ROUND_S
    while time.monotonic() < until and _slice():
        done += 1
    return done


@command
def _slice() -> bool:
    """The next slice of the oldest one. False when there is nothing to do."""
    # Two processes that think they hold the duties: the second leaves this row to the first.
    open_ones = Backtest.objects.select_for_update(skip_locked=True, of=("self",))
    found = open_ones.select_related("policy_set").filter(ended_at=None).order_by("id").first()
    if found is None:
        return False
    try:
        _work(found)
    except TowerError as error:
        found.trouble, found.ended_at = str(error)[:400], database_now()
        found.save(update_fields=["trouble", "ended_at"])
    return True


@participant
def _work(found: Backtest) -> None:
    rows = selectors.decisions_after(found, SLICE)
    tally = BacktestTally.from_json(found.tally)
    for one in _replayed(found, rows):
        tally.add(one)
    found.tally, found.done = tally.to_json(), found.done + len(rows)
    if rows:
        found.place_at, found.place_id = rows[-1].at, rows[-1].pk
    if len(rows) < SLICE:
        found.ended_at = Now()
    found.save(update_fields=["tally", "done", "place_at", "place_id", "ended_at"])


def _replayed(found: Backtest, rows: Sequence[Decision]) -> Iterator[Replayed]:
    policy_set = found.policy_set
    document = checked(found.text, found.schema, policy_set.slug, policy_set.domain_slug)
    exempt = document.may_go_without_facts
    judge = Evaluator(document.policies, document.limits, found.schema, exempt)
    declared = declared_then(rows)
    known = {row.pk: request for row in rows if (request := _request(row, declared)) is not None}
    asked = [row for row in rows if row.pk in known and known[row.pk].tool in judge.tools]
    answers = dict(
        zip(
            [row.pk for row in asked],
            judge.evaluate_batch([known[row.pk] for row in asked]),
            strict=True,
        )
    )
    moved = [row for row in asked if answers[row.pk].answer.value != row.answer]
    otherwise = _otherwise(moved, known)
    for row in rows:
        why = _why_not(row, known, answers, otherwise)
        yield _told(row, answers.get(row.pk), why)


def _request(row: Decision, declared: Mapping[int, Any]) -> Request | None:
    """The question, as far as it is one: what is kept may be of another release."""
    try:
        request = request_of(row, declared)
    except (TypeError, ValueError, AttributeError, KeyError):
        return None
    groups = (request.facts, request.conversation, request.run, request.arguments)
    names = (request.agent, request.tool, request.domain, request.effect)
    is_read = all(isinstance(group, Mapping) for group in groups)
    return request if is_read and all(isinstance(name, str) for name in names) else None


def _otherwise(moved: Sequence[Decision], known: Mapping[Any, Request]) -> set[Any]:
    """Those that their own version answers otherwise than it did: no work of the draft's."""
    by_version: dict[int, list[Decision]] = {}
    for row in moved:
        by_version.setdefault(row.policy_version_id, []).append(row)
    found = set()
    for rows in by_version.values():
        verdicts = evaluator(rows[0].policy_version).evaluate_batch([known[r.pk] for r in rows])
        found |= {r.pk for r, v in zip(rows, verdicts, strict=True) if v.answer.value != r.answer}
    return found


def _why_not(
    row: Decision, known: Mapping[Any, Request], answers: Mapping[Any, Any], otherwise: set[Any]
) -> str:
    if row.pk not in known:
        return UNREADABLE
    if row.pk not in answers:
        return GONE
    return OTHERWISE if row.pk in otherwise else ""


def _told(row: Decision, verdict: PolicyDecision | None, why: str) -> Replayed:
    roles = row.roles if isinstance(row.roles, list) else []
    return Replayed(
        decision=str(row.pk),
        run=str(row.run_id),
        step=str(row.step_id),
        at=row.at,
        action=row.action,
        before=row.answer,
        roles_before=tuple(str(role) for role in roles),
        after=verdict.answer.value if verdict else "",
        roles_after=verdict.roles if verdict else (),
        rules=tuple(str(rule["id"]) for rule in verdict.rules) if verdict else (),
        why=why,
    )
