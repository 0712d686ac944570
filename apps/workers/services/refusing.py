"""Say in the log that a queue held what is no bell."""

from __future__ import annotations

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.kernel.transactions import command


@command
def tell_of_refused(worker: str, lane: str, times: int, why: str) -> None:
    """``times``: how many entries of the queue of ``lane`` were refused since it was last told;
    ``why``: half a sentence about the last one."""
    record(
        kind="bell.refused",
        actor=Actor.worker(worker),
        subject_type="lane",
        subject_id=lane,
        payload={"times": times, "why": why},
    )
