"""A pack whose tools a test makes up, for a tool server that is written byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from apps.audit.domain.actors import Actor
from apps.catalog.selectors import pinned
from apps.catalog.services import apply_packs
from apps.catalog.services.reading import PackError
from apps.kernel.ids import new_id
from apps.runs.services import NewRun, start_runs
from tests.engine.shop import CONTRACT, POLICY

AWAY = "http://127.0.0.1:9/mcp"  # where nobody listens
PERMIT = POLICY.split("\n\n", 1)[0] + "\n"


def apply(
    folder: Path,
    tools: Sequence[dict[str, Any]],
    uses: Sequence[dict[str, Any]],
    *,
    rules: str = PERMIT,
) -> None:
    """Apply a pack with these tools, which one job may use on these terms, while its server is
    away: nothing is compared with what that serves."""
    pack = folder / "retail"
    for name in ("jobs", "policies", "prompts"):
        (pack / name).mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    document = {
        "domain": {"slug": "retail", "name": "Shop"},
        "server": {"slug": "retail", "protocol": "mcp"},
        "tools": [deepcopy(tool) for tool in tools],  # YAML would name what is shared
        "prompts": [],
        "agents": [{"slug": "retail-reference", "name": "R", "kind": "reference"}],
        "policies": ["policies/retail.yaml"],
        "jobs": ["jobs/shop.yaml"],
    }
    yaml.dump(document, pack / "pack.yaml")
    policy = {"policy": "retail", "name": "Shop", "limits": {"amount_cents": 1}}
    yaml.dump({**policy, "policies": LiteralScalarString(rules)}, pack / "policies" / "retail.yaml")
    outcome = {"success": "resolved", "when_any_of": [], "target": 0.9}
    job = {**CONTRACT, "tools": [deepcopy(use) for use in uses], "outcome": outcome}
    yaml.dump(job, pack / "jobs" / "shop.yaml")
    try:
        apply_packs([pack])
    except PackError as error:
        pytest.fail("\n".join(str(problem) for problem in error.problems))


def start(
    tools: Sequence[str], arguments: dict[str, Any] | None = None, *, times: int = 1
) -> list[UUID]:
    """Accept one run for each tool, which calls it so many times."""
    contract = pinned.current_contract("retail-shop")
    agent = pinned.agent_of_kind("retail", "reference")
    call = {"args": arguments or {}, "ref": "0"}
    return start_runs(
        [
            NewRun(
                job_slug="retail-shop",
                contract_version_id=contract.pk,
                agent_version_id=agent.pk,
                agent_kind="reference",
                agent_label="test",
                items=[*([{"call": {"tool": tool, **call}}] * times), {"done": "x"}],
                domain_slug="retail",
                contract_number=contract.number,
                customer="ada",
                context={"world": f"test/{new_id()}"},
            )
            for tool in tools
        ],
        actor=Actor.user("test"),
    )
