"""Rows of the engine."""

from __future__ import annotations

from apps.runs.models.answers import AnswerBody, LookUp, RunResult
from apps.runs.models.bounds import (
    Breaker,
    Budget,
    Cap,
    LaneMark,
    LoadSample,
    Rate,
    Stop,
    Worker,
)
from apps.runs.models.runs import (
    PARKED_UNTIL,
    STATES,
    Attempt,
    Finding,
    Intent,
    Message,
    Receipt,
    Run,
    RunScript,
    Step,
    Ticket,
)

__all__ = [
    "PARKED_UNTIL",
    "STATES",
    "AnswerBody",
    "Attempt",
    "Breaker",
    "Budget",
    "Cap",
    "Finding",
    "Intent",
    "LaneMark",
    "LoadSample",
    "LookUp",
    "Message",
    "Rate",
    "Receipt",
    "Run",
    "RunResult",
    "RunScript",
    "Step",
    "Stop",
    "Ticket",
    "Worker",
]
