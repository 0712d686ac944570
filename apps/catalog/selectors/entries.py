"""Tools, models, agents and prompts, and what names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import F, Q, QuerySet

from apps.catalog.domain.served import ServedTool, ServedTools
from apps.catalog.models import (
    Agent,
    AgentVersion,
    ContractVersion,
    Domain,
    Job,
    LanguageModel,
    LanguageModelVersion,
    Prompt,
    PromptVersion,
    ServerCheck,
    Tool,
    ToolServer,
    ToolVersion,
)
from apps.kernel.errors import NotFoundError


def get_agent(slug: str) -> Agent:
    """Raises NotFoundError."""
    agent = Agent.objects.select_related("domain").filter(slug=slug).first()
    if agent is None:
        raise NotFoundError(f"There is no agent “{slug}”.", agent=slug)
    return agent


def prompt_slugs(agent: Agent) -> frozenset[str]:
    """The published prompts that an agent may name: of its domain, where that is known."""
    found = Prompt.objects.filter(current_number__gt=0)
    if agent.domain_id is not None:
        found = found.filter(domain_id=agent.domain_id)
    return frozenset(found.values_list("slug", flat=True))


def current_prompt(slug: str) -> PromptVersion | None:
    """The version in force of a prompt."""
    return PromptVersion.objects.filter(
        prompt__slug=slug, number=F("prompt__current_number")
    ).first()


def jobs_with_tool(tool: Tool) -> list[ContractVersion]:
    """Current contracts that list the tool."""
    lists = Q(job__domain=tool.domain, document__tools__contains=[{"name": tool.name}])
    return list(_contracts(lists))


def jobs_with_tools(tools: Sequence[Tool]) -> list[ContractVersion]:
    """Current contracts that list one of the tools; each once."""
    lists = Q(pk=None)
    for tool in tools:
        lists |= Q(job__domain=tool.domain, document__tools__contains=[{"name": tool.name}])
    return list(_contracts(lists))


def jobs_with_agents(slugs: Sequence[str]) -> list[ContractVersion]:
    """Current contracts that name one of the agents, fallbacks included; each once."""
    names = Q(document__agent__slug__in=slugs)
    for slug in slugs:
        names |= Q(document__agent__fallbacks__contains=[slug])
    return list(_contracts(names))


def _contracts(which: Q) -> QuerySet[ContractVersion]:
    current = ContractVersion.objects.filter(which, number=F("job__current_number"))
    return current.select_related("job__domain").order_by("job__slug")


def agents_with_prompt(slug: str) -> list[AgentVersion]:
    """Current versions of agents that name the prompt."""
    found = AgentVersion.objects.filter(number=F("agent__current_number"), document__prompt=slug)
    return list(found.select_related("agent").order_by("agent__slug"))


def get_model(slug: str) -> LanguageModel:
    """Raises NotFoundError."""
    found = LanguageModel.objects.select_related("domain").filter(slug=slug).first()
    if found is None:
        raise NotFoundError(f"There is no model “{slug}”.", model=slug)
    return found


def model_slugs() -> frozenset[str]:
    """The models that the catalog holds and somebody has published."""
    found = LanguageModel.objects.filter(current_number__gt=0)
    return frozenset(found.values_list("slug", flat=True))


def current_models() -> list[int]:
    """The versions in force of all models."""
    found = LanguageModelVersion.objects.filter(number=F("model__current_number"))
    return list(found.order_by("model__slug").values_list("pk", flat=True))


def models_named(entry: Mapping[str, Any]) -> list[str]:
    """The names of models that an agent's entry states, in its order."""
    stated = [entry.get("model"), *(entry.get("fallback_models") or ())]
    return [str(name) for name in stated if name]


def pinned_models(names: Iterable[str]) -> dict[str, int]:
    """Which of these names mean a model of the catalog now, and the id of its version in force."""
    found = LanguageModelVersion.objects.filter(
        model__slug__in=list(names), number=F("model__current_number")
    )
    return dict(found.order_by("model__slug").values_list("model__slug", "pk"))


