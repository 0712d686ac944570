"""What a run has pinned: published documents by id. They never change, so they are cached for the
life of the process; the engine reads them for every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import F

from apps.catalog.domain.contract import Compensation, compensations
from apps.catalog.domain.drift import changes
from apps.catalog.domain.language_models import CONFIGURED, ModelTerms, terms_of
from apps.catalog.models import (
    Agent,
    AgentVersion,
    ContractVersion,
    Domain,
    LanguageModelVersion,
    PromptVersion,
    ToolVersion,
)
from apps.catalog.selectors.contracts import agent_version, contract, resolved
from apps.catalog.selectors.entries import models_named
from apps.kernel.errors import NotFoundError
from apps.kernel.statements import fetch


@lru_cache(maxsize=2048)
def contract_digest(version_id: int) -> str:
    return ContractVersion.objects.values_list("digest", flat=True).get(pk=version_id)


@lru_cache(maxsize=4096)
def _tool(version_id: int) -> ToolVersion:
    return ToolVersion.objects.select_related("tool__server", "tool__domain").get(pk=version_id)


@lru_cache(maxsize=2048)
def undone_by(contract_version_id: int) -> Mapping[str, Compensation]:
    """What undoes the effect of each tool, by the tool's name, as the contract declares it."""
    document = ContractVersion.objects.values_list("document", flat=True)
    return compensations(document.get(pk=contract_version_id))


def tool_document(version_id: int) -> Mapping[str, Any]:
    """A tool's catalog entry: schema, sentence, facts, preview and look-up tools."""
    return _tool(version_id).document


def look_up_tool(tool_version_id: int | None) -> str:
    """The tool that tells whether a key was carried out; empty when there is none."""
    if not tool_version_id:
        return ""
    return str(tool_document(tool_version_id).get("lookup") or "")


def tool_fingerprint(version_id: int | None) -> str:
    """The digest of a tool version; empty for a tool that the catalog doesn't know."""
    return _tool(version_id).fingerprint if version_id else ""


def drift(version_id: int | None) -> list[str]:
    """In what the tool's server describes it otherwise now than when this version was published, as
    sentences; empty if in nothing, or if nobody could ask. Read anew each time: it changes."""
    row = ToolVersion.objects.filter(pk=version_id).select_related("tool").first()
    return drift_of(row) if row else []


def drift_of(version: ToolVersion) -> list[str]:
    """The same of a version that was just read with its tool."""
    live = version.tool.live_digest
    if not version.served_digest or not live or version.served_digest == live:
        return []
    return changes(version.served, version.tool.live)


def tool_server(version_id: int) -> str:
    """Slug of the server that offers the tool."""
    return _tool(version_id).tool.server.slug


@lru_cache(maxsize=2048)
def tool_versions(contract_version_id: int) -> Mapping[str, ToolVersion]:
    """Every tool of the contract's domain by name, at the newest version that existed when the
    contract was published; tools the contract doesn't list are there too, so that a proposal of one
    can be judged for what it is."""
    contract = ContractVersion.objects.select_related("job__domain").get(pk=contract_version_id)
    versions = (
        ToolVersion.objects.filter(tool__domain=contract.job.domain)
        .select_related("tool")
        .order_by("tool_id", "number")
    )
    pinned: dict[str, ToolVersion] = {}
    for version in versions:
        if version.created_at <= contract.published_at or version.tool.name not in pinned:
            pinned[version.tool.name] = version
    return pinned


@lru_cache(maxsize=2048)
def _agent(version_id: int) -> AgentVersion:
    return AgentVersion.objects.select_related("agent").get(pk=version_id)


def agent_slug(version_id: int) -> str:
    return _agent(version_id).agent.slug


def agent_document(version_id: int) -> Mapping[str, Any]:
    """An agent version: prompt and its number, model, fallback models, settings."""
    return _agent(version_id).document


@lru_cache(maxsize=512)
def model_terms(version_id: int) -> ModelTerms:
    """A version of a model: where and how it is asked, and what it costs."""
    row = LanguageModelVersion.objects.get(pk=version_id)
    return terms_of(row.document, row.number)


def models_of(agent: Mapping[str, Any]) -> dict[str, ModelTerms]:
    """The models of the catalog that an agent's version pins, by the names that it states."""
    return {slug: model_terms(pk) for slug, pk in (agent.get("models") or {}).items()}


