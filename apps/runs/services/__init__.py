"""The commands of people and events: start, fork, pause or cancel a run."""

from __future__ import annotations

from apps.runs.services.admitting import tend_queue
from apps.runs.services.cancelling import cancel_run
from apps.runs.services.forking import fork_run
from apps.runs.services.pausing import pause_run, resume_run, try_poison_again, unpark_resumed
from apps.runs.services.starting import Admitted, NewRun, admit_runs, start_run, start_runs
from apps.runs.services.undoing import (
    foresee,
    settle_failed_undoing,
    try_undoing_again,
    undo_run,
)
from apps.runs.services.workers import beat, forget_drains, renew_leases

__all__ = [
    "Admitted",
    "NewRun",
    "admit_runs",
    "beat",
    "cancel_run",
    "foresee",
    "forget_drains",
    "fork_run",
    "pause_run",
    "renew_leases",
    "resume_run",
    "settle_failed_undoing",
    "start_run",
    "start_runs",
    "tend_queue",
    "try_poison_again",
    "try_undoing_again",
    "undo_run",
    "unpark_resumed",
]
