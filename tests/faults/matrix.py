"""The table of faults: number, what goes wrong, by which means a test brings it about, which tests.

``python -m tests.faults.matrix`` writes ``docs/faults.md`` from it and from what the last
run of these tests found; a test compares the two, so that the page names no test that isn't there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
RESULTS, CHAOS = Path("var") / "faults.json", Path("var") / "chaos.json"
ENGINE, FAULTS = "tests/engine", "tests/faults"


@dataclass(frozen=True, slots=True)
class Fault:
    number: int
    what: str
    means: str
    tests: tuple[str, ...]


def _in(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{FAULTS}/test_{module}.py::test_{name}" for name in names)


def _engine(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{ENGINE}/test_{module}.py::test_{name}" for name in names)


TABLE: tuple[Fault, ...] = (
    Fault(1, "Worker killed before the call", "failpoint, SIGKILL",
          _in("workers", "01_killed_before_the_call")),
    Fault(2, "Worker killed between intent and call", "failpoint, SIGKILL",
          _in("workers", "02_killed_between_intent_and_call")),
    Fault(3, "Worker killed between call and receipt", "failpoint, SIGKILL",
          _in("workers", "03_killed_between_call_and_receipt")),
    Fault(4, "Worker killed after the commit", "failpoint, SIGKILL",
          _in("workers", "04_killed_after_the_commit")),
    Fault(5, "Worker's parent killed alone, or its work-horse", "SIGKILL, process table",
          _in("workers", "05_parent_killed_alone", "05_work_horse_killed_alone")),
    Fault(6, "Worker asleep beyond its lease", "SIGSTOP, SIGCONT",
          _in("workers", "06_paused_and_woken")),
    Fault(7, "Redis wiped", "FLUSHALL under load", _in("redis", "07_wiped_under_load")),
    Fault(8, "Redis restarted", "SIGKILL and start", _in("redis", "08_killed_and_started_again")),
    Fault(9, "Redis away", "SIGKILL; five minutes in `make chaos`", _in("redis", "09_away")),
    Fault(10, "Redis full", "maxmemory; append-only file on a full tmpfs", _in("redis", "10_full")),
    Fault(11, "PostgreSQL restarted", "SIGKILL and start under load; half an hour in `make chaos`",
          _in("postgres", "11_restarted_under_load")),
    Fault(12, "Connection cut in a transaction", "proxy cuts after n bytes",
          _in("postgres", "12_cut_in_the_middle_of_a_transaction")),
    Fault(13, "Reply to COMMIT lost", "proxy swallows it",
          _in("postgres", "13_the_reply_to_commit_lost")),
    Fault(14, "Serialization failures and deadlocks", "a trigger raises 40001 and 40P01",
          _in("postgres", "14_serialization_failures_and_deadlocks")),
    Fault(15, "No room for rows", "tables on a full tmpfs", _in("postgres", "15_no_room_for_rows")),
    Fault(16, "No room for the write-ahead log", "pg_wal on a full tmpfs",
          _in("postgres", "16_no_room_for_the_log")),
    Fault(17, "No room for logs", "log on a full tmpfs", _in("postgres", "17_no_room_for_logs")),
    Fault(18, "Tool hangs", "tool service", _in("tools", "18_a_tool_that_hangs")),
    Fault(19, "Answer after the time-out", "tool service; SIGSTOP of the worker",
          _in("tools", "19_an_answer_after_the_time_out")
          + _in("workers", "06_paused_and_woken")),
    Fault(20, "Work done, reply dropped", "tool service",
          _in("tools", "20_21_work_done_and_the_answer_lost")),
    Fault(21, "5xx before and after the work", "tool service",
          _in("tools", "20_21_work_done_and_the_answer_lost")),
    Fault(22, "429 with every sort of Retry-After", "tool service",
          _in("tools", "22_told_to_come_back")),
    Fault(23, "Bodies malformed, huge, dripping, redirected", "tool service; resident memory",
          _in("tools", "23_bodies_that_make_no_sense")),
    Fault(24, "Tool flaps", "tool service; calls counted on the wire",
          _in("tools", "24_a_tool_that_flaps")),
    Fault(25, "Bells rung ten times", "ten RQ entries, four workers",
          _in("workers", "25_26_rung_ten_times_for_four_workers")),
    Fault(26, "Two workers, one step", "four workers on a hundred steps",
          _in("workers", "25_26_rung_ten_times_for_four_workers")),
    Fault(27, "Events twice, in disorder, replayed",
          "API calls with keys, shuffled and at once (the tower takes no other webhooks)",
          _in("outside", "27_delivered_twice_in_disorder_and_again")),
    Fault(28, "Wrong clocks", "libfaketime: ±10 min, a step of an hour, a zone with DST",
          _in("clocks", "28_workers_with_wrong_clocks", "28_a_site_with_a_wrong_clock",
              "28_a_wrong_clock_is_refused_at_the_start")),
    Fault(29, "Pressed twenty times", "threads at a barrier, HTTP",
          _in("people", "29_pressed_twenty_times")),
    Fault(30, "Two decide at once", "threads at a barrier, HTTP; 10,000 rounds in `make chaos`",
          _in("people", "30_two_at_once", "four_eyes_count_people")),
    Fault(31, "Decision after expiry", "threads at a barrier: a person and the clock",
          _in("people", "31_too_late")),
    Fault(32, "Approved for something else", "arguments changed after the answer",
          _in("people", "32_approved_for_something_else")),
    Fault(33, "Approver no longer allowed", "role and account taken away after the answer",
          _in("people", "33_no_longer_allowed")),
    Fault(34, "Killed with an approval in hand", "failpoints, SIGKILL",
          _in("workers", "34_killed_with_an_approval_in_hand")),
    Fault(35, "Sockets cut, site restarted", "proxy; a herd of sockets",
          _in("site", "35_sockets_cut_and_the_site_restarted")),
    Fault(36, "Ticks lost", "proxy swallows what Redis would say", _in("site", "36_ticks_lost")),
    Fault(37, "Replaced under load", "SIGTERM of sites and workers, two releases side by side",
          _in("site", "37_everything_replaced_under_load")
          + _engine("deploy", "sigterm_lets_a_worker_finish_what_it_holds")),
    Fault(38, "An undoing goes wrong", "tool service; failpoint, SIGKILL",
          _in("outside", "38_an_undoing_goes_wrong")
          + _engine("undoing", "a_worker_killed_between_undoings_undoes_each_once")),
    Fault(39, "Five times too much", "more runs than the bounds take",
          _in("outside", "39_five_times_too_much")),
    Fault(40, "No memory, files or forks", "setrlimit: address space, descriptors, processes",
          _in("workers", "40_no_memory_no_files_no_forks")),
    Fault(41, "Poison", "a call that aborts its process", _in("workers", "41_poison")),
    Fault(42, "Audit log slow or refusing", "proxy delays it; INSERT revoked",
          _in("postgres", "42_the_audit_log_is_slow_or_refuses")),
)  # fmt: skip

NAMES = frozenset(t for fault in TABLE for t in fault.tests)
HEAD = """\
# Faults and their proof