@dataclass(frozen=True, slots=True)
class AskedModels:
    """The models that may be asked for a turn. ``names``: in their order, one at least;
    ``known``: those of them that the catalog holds."""

    names: tuple[str, ...]
    known: Mapping[str, ModelTerms]


def asked_models(agent_version_id: int, contract_version_id: int) -> AskedModels:
    """The models of an agent's version, then those of the contract's fallbacks, at the versions
    that the contract's pins. A name that several state is what the first of them means by it."""
    agent = agent_document(agent_version_id)
    stated = [(name, agent) for name in models_named(agent)]
    if not agent.get("model"):
        stated.insert(0, (CONFIGURED, agent))
    pins = resolved(contract_version_id).get("agents", {})
    for slug in contract(contract_version_id).agent.fallbacks:
        other = _agent(pins[slug]) if slug in pins else agent_version(slug)
        if other.agent.kind == Agent.Kind.MODEL:
            stated.append((str(other.document.get("model") or CONFIGURED), other.document))
    first = dict(reversed(stated))  # of each name, who states it first
    names = tuple(dict.fromkeys(name for name, _ in stated))
    known = {name: terms for name in names if (terms := models_of(first[name]).get(name))}
    return AskedModels(names, known)


@lru_cache(maxsize=512)
def prompt_text(slug: str, number: int) -> str:
    return PromptVersion.objects.values_list("text", flat=True).get(
        prompt__slug=slug, number=number
    )


def current_jobs(domain_slug: str) -> dict[str, frozenset[str]]:
    """Active jobs of a domain with the tools that their current contracts list."""
    rows = ContractVersion.objects.filter(
        job__domain__slug=domain_slug, job__is_active=True, number=F("job__current_number")
    ).values_list("job__slug", "document")
    return {slug: frozenset(t["name"] for t in doc.get("tools", ())) for slug, doc in rows}


def replay_mappings() -> dict[str, dict[str, Any]]:
    """How recordings are read, by the slug of each domain that has a job."""
    rows = Domain.objects.filter(jobs__is_active=True).distinct()
    return {slug: mapping or {} for slug, mapping in rows.values_list("slug", "replay")}


def current_contract(job_slug: str) -> ContractVersion:
    """The version that new runs of a job pin. Raises ``ContractVersion.DoesNotExist``."""
    return ContractVersion.objects.select_related("job").get(
        job__slug=job_slug, number=F("job__current_number")
    )


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run of a job that begins now pins. ``agent_version_id``: the domain's agent of the
    wanted kind, as ``agent_of_kind`` finds it; None if it has none."""

    contract_version_id: int
    contract_number: int
    domain_slug: str
    agent_version_id: int | None


_BEGINNING = """
    SELECT v.id, v.number, d.slug, (
        SELECT av.id FROM catalog_agent a
        JOIN catalog_agentversion av ON av.agent_id = a.id AND av.number = a.current_number
        WHERE a.kind = %s AND starts_with(a.slug, d.slug || '-') ORDER BY a.slug LIMIT 1)
    FROM catalog_job j JOIN catalog_domain d ON d.id = j.domain_id
    JOIN catalog_contractversion v ON v.job_id = j.id AND v.number = j.current_number
    WHERE j.slug = %s AND j.is_active
"""


def beginning(job_slug: str, *, kind: str) -> Beginning:
    """What a run that begins now pins, in one statement: a machine waits for it. Raises
    NotFoundError for an unknown, retired or unpublished job."""
    rows = fetch(_BEGINNING, [kind, job_slug])
    if not rows:
        raise NotFoundError(f"There is no published job “{job_slug}”.", job=job_slug)
    return Beginning(*rows[0])


def agent_of_kind(domain_slug: str, kind: str) -> AgentVersion:
    """The current version of a domain's agent of this kind: its slug starts with the domain's.
    Raises ``AgentVersion.DoesNotExist``."""
    return (
        AgentVersion.objects.select_related("agent")
        .filter(agent__slug__startswith=f"{domain_slug}-", agent__kind=kind)
        .filter(number=F("agent__current_number"))
        .order_by("agent__slug")[:1]
        .get()
    )
