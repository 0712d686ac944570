"""Bugs to plant, so that it is known that the simulation would find them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from apps.calls.domain import budget, retry
from apps.runs.domain import suspicion, undo
from apps.runs.domain.states import State
from tests.simulation import barriers, engine, store, worker

Patch = tuple[Any, str, Any]


def _no_fence() -> list[Patch]:
    return [(store.Store, "ours", lambda self, step, token: step.state is State.RUNNING)]


def _attempt_in_key() -> list[Patch]:
    def key_sent(self: worker.Worker, act: Any) -> str:
        return f"{act.step.key}{act.number}" if act.step.mutates else ""

    return [(worker.Worker, "key_sent", key_sent)]


def _retries_unkeyed() -> list[Patch]:
    def decide(ending: Any, **terms: Any) -> retry.RetryDecision:
        return retry.decide(ending, **(terms | {"repeat_safe": True}))

    return [(engine, "decide", decide)]


def _requeues_lost_calls() -> list[Patch]:
    def requeue(**step: Any) -> suspicion.Fate:
        return whole(**(step | {"intent_open": False}))

    whole = suspicion.fate
    return [(suspicion, "fate", requeue)]


def _sends_before_the_commit() -> list[Patch]:
    def start(self: engine.Engine, step: Any, token: int, actions: list[Any]) -> None:
        actions.append(engine.Act(step, token, step.attempts_made + 1))

    return [(engine.Engine, "_start", start)]


def _approval_serves_twice() -> list[Patch]:
    return [(engine.Engine, "_consume", lambda self, given: given.state != "void")]


def _forgets_receipts() -> list[Patch]:
    return [(store.Store, "add_receipt", lambda self, step, evidence: None)]


def _undoes_forwards() -> list[Patch]:
    def first(self: undo.UndoPlan) -> Any:
        return next(iter(reversed(self.open)), None)

    return [(undo.UndoPlan, "next", property(first))]


def _any_number_of_probes() -> list[Patch]:
    return [(barriers.breaker, "room", lambda out: 100)]


def _ignores_breakers() -> list[Patch]:
    return [(barriers.Bounds, "part", lambda self, steps: (list(steps), []))]


def _spends_what_it_has_not() -> list[Patch]:
    def settle(tokens: float, *, costs: Any, successes: int) -> tuple[float, list[bool]]:
        left = min(budget.CAPACITY, tokens + successes) - sum(costs)
        return left, [True] * len(costs)

    return [(barriers.budget, "settle", settle)]


def _leases_never_expire() -> list[Patch]:
    return [(store.Store, "expire_leases", lambda self, evidence=None: [])]


def _begins_too_late() -> list[Patch]:
    def waits(self: store.Store, step: Any) -> bool:
        return False

    return [(store.Store, "is_unsent", waits), (store.Store, "drop_late", waits)]


def _gives_up_too_early() -> list[Patch]:
    def settle(self: engine.Engine, ends: Any) -> Any:
        kept = whole(self, ends)
        for step in kept:
            self.store.free_intent(step)
        return kept

    whole = engine.Engine._settle
    return [(engine.Engine, "_settle", settle)]


def _lets_the_unknown_through() -> list[Patch]:
    def ask(self: engine.Engine, step: Any) -> Any:
        answer = whole(self, step)
        return ("permit", None) if step.is_unknown and answer[0] == "hold" else answer

    whole = engine.Engine._ask
    return [(engine.Engine, "_ask", ask)]


def _asks_in_anothers_name() -> list[Patch]:
    def keep(self: engine.Engine, works: Any) -> Any:
        return works

    return [(engine.Engine, "_keep", keep)]


def _probes_while_open() -> list[Patch]:
    return [(barriers.breaker, "is_probed", lambda one, now: True),
            (barriers.breaker, "half_opened", lambda one: one),
            (barriers.barrier, "blocked", lambda found, **step: None)]  # fmt: skip


BUGS: dict[str, tuple[Callable[[], list[Patch]], str]] = {
    "the fencing token is ignored": (_no_fence, "fence"),
    "the key holds the attempt's number": (_attempt_in_key, "I1"),
    "unkeyed calls are tried again": (_retries_unkeyed, "I1"),
    "lost unkeyed calls are queued": (_requeues_lost_calls, "I1"),
    "calls are sent before they are written down": (_sends_before_the_commit, "I2"),
    "any approval will do": (_approval_serves_twice, "I2"),
    "receipts are forgotten": (_forgets_receipts, "I3"),
    "what was done first is undone first": (_undoes_forwards, "undone"),
    "any number of probes is sent": (_any_number_of_probes, "breaker"),
    "breakers and stops hold nothing": (_ignores_breakers, "breaker"),
    "an open breaker is always probed": (_probes_while_open, "breaker"),
    "budgets are overdrawn": (_spends_what_it_has_not, "budget"),
    "leases never run out": (_leases_never_expire, "I5"),
    "a retry begins after its run was cancelled": (_begins_too_late, "I10"),
    "whatever ended may be made again": (_gives_up_too_early, "I1"),
    "what nobody knows is let through": (_lets_the_unknown_through, "I2"),
    "a fenced worker asks people": (_asks_in_anothers_name, "ask"),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug is there, for as long as this lasts."""
    patches = [patch.object(*one) for one in BUGS[name][0]()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in reversed(patches):
            one.stop()
