"""The limits of a policy as fields: the numbers that people tune without touching a rule."""

from __future__ import annotations

from typing import Any

from apps.kernel.fields import Field, Section


def policy_sections(document: Any) -> list[Section]:
    """The name, and a field for each limit the document states."""
    limits = document.get("limits") if isinstance(document, dict) else None
    names = [n for n in limits if isinstance(n, str)] if isinstance(limits, dict) else []
    sections = [Section("What it is", (Field(("name",), "Name"),))]
    if names:
        fields = tuple(
            Field(
                ("limits", n),
                n.removesuffix("_cents").replace("_", " ").capitalize(),
                "whole",
                unit=_unit(n),
            )
            for n in names
        )
        sections.append(Section("Limits", fields))
    return sections


def _unit(name: str) -> str:
    return "cents" if name.endswith("_cents") else ""
