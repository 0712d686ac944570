"""A minimal published catalog: one job, one agent, two tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.catalog.models import (
    Agent,
    AgentVersion,
    ContractVersion,
    Domain,
    Job,
    Tool,
    ToolServer,
    ToolVersion,
)
from apps.kernel.ids import new_id
from apps.runs.models import Run, RunScript


@dataclass
class Scene:
    """Rows that runs of the tests pin."""

    contract: ContractVersion
    agent: AgentVersion

    def run(self, items: list[dict[str, Any]] | None = None, **changes: Any) -> Run:
        """A run of the scene's job with a script."""
        values = {
            "id": new_id(),
            "trace_id": new_id(),
            "domain_slug": "shop",
            "job_slug": "shop-refund",
            "contract_number": 1,
            "contract_version": self.contract,
            "agent_version": self.agent,
            "agent_kind": "reference",
            "agent_label": "reference actions",
            "state": "queued",
            "deadline_at": timezone.now() + timedelta(hours=1),
        }
        run = Run.objects.create(**{**values, **changes})
        RunScript.objects.create(run=run, items=items or [])
        return run


@pytest.fixture
def make_scene(db: None) -> Callable[[], Scene]:
    def make() -> Scene:
        domain = Domain.objects.create(slug="shop", name="Shop")
        server = ToolServer.objects.create(slug="shop")
        for name, effect in (("look", "read"), ("refund", "irreversible")):
            tool = Tool.objects.create(domain=domain, server=server, name=name, current_number=1)
            ToolVersion.objects.create(
                tool=tool,
                number=1,
                document={"name": name},
                fingerprint=name,
                effect=effect,
                idempotency="keyed",
            )
        agent = Agent.objects.create(slug="shop-reference", name="R", kind="reference")
        job = Job.objects.create(domain=domain, slug="shop-refund", name="Refund", owner="Ida")
        document = {
            "job": "shop-refund",
            "name": "Refund",
            "owner": "Ida",
            "purpose": "Money goes back.",
            "outcome": {},
            "agent": {"slug": "shop-reference"},
            "tools": [{"name": "look"}, {"name": "refund"}],
            "decisions": {"policy": "shop"},
        }
        return Scene(
            ContractVersion.objects.create(
                job=job, number=1, text="", document=document, digest="d"
            ),
            AgentVersion.objects.create(agent=agent, number=1, digest="a"),
        )

    return make


@pytest.fixture
def scene(make_scene: Callable[[], Scene]) -> Scene:
    return make_scene()
