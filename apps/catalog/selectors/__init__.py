"""Reads of the catalog."""

from __future__ import annotations

from apps.catalog.selectors.contracts import (
    agent_slugs,
    agent_version,
    contract,
    contract_for_run,
    current_version,
    draft_of,
    get_job,
    get_prompt,
    get_tool,
    open_runs,
    pins,
    resolved,
    tool_documents,
    tool_effects,
    tool_versions_for,
)

__all__ = [
    "agent_slugs",
    "agent_version",
    "contract",
    "contract_for_run",
    "current_version",
    "draft_of",
    "get_job",
    "get_prompt",
    "get_tool",
    "open_runs",
    "pins",
    "resolved",
    "tool_documents",
    "tool_effects",
    "tool_versions_for",
]
