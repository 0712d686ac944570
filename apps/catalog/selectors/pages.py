"""Reads of the catalog's pages. Each list costs the same number of queries for any number of
rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from apps.catalog.domain.contract import Contract, build
from apps.catalog.domain.diff import Change, Kind, compare
from apps.catalog.domain.schemadiff import names
from apps.catalog.models import (
    AgentVersion,
    ContractDraft,
    ContractVersion,
    Domain,
    Job,
    LanguageModelVersion,
    Prompt,
    ToolVersion,
)
from apps.catalog.selectors import pinned
from apps.catalog.selectors.contracts import contract, tool_versions_for
from apps.kernel.exactjson import dumps
from apps.kernel.statements import fetch
from apps.oversight.domain import ladder


@dataclass(frozen=True, slots=True)
class CatalogRow:
    job: Job
    version: ContractVersion
    contract: Contract
    draft: ContractDraft | None


def _current_contracts() -> QuerySet[ContractVersion]:
    return ContractVersion.objects.filter(number=F("job__current_number"))


def jobs(
    *,
    q: str = "",
    domain: str = "",
    owner: str = "",
    criticality: str = "",
    draft: bool = False,
    after: str = "",
    size: int = 20,
) -> tuple[list[CatalogRow], str]:
    """One page of published jobs in the order of their slugs, and the slug the next page starts
    after (empty on the last)."""
    found = _current_contracts().select_related("job__domain", "job__draft__author")
    if q:
        words = Q()
        for word in q.split():
            words &= (
                Q(job__name__icontains=word)
                | Q(job__slug__icontains=word)
                | Q(job__owner__icontains=word)
                | Q(job__purpose__icontains=word)
            )
        found = found.filter(words)
    exact = {
        "job__domain__slug": domain,
        "job__owner": owner,
        "job__criticality": criticality,
        "job__slug__gt": after,
    }
    found = found.filter(**{k: v for k, v in exact.items() if v})
    if draft:
        found = found.filter(job__draft__isnull=False)
    rows = list(found.order_by("job__slug")[: size + 1])
    more = rows[size - 1].job.slug if len(rows) > size else ""
    return [_row(v) for v in rows[:size]], more


def _row(version: ContractVersion) -> CatalogRow:
    draft = getattr(version.job, "draft", None)
    return CatalogRow(version.job, version, contract(version.pk), draft)


def filter_choices() -> dict[str, list[str]]:
    """What the filters may be set to."""
    return {
        "domains": list(Domain.objects.order_by("slug").values_list("slug", flat=True)),
        "owners": list(Job.objects.order_by("owner").values_list("owner", flat=True).distinct()),
    }


_COUNTS = """
    SELECT (SELECT count(*) FROM catalog_job WHERE current_number > 0),
        (SELECT count(*) FROM catalog_tool WHERE current_number > 0),
        (SELECT count(*) FROM catalog_agent WHERE current_number > 0),
        (SELECT count(*) FROM catalog_languagemodel WHERE current_number > 0),
        (SELECT count(*) FROM catalog_prompt WHERE current_number > 0),
        (SELECT count(*) FROM catalog_toolserver s WHERE current_number > 0 OR url <> ''
            OR EXISTS (SELECT FROM catalog_tool t WHERE t.server_id = s.id)
            OR EXISTS (SELECT FROM catalog_domain d WHERE d.server_id = s.id))"""


def counts() -> dict[str, int]:
    """How many of each the catalog holds."""
    names = ("jobs", "tools", "agents", "models", "prompts", "servers")
    return dict(zip(names, fetch(_COUNTS, [])[0], strict=True))


@dataclass(frozen=True, slots=True)
class ToolLine:
    """A tool as a contract uses it: the contract's terms beside what the tool is."""

    terms: Any
    version: ToolVersion | None
    drift: list[str]  # what its server says otherwise now


def tool_lines(version: ContractVersion, found: Contract) -> list[ToolLine]:
    used = tool_versions_for(version)
    return [_line(terms, used.get(terms.name)) for terms in found.tools]


def _line(terms: Any, version: ToolVersion | None) -> ToolLine:
    return ToolLine(terms, version, pinned.drift_of(version) if version else [])


@dataclass(frozen=True, slots=True)
class EscalationPlan:
    """What becomes of a held step that nobody decides: who is called when, and how it ends."""

    rungs: list[tuple[ladder.Rung, float]]  # with the seconds after which it is reached
    stays_open: bool


