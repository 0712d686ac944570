"""Write the next version of a contract: the one place that does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import F

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.catalog.domain.contract import Contract
from apps.catalog.models import AgentVersion, ContractVersion, Job, ToolVersion
from apps.kernel.canonical import digest
from apps.kernel.errors import ConflictError
from apps.kernel.transactions import participant
from apps.oversight import services as approvals


def contract_digest(document: dict[str, Any]) -> str:
    return digest(document, purpose="contract")


def resolve(contract: Contract, *, domain_id: int) -> dict[str, Any]:
    """What the contract's names mean now: ids of the current tool, agent and prompt versions."""
    tools = ToolVersion.objects.filter(
        tool__domain_id=domain_id,
        tool__name__in=contract.tool_names,
        number=F("tool__current_number"),
    ).values_list("tool__name", "pk")
    slugs = (contract.agent.slug, *contract.agent.fallbacks)
    agents = AgentVersion.objects.filter(
        agent__slug__in=slugs, number=F("agent__current_number")
    ).select_related("agent")
    return {
        "tools": dict(sorted(tools)),
        "agents": {a.agent.slug: a.pk for a in sorted(agents, key=lambda a: a.agent.slug)},
        "prompts": {
            a.agent.slug: a.document["prompt_version"]
            for a in agents
            if a.document.get("prompt_version")
        },
    }


@participant
def publish_version(
    job: Job,
    *,
    contract: Contract,
    document: dict[str, Any],
    text: str,
    resolved: dict[str, Any],
    note: str,
    actor: Actor,
    author_id: int | None = None,
    approver_id: int | None = None,
    notes: Sequence[Mapping[str, Any]] = (),
) -> ContractVersion:
    """Make ``document`` the job's current contract. Raises ConflictError when another version was
    published since ``job`` was read."""
    number = job.current_number + 1
    # Two publishers of one job: the second finds the number moved on and publishes nothing.
    moved = Job.objects.filter(pk=job.pk, current_number=job.current_number).update(
        current_number=number,
        name=contract.name,
        owner=contract.owner,
        purpose=contract.purpose,
        criticality=contract.criticality,
    )
    if moved != 1:
        raise ConflictError(f"Another version of “{job.slug}” was published meanwhile.")
    sha = contract_digest(document)
    version = ContractVersion.objects.create(
        job=job,
        number=number,
        text=text,
        document=document,
        resolved=resolved,
        digest=sha,
        note=note,
        notes=list(notes),
        author_id=author_id,
        approver_id=approver_id,
    )
    job.current_number = number
    approvals.void_for_job(job.slug)
    record(
        kind="contract.published",
        actor=actor,
        subject_type="job",
        subject_id=job.slug,
        payload={"number": number, "digest": sha, "note": note},
    )
    return version
