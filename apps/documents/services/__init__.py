"""What people do to the next version of a document, whatever kind it is of."""

from __future__ import annotations

from apps.documents.services.drafting import (
    discard,
    rebase,
    roll_back,
    save_draft,
    start,
    submit_draft,
    take_over,
    withdraw,
)
from apps.documents.services.looking import Findings, look, weakens
from apps.documents.services.publishing import UNPUBLISHED, publish_draft, publish_due
from apps.documents.services.rows import require

__all__ = [
    "UNPUBLISHED",
    "Findings",
    "discard",
    "look",
    "publish_draft",
    "publish_due",
    "rebase",
    "require",
    "roll_back",
    "save_draft",
    "start",
    "submit_draft",
    "take_over",
    "weakens",
    "withdraw",
]