def waiting(found: Contract) -> EscalationPlan:
    terms = found.decisions
    outlives = terms.on_timeout == "escalate" and terms.window_s < found.limits.deadline_s
    written = [{"at": rung.at, "to": rung.to} for rung in terms.escalation]
    rungs = ladder.rungs(written, stays_open=outlives)
    return EscalationPlan([(rung, rung.at * terms.window_s) for rung in rungs], outlives)


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: ContractVersion
    changes: list[Change]

    @property
    def weaker(self) -> int:
        return sum(c.kind == Kind.WEAKER for c in self.changes)


def versions(job: Job, effects: dict[str, str], limit: int = 50) -> list[VersionRow]:
    """Versions of a job, newest first, each with what it changed."""
    rows = list(job.versions.select_related("author", "approver").order_by("-number")[: limit + 1])
    out = []
    for row, older in zip(rows, [*rows[1:], None], strict=True):
        changes = compare(build(older.document), build(row.document), effects) if older else []
        out.append(VersionRow(row, changes))
    return out[:limit]


def tools(domain: str = "") -> list[ToolVersion]:
    found = ToolVersion.objects.filter(number=F("tool__current_number")).select_related(
        "tool__domain", "tool__server"
    )
    if domain:
        found = found.filter(tool__domain__slug=domain)
    return list(found.order_by("tool__domain__slug", "tool__name"))


def tool_use() -> Counter[tuple[str, str]]:
    """``{(domain, tool): how many current contracts list it}``."""
    found: Counter[tuple[str, str]] = Counter()
    rows = _current_contracts().values_list("job__domain__slug", "document__tools")
    for domain, entries in rows:
        found.update((domain, entry["name"]) for entry in entries)
    return found


def agents() -> list[AgentVersion]:
    return list(
        AgentVersion.objects.filter(number=F("agent__current_number"))
        .select_related("agent")
        .order_by("agent__slug")
    )


def agent_use() -> Counter[str]:
    """``{agent slug: how many current contracts name it}``, fallbacks included."""
    found: Counter[str] = Counter()
    for agent in _current_contracts().values_list("document__agent", flat=True):
        found.update({agent["slug"], *agent.get("fallbacks", ())})
    return found


def models() -> list[LanguageModelVersion]:
    """Those of the catalog, as they are now."""
    return list(
        LanguageModelVersion.objects.filter(number=F("model__current_number"))
        .select_related("model__domain")
        .order_by("model__slug")
    )


def model_use() -> Counter[str]:
    """``{model slug: how many current agents pin it}``."""
    rows = AgentVersion.objects.filter(number=F("agent__current_number"))
    found: Counter[str] = Counter()
    for document in rows.values_list("document", flat=True):
        found.update(document.get("models") or {})
    return found


def prompts() -> list[Prompt]:
    return list(
        Prompt.objects.filter(current_number__gt=0)
        .select_related("domain")
        .annotate(version_count=Count("versions"))
        .order_by("slug")
    )


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool, for people."""

    name: str
    kind: str
    required: bool
    description: str
    choices: str = ""


MOST_ARGUMENTS = 300
MOST_CHOICES = 50
MOST_LISTS = 5  # within each other
CHARACTERS = 2_000


def arguments(schema: Any) -> list[Argument]:
    """The arguments that a schema names, as far as it is in the form that most have. Never raises:
    it may be a tool server's."""
    found = schema if isinstance(schema, dict) else {}
    properties, required = found.get("properties"), names(found, "required")
    listed = properties.items() if isinstance(properties, dict) else ()
    return [
        Argument(
            name=name,
            kind=_kind(entry, MOST_LISTS),
            required=name in required,
            description=_text(entry.get("description", "")),
            choices=_choices(entry.get("enum")),
        )
        for name, entry in islice(listed, MOST_ARGUMENTS)
        if isinstance(entry, dict)
    ]


def _kind(entry: dict[str, Any], lists: int) -> str:
    kind = entry.get("type", "any")
    if kind == "array" and isinstance(entry.get("items"), dict) and lists:
        return f"list of {_kind(entry['items'], lists - 1)}"
    return " or ".join(map(_text, kind)) if isinstance(kind, list) else _text(kind)


def _choices(stated: Any) -> str:
    found = [_text(choice) for choice in stated[:MOST_CHOICES]] if isinstance(stated, list) else []
    more = len(stated) - MOST_CHOICES if isinstance(stated, list) else 0
    return ", ".join([*found, f"and {more:,} more"] if more > 0 else found)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else dumps(value)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"