def agents_with_model(slug: str) -> list[AgentVersion]:
    """Current versions of agents that pin a version of the model."""
    found = AgentVersion.objects.filter(
        number=F("agent__current_number"), document__models__has_key=slug
    )
    return list(found.select_related("agent").order_by("agent__slug"))


def last_listing(tool: Tool) -> ServedTools | None:
    """What is known of the tool's server since it was last asked: the tool as the server describes
    it, and the names of others; None where nobody could ask."""
    live = tool.live
    if not isinstance(live, Mapping):
        return None
    names = set(Tool.objects.filter(server_id=tool.server_id).values_list("name", flat=True))
    names |= _helpers(tool) | _unused(tool)
    tools = {name: ServedTool(name) for name in sorted(names - {tool.name})}
    if not live.get("gone"):
        tools[tool.name] = _served(tool.name, live)
    return ServedTools(tools)


def was_asked(tool: Tool) -> bool:
    """Whether its server has said what it offers."""
    answered = ServerCheck.objects.exclude(answered_at=None)
    return answered.filter(server_id=tool.server_id).exists()


def _unused(tool: Tool) -> set[str]:
    check = ServerCheck.objects.filter(server_id=tool.server_id).first()
    unused = check.unused if check is not None else []
    return {n for n in unused if isinstance(n, str)} if isinstance(unused, list) else set()


def _helpers(tool: Tool) -> set[str]:
    """Previews and look-ups that current tools of its server name."""
    current = ToolVersion.objects.filter(
        tool__server_id=tool.server_id, number=F("tool__current_number")
    )
    documents = current.values_list("document", flat=True)
    return {d[key] for d in documents for key in ("preview", "lookup") if d.get(key)}


def _served(name: str, live: Mapping[str, Any]) -> ServedTool:
    if problem := live.get("problem"):
        return ServedTool(name, problem=str(problem))
    schema, hints = live.get("input_schema"), live.get("hints")
    return ServedTool(
        name,
        input_schema=schema if isinstance(schema, Mapping) else {},
        hints=hints if isinstance(hints, Mapping) else {},
    )


def server_of(domain: Domain) -> str:
    """The slug of the server that offers a domain's tools; empty where there is none yet."""
    if domain.server is not None:
        return str(domain.server.slug)
    slugs = ToolServer.objects.filter(tools__domain=domain).values_list("slug", flat=True)
    return slugs.order_by("slug").first() or ""


def server_slugs() -> list[str]:
    """The tool servers that the catalog knows."""
    return list(ToolServer.objects.order_by("slug").values_list("slug", flat=True))


def domain_of(slug: str) -> Domain | None:
    """The domain of this slug, if there is one."""
    return Domain.objects.select_related("server").filter(slug=slug).first()


def domain_names() -> dict[str, str]:
    """The name of each domain, by slug."""
    return dict(Domain.objects.order_by("slug").values_list("slug", "name"))


def domains_without_jobs() -> list[str]:
    """Domains that no job belongs to, such as one whose pack lies here without its jobs."""
    return list(Domain.objects.filter(jobs=None).order_by("slug").values_list("slug", flat=True))


def domain_slugs() -> list[str]:
    return list(Domain.objects.order_by("slug").values_list("slug", flat=True))


def domains_for_teams() -> list[tuple[str, str]]:
    """(slug, name) of each domain."""
    return list(Domain.objects.values_list("slug", "name"))


def tool_names(domain_slug: str) -> frozenset[str]:
    """Every tool of a domain, published or begun."""
    found = Tool.objects.filter(domain__slug=domain_slug)
    return frozenset(found.values_list("name", flat=True))


def jobs_for_tokens() -> list[tuple[str, str]]:
    """(slug, name and domain) of each job that has a contract: domains may name theirs alike."""
    jobs = Job.objects.filter(current_number__gt=0).values_list("slug", "name", "domain__name")
    return [(slug, f"{name} ({domain})") for slug, name, domain in jobs]
