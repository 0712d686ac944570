"""What people and packs do to the catalog."""

from __future__ import annotations

from apps.catalog.services.applying import Applied, Report, apply_packs
from apps.catalog.services.beginning import (
    Offer,
    begin_agent,
    begin_job,
    begin_model,
    begin_policy,
    begin_prompt,
    begin_server,
    begin_tools,
    refuse_other_server,
)
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
from apps.catalog.services.exporting import ExportError, described, export_packs, write_files
from apps.catalog.services.reading import Around, PackError, examine
from apps.catalog.services.serving import watch_servers

__all__ = [
    "CONTRACTS",
    "Applied",
    "Around",
    "ExportError",
    "Offer",
    "PackError",
    "Report",
    "apply_packs",
    "begin_agent",
    "begin_job",
    "begin_model",
    "begin_policy",
    "begin_prompt",
    "begin_server",
    "begin_tools",
    "check_text",
    "described",
    "discard",
    "examine",
    "export_packs",
    "known_for",
    "publish_draft",
    "rebase",
    "refuse_other_server",
    "roll_back",
    "save_draft",
    "submit_draft",
    "watch_servers",
    "withdraw",
    "write_files",
]
