"""Questions to people, their answers, grants, and who passes them on."""

from __future__ import annotations

from apps.oversight.models.grants import Grant, GrantUse
from apps.oversight.models.passing import Absence, Delegation, Snooze
from apps.oversight.models.questions import (
    CALL,
    CALL_SQL,
    CHANGES,
    CHANGES_SQL,
    Approval,
    AskingTurn,
    Edit,
    Escalation,
    Reading,
    Reversal,
    Table,
    TableRow,
    Vote,
)

__all__ = [
    "CALL",
    "CALL_SQL",
    "CHANGES",
    "CHANGES_SQL",
    "Absence",
    "Approval",
    "AskingTurn",
    "Delegation",
    "Edit",
    "Escalation",
    "Grant",
    "GrantUse",
    "Reading",
    "Reversal",
    "Snooze",
    "Table",
    "TableRow",
    "Vote",
]
