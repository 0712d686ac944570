"""The sweep: find what crashes and lost bells left behind, and put it back on its way.

Safe to run anywhere, any number of times at once: every change is a guarded update.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection

from apps.approvals import services as approvals
from apps.audit import services as audit
from apps.audit.services import Fact, record_many
from apps.kernel.transactions import command
from apps.runs import dispatch, journal, reconcile
from apps.runs.domain.suspicion import MOST_LOSSES
from apps.runs.journal import breakers, compensating, lost
from apps.runs.services import forget_drains, tend_queue, unpark_resumed
from apps.runs.services.stops import wake_freed


@dataclass(slots=True)
class Swept:
    expired_leases: int = 0
    woken: int = 0
    expired_approvals: int = 0
    overdue_runs: int = 0
    looked_up: int = 0
    admitted: int = 0
    sealed: int = 0
    rung: tuple[str, ...] = ()


def sweep() -> Swept:
    """One round. Each part commits by itself, so that one that fails doesn't stop the others."""
    swept = Swept()
    swept.expired_approvals = approvals.expire_due()
    approvals.escalate_due()
    swept.expired_leases = take_back_leases()
    swept.woken = wake_decided()
    swept.overdue_runs = end_overdue_runs()
    unpark_resumed()
    carry_on_undoing()
    half_open_breakers()
    wake_freed()
    swept.admitted = tend_queue()
    swept.sealed = audit.seal()
    swept.rung = ring_due()
    forget_drains()
    swept.looked_up = reconcile.look_up_due()  # last: it waits for the network
    return swept


@command
def take_back_leases() -> int:
    """Queue the steps whose worker went silent. A mutation that was intended but not receipted is
    tried again with its key where the tool takes one or can be asked; otherwise nobody can know,
    and a person has to say. A step that three workers were lost with while it
    was tried alone is taken for poison."""
    rows = lost.expire_leases(most_losses=MOST_LOSSES)
    unknown = lost.mark_unknown_runs([r.run_id for r in rows if r.state == "confirmation_unknown"])
    failed = lost.fail_runs([r.run_id for r in rows if r.state == "failed"], error_class="poison")
    compensating.carry_on([r.run_id for r in rows if r.state != "queued"], actor="sweeper")
    record_many(
        [
            Fact(
                f"step.{'lease_lost' if r.state == 'queued' else r.state}",
                "sweeper",
                "step",
                str(r.step_id),
                r.run_id,
                {"losses": r.losses, "worker": r.owner},
            )
            for r in rows
        ]
        + [_fact_of_run("confirmation_unknown", i, outcome="") for i in unknown]
        + [_fact_of_run("failed", i, outcome="error") for i in failed]
    )
    return len(rows)


def take_back_from(process: str) -> int:
    """Take back at once what a process held that is known to be dead: nobody needs to wait for
    leases that nobody can renew. Returns how many steps that were."""
    held = command(lost.end_leases_of)(process)
    if held:
        take_back_leases()
        ring_due()
    return held


def _fact_of_run(state: str, run_id: UUID, *, outcome: str) -> Fact:
    return Fact(f"run.{state}", "sweeper", "run", str(run_id), run_id, {"outcome": outcome})


@command
def wake_decided() -> int:
    """Wake steps whose approval was decided while nobody heard the bell."""
    waiting = lost.waiting_approvals()
    decided = approvals.decided_among(waiting) if waiting else []
    return len(journal.wake(decided)) if decided else 0


@command
def end_overdue_runs() -> int:
    """A deadline always wins: runs past theirs end as failed, unless a call is on its way."""
    ended, steps = lost.end_overdue()
    for run_id in ended:
        approvals.void_for_run(run_id)
    late = {"disposition": "failed", "error_class": "deadline"}
    record_many(
        [Fact("step.failed", "sweeper", "step", str(s), run, late) for s, run in steps]
        + [_fact_of_run("failed", i, outcome="timed_out") for i in ended]
    )
    return len(ended)


@command
def carry_on_undoing() -> int:
    """Carry on the undoing of runs in which none is under way; returns how many there were."""
    found = compensating.stalled()
    compensating.carry_on(found, actor="sweeper")
    return len(found)


@command
def half_open_breakers() -> int:
    """Let breakers whose waiting time is over try again."""
    return breakers.half_open_due()


def ring_due() -> tuple[str, ...]:
    """Ring for every lane that has due work."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lane FROM unnest(%s::text[]) AS lane WHERE EXISTS (SELECT FROM runs_step s"
            " WHERE s.lane = lane.lane AND s.state = 'queued'"
            " AND s.not_before <= clock_timestamp())",
            [list(settings.LANES)],
        )
        lanes = tuple(row[0] for row in cursor.fetchall())
    for lane in lanes:
        dispatch.ring(lane)
    return lanes
