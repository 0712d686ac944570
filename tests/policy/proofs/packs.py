"""The policies of the practice companies, as proofs read them."""

from __future__ import annotations

from typing import Any

from apps.policy.domain.document import read_document
from apps.policy.domain.schema import ToolDeclaration, cedar_schema
from controltower.practice.measure import PACKS, _yaml


def pack(domain: str) -> tuple[str, dict[str, int], dict[str, Any]]:
    """Rules, limits and schema."""
    folder = PACKS / domain
    entries = _yaml(folder / "pack.yaml")
    schema = cedar_schema(
        ToolDeclaration(t["name"], t["effect"], t.get("facts") or {}, t.get("preview", ""))
        for t in entries["tools"]
    )
    document, problems = read_document((folder / entries["policies"][0]).read_text())
    assert document is not None
    assert not problems
    return document.policies, dict(document.limits), schema
