"""Contracts and what they name: read by the engine, the services and the pages."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import F

from apps.catalog.domain.contract import Contract, build
from apps.catalog.models import (
    Agent,
    AgentVersion,
    ContractDraft,
    ContractVersion,
    Job,
    Prompt,
    Tool,
    ToolVersion,
)
from apps.kernel.errors import NotFoundError

logger = logging.getLogger(__name__)


@lru_cache(maxsize=2048)
def contract(version_id: int) -> Contract:
    """The contract a run pinned. Published versions never change, so they are kept for the life of
    the process."""
    return build(ContractVersion.objects.values_list("document", flat=True).get(pk=version_id))


def readable(version_ids: Collection[int]) -> dict[int, Contract]:
    """Those of these versions that can be read: one that was changed behind the product's back
    says nothing, and keeps no number of the others from being shown."""
    found = {}
    for pk in set(version_ids):
        try:
            found[pk] = contract(pk)
        except (KeyError, TypeError, ValueError, AttributeError):
            logger.exception("contract version %s can't be read", pk)
    return found


def contract_author(approval: Any) -> dict[str, str]:
    """Who wrote the version of the contract that an approval is decided by, as a party to it."""
    version = ContractVersion.objects.filter(
        job__slug=approval.job_slug, number=approval.contract_number, author__isnull=False
    )
    names = version.values_list("author__username", flat=True)
    return dict.fromkeys(names, "wrote this version of the contract")


def critical_job(approval: Any) -> str:
    """Why no grant may answer an approval whose job is critical; nothing for any other's."""
    jobs = Job.objects.filter(slug=approval.job_slug, criticality="critical")
    return "its job is critical" if jobs.exists() else ""


def targets(slugs: Collection[str]) -> dict[str, float]:
    """The success share that each of these jobs promises now; jobs without a contract promise
    none."""
    current = ContractVersion.objects.filter(
        job__slug__in=slugs, number=F("job__current_number")
    ).values_list("pk", "job__slug")
    slug_of = dict(current)
    return {slug_of[pk]: c.outcome.target for pk, c in readable(slug_of).items()}


def contract_for_run(job_slug: str) -> tuple[ContractVersion, Contract]:
    """The current contract of an active job: what a run that starts now pins. Raises
    NotFoundError for an unknown, retired or unpublished job."""
    version = (
        ContractVersion.objects.filter(
            job__slug=job_slug, job__is_active=True, number=F("job__current_number")
        )
        .select_related("job__domain")
        .first()
    )
    if version is None:
        raise NotFoundError(f"There is no published job “{job_slug}”.", job=job_slug)
    return version, contract(version.pk)


@lru_cache(maxsize=2048)
def resolved(version_id: int) -> Mapping[str, Any]:
    """What the contract's names meant when it was published: ids of tool, agent and prompt
    versions."""
    return ContractVersion.objects.values_list("resolved", flat=True).get(pk=version_id)


def tool_versions_for(version: ContractVersion | int) -> dict[str, ToolVersion]:
    """The pinned version of each tool that the contract lists, by name."""
    ids = resolved(version if isinstance(version, int) else version.pk).get("tools", {})
    rows = ToolVersion.objects.filter(pk__in=ids.values()).select_related("tool__server")
    return {row.tool.name: row for row in rows}


def agent_version(slug: str) -> AgentVersion:
    """The current version of an agent. Raises NotFoundError."""
    row = (
        AgentVersion.objects.filter(agent__slug=slug, number=F("agent__current_number"))
        .select_related("agent")
        .first()
    )
    if row is None:
        raise NotFoundError(f"There is no agent “{slug}”.", agent=slug)
    return row


def agent_slugs() -> frozenset[str]:
    """Those that have a version."""
    return frozenset(Agent.objects.filter(current_number__gt=0).values_list("slug", flat=True))


def agents_of(domain_id: int) -> list[str]:
    """Slugs of a domain's agents that have a version, by name."""
    own = Agent.objects.filter(domain_id=domain_id, current_number__gt=0)
    return list(own.order_by("slug").values_list("slug", flat=True))


def stated_to_hide(version_id: int) -> tuple[str, ...]:
    """The names of hidden values in a stored contract, whatever else stands there."""
    found: Any = ContractVersion.objects.values_list("document", flat=True).get(pk=version_id)
    for name in ("data", "redact"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return tuple(n for n in found if isinstance(n, str)) if isinstance(found, list) else ()


def tool_effects(domain_id: int) -> dict[str, str]:
    """``{tool name: effect class}`` of a domain, at the current versions."""
    rows = ToolVersion.objects.filter(
        tool__domain_id=domain_id, number=F("tool__current_number")
    ).values_list("tool__name", "effect")
    return dict(rows)


def tool_documents(domain_slug: str) -> list[dict[str, Any]]:
    """The current entries of a domain's tools: what a policy schema is made from."""
    return list(
        ToolVersion.objects.filter(tool__domain__slug=domain_slug, number=F("tool__current_number"))
        .order_by("tool__name")
        .values_list("document", flat=True)
    )


@dataclass(frozen=True, slots=True)
class Pins:
    """Version numbers, for people: what a contract version runs with."""

    tools: dict[str, int]
    agents: dict[str, int]


def pins(version: ContractVersion) -> Pins:
    ids = version.resolved
    tools = ToolVersion.objects.filter(pk__in=ids.get("tools", {}).values())
    agents = AgentVersion.objects.filter(pk__in=ids.get("agents", {}).values())
    return Pins(
        tools=dict(tools.values_list("tool__name", "number")),
        agents=dict(agents.values_list("agent__slug", "number")),
    )


def get_job(slug: str) -> Job:
    """A job with its domain. Raises NotFoundError."""
    job = Job.objects.select_related("domain").filter(slug=slug).first()
    if job is None:
        raise NotFoundError(f"There is no job “{slug}”.", job=slug)
    return job


def current_version(job: Job) -> ContractVersion | None:
    return job.versions.filter(number=job.current_number).first()


def draft_of(job: Job) -> ContractDraft | None:
    return ContractDraft.objects.select_related("author").filter(job=job).first()


def get_tool(domain_slug: str, name: str) -> Tool:
    tool = (
        Tool.objects.select_related("domain", "server")
        .filter(domain__slug=domain_slug, name=name)
        .first()
    )
    if tool is None:
        raise NotFoundError(f"There is no tool “{name}” in {domain_slug}.", tool=name)
    return tool


def get_prompt(slug: str) -> Prompt:
    prompt = Prompt.objects.select_related("domain").filter(slug=slug).first()
    if prompt is None:
        raise NotFoundError(f"There is no prompt “{slug}”.", prompt=slug)
    return prompt
