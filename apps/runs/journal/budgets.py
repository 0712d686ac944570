"""Retry budgets in the database, one row a tool that isn't at its full budget.

Nothing is written or locked where nothing failed lately: which tools have a budget that isn't full
is looked at once a second in each process. Rows are locked in order of name, before any breaker's.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from apps.calls.domain import budget
from apps.kernel.transactions import participant
from apps.runs.domain.rows import Retry
from apps.runs.journal import execute, fetch

LOW_KEPT_S = 1.0

_low: tuple[float, frozenset[str]] = (-LOW_KEPT_S, frozenset())


def forget_low() -> None:
    """Look anew at the next commit of this process."""
    global _low  # a small cache of the process
    _low = (-LOW_KEPT_S, frozenset())


def _not_full() -> frozenset[str]:
    global _low  # a small cache of the process
    read_at, names = _low
    if time.monotonic() - read_at >= LOW_KEPT_S:
        rows = fetch("SELECT tool_name FROM runs_budget WHERE tokens < %s", [budget.CAPACITY])
        names = frozenset(row[0] for row in rows)
        _low = (time.monotonic(), names)
    return names


@participant
def ration(requeues: Sequence[Retry], succeeded: Iterable[str]) -> list[Retry]:
    """Pay for retries, and pay in for the tools of the calls that went well. A retry that its
    tool's budget doesn't cover comes back with a longer delay and with what it waits for."""
    earned = Counter(succeeded)
    names = {r.tool for r in requeues if r.cost} | (_not_full() & earned.keys())
    if not names:
        return list(requeues)
    tokens = _locked(sorted(names))
    rows, refused = [], Counter[str]()
    for name in names:
        mine = [r for r in requeues if r.tool == name]
        costs = [r.cost for r in mine]
        left, allowed = budget.settle(tokens[name], costs=costs, successes=earned[name])
        tokens[name] = left
        refused[name] = allowed.count(False)
        rows += [r if ok else _put_off(r) for r, ok in zip(mine, allowed, strict=True)]
    rows += [r for r in requeues if r.tool not in names]
    _write(tokens, refused)
    return rows


def _put_off(row: Retry) -> Retry:
    jitter = random.random()  # noqa: S311  # spreads load, guards nothing
    wait_s = max(row.delay_s, budget.later_s(row.cap_s, jitter))
    return replace(row, delay_s=wait_s, waits_for=budget.words(row.tool)[:160])


def _locked(names: Sequence[str]) -> dict[str, float]:
    # Of two workers that meet a tool first one inserts its row; both then wait for it in one order
    # of names, so that what one spends the other sees, and neither waits for the other's.
    execute(
        "INSERT INTO runs_budget (tool_name, tokens, refused, changed_at)"
        " SELECT n, %s, 0, clock_timestamp() FROM unnest(%s::text[]) AS n"
        " ON CONFLICT (tool_name) DO NOTHING",
        [budget.CAPACITY, names],
    )
    sql = "SELECT tool_name, tokens FROM runs_budget WHERE tool_name = ANY(%s)"
    rows = fetch(f"{sql} ORDER BY tool_name FOR UPDATE", [names])
    return {row[0]: row[1] for row in rows}


def _write(tokens: Mapping[str, float], refused: Mapping[str, int]) -> None:
    names = sorted(tokens)
    execute(
        "UPDATE runs_budget b SET tokens = v.tokens, refused = b.refused + v.refused,"
        " changed_at = clock_timestamp() FROM unnest(%s::text[], %s::float8[], %s::int[])"
        " AS v(name, tokens, refused) WHERE b.tool_name = v.name",
        [names, [tokens[n] for n in names], [refused[n] for n in names]],
    )