Every fault is brought about for real: processes that are killed, stopped and starved, servers that
are restarted, a proxy that cuts and swallows, disks that are full, clocks that are wrong. After
each, a checker looks at PostgreSQL, at the ledger that the tool service keeps by itself, at the
calls seen on the wire and at what clients were told, and nine invariants have to hold:

1. a keyed mutation has one effect, and an unkeyed one is never sent again by the machine;
2. every effect was intended before, and approved before where a person had to, for these arguments;
3. a step succeeded if, and only if, there is a receipt;
4. no step runs under a lease that has been dead for 35 s;
5. whatever was accepted comes to an end, or waits where somebody can see it, and no step that was
   proposed is left out;
6. votes are different people's, and nobody answers their own question;
7. the audit chain verifies, with one event for each lasting change, in the same transaction;
8. states change only along the table of legal transitions;
9. every live client knows its streams as far as the database does.

This page is written by `python -m tests.faults.matrix`; a test keeps it equal to the table of
tests. `make chaos` runs the long ones (`SEED=`, `MINUTES=`, `CHAOS="gate"` for the release gate)
and reports under `var/`.
"""


GATE_HEAD = """
## The release gate

`make chaos CHAOS=gate` runs these, each with a seed, and each followed by the same checker. The
last one of each found:
"""
GATE = ("kills", "resume", "decisions", "postgres", "redis")
NOT_TOLD = {"passed", "seed", "at", "machine", "violations", "wrong", "bounds"}


def gate(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The part about the release gate, of the commands that were run."""
    lines = [GATE_HEAD, "Command | When, seed, machine | Found | Result", "---|---|---|---"]
    for name in GATE:
        if told := found.get(name):
            facts = "; ".join(
                f"{k} {_plain(v)}" for k, v in told.items() if v and k not in NOT_TOLD
            )
            where = f"{told['at']}, seed {told['seed']}, {told['machine']}"
            missed = [bound for bound, held in told.get("bounds", {}).items() if not held]
            result = "passed" if told["passed"] else f"failed {', '.join(missed)}".strip()
            lines.append(f"{name} | {where} | {facts} | {result}")
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v:,}" for k, v in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def page(results: Mapping[str, str], when: str) -> str:
    """The table of faults, without the release gate."""
    lines = [HEAD, f"Results of {when}." if when else "Not run here yet.", ""]
    lines += ["| # | Fault | By | Test | Result |", "|---|---|---|---|---|"]
    for fault in TABLE:
        tests = "<br>".join(f"`{t.removeprefix('tests/')}`" for t in fault.tests)
        result = verdict(fault.tests, results)
        lines.append(f"| {fault.number} | {fault.what} | {fault.means} | {tests} | {result} |")
    return "\n".join(lines) + "\n"


def verdict(tests: Sequence[str], results: Mapping[str, str]) -> str:
    """The gravest result of these tests; parametrised ones count as one. Those of other packages
    are named beside them, and judged where they stand."""
    tests = [t for t in tests if t.startswith(FAULTS)]
    found = [r for t in tests for name, r in results.items() if name.partition("[")[0] == t]
    for word in ("failed", "skipped"):
        if hit := next((r for r in found if r.startswith(word)), None):
            return hit
    missing = [t for t in tests if not any(n.partition("[")[0] == t for n in results)]
    return "not run" if missing or not found else "passed"


def main() -> None:
    """Write the page from the last results."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"when": "", "results": {}}
    found = json.loads(CHAOS.read_text()) if CHAOS.exists() else {}
    PAGE.write_text(page(kept["results"], kept["when"]) + gate(found))


def keep(results: Mapping[str, str], when: str) -> None:
    """Add results of a run to those kept under ``var/``."""
    kept = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    draft = RESULTS.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"when": when, "results": {**kept, **results}}, indent=1))
    draft.replace(RESULTS)


if __name__ == "__main__":
    main()
