"""What people and packs do to the catalog."""

from __future__ import annotations

from apps.catalog.services.applying import Applied, Report, apply_packs
from apps.catalog.services.beginning import begin_job, begin_policy
from apps.catalog.services.drafts import (
    CONTRACTS,
    check_text,
    discard,
    known_for,
    publish_draft,
    rebase,
    roll_back,
    save_draft,
    submit_draft,
    withdraw,
)
from apps.catalog.services.reading import PackError
from apps.catalog.services.serving import watch_servers

__all__ = [
    "CONTRACTS",
    "Applied",
    "PackError",
    "Report",
    "apply_packs",
    "begin_job",
    "begin_policy",
    "check_text",
    "discard",
    "known_for",
    "publish_draft",
    "rebase",
    "roll_back",
    "save_draft",
    "submit_draft",
    "watch_servers",
    "withdraw",
]
