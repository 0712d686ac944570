"""What names a tool, a model, an agent or a prompt follows its new version: agents their prompt and
models, policy sets the schema of their domain's tools, contracts all of them. Runs that are on
their way don't. A tool server is pinned by nobody: its address in force is everybody's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from apps.catalog import selectors
from apps.catalog.adapters.addresses import is_configured
from apps.catalog.domain.contract import build
from apps.catalog.domain.entries import policy_schema
from apps.catalog.models import (
    Agent,
    AgentVersion,
    ContractVersion,
    Domain,
    LanguageModel,
    LanguageModelVersion,
    Prompt,
    PromptVersion,
    ServerCheck,
    Tool,
    ToolServer,
    ToolServerVersion,
)
from apps.catalog.selectors.servers import document_terms
from apps.catalog.services.publishing import publish_version, resolve
from apps.catalog.services.writing import Byline, write_agent
from apps.kernel.transactions import participant
from apps.oversight import services as approvals
from apps.policy import selectors as policies
from apps.policy import services as policy


@participant
def follow_tool(tool: Tool, said: Byline) -> None:
    """Policies are judged by the schema of the tools as they are; contracts pin the version."""
    because = _because(f"tool {tool.name}", tool.current_number, said)
    domain = tool.domain
    policy.follow_schema(
        domain.slug,
        policy_schema(selectors.tool_documents(domain.slug)),
        actor=because.actor,
        note=because.note,
        author_id=because.author_id,
        approver_id=because.approver_id,
    )
    _follow_contracts(selectors.jobs_with_tool(tool), because)


@participant
def follow_server(
    server: ToolServer, before: ToolServerVersion | None, version: ToolServerVersion
) -> None:
    """Approvals that were given for its tools elsewhere, or as somebody else, are taken back, and
    what it offers is asked anew; not where an operator's entry says where it is, before and after.
    A domain that has no server yet has this one."""
    Domain.objects.filter(pk=server.domain_id, server=None).update(server=server)
    was = document_terms(before).called if before else ""
    if was == document_terms(version).called or is_configured(server.slug):
        return
    ServerCheck.objects.filter(server=server).delete()
    for domain, name in server.tools.values_list("domain__slug", "name"):
        approvals.void_for_tool(domain, name)


@participant
def follow_prompt(prompt: Prompt, version: PromptVersion, said: Byline) -> None:
    """Every agent that names the prompt gets a version with it, and then each contract that names
    one of them."""
    because = _because(f"prompt {prompt.slug}", prompt.current_number, said)
    agents = selectors.agents_with_prompt(prompt.slug)
    for row in agents:
        if row.document["prompt_version"] == version.pk:
            continue
        told = {"prompt_number": version.number, "prompt_version": version.pk}
        document = {**row.document, **told}
        kind = row.agent.kind
        write_agent(row.agent, document=document, kind=kind, written=row.text, said=because)
    slugs = [row.agent.slug for row in agents]
    _follow_contracts(selectors.jobs_with_agents(slugs), because)


@participant
def follow_model(
    model: LanguageModel, version: LanguageModelVersion, said: Byline, *, but: int | None = None
) -> list[str]:
    """Every agent that pins a version of the model gets one with this, and then each contract that
    names one of them; returns the agents. One that states the same name, and meant the provider's
    own when it was published, goes on meaning that. ``but``: a domain whose agents are left."""
    because = _because(f"model {model.slug}", model.current_number, said)
    rows = [row for row in selectors.agents_with_model(model.slug) if _is_elsewhere(row, but)]
    for row in rows:
        pins = {**row.document["models"], model.slug: version.pk}
        document = {**row.document, "models": pins}
        kind = row.agent.kind
        write_agent(row.agent, document=document, kind=kind, written=row.text, said=because)
    slugs = [row.agent.slug for row in rows]
    _follow_contracts(selectors.jobs_with_agents(slugs), because)
    return slugs


def _is_elsewhere(row: AgentVersion, domain_id: int | None) -> bool:
    return domain_id is None or row.agent.domain_id != domain_id


@participant
def follow_agent(agent: Agent, said: Byline) -> None:
    because = _because(f"agent {agent.slug}", agent.current_number, said)
    _follow_contracts(selectors.jobs_with_agents([agent.slug]), because)


@participant
def _follow_contracts(current: Iterable[ContractVersion], because: Byline) -> None:
    for row in current:
        contract = build(row.document)
        resolved = resolve(contract, domain_id=row.job.domain_id)
        if resolved == row.resolved:
            continue
        publish_version(
            row.job,
            contract=contract,
            document=row.document,
            text=row.text,
            resolved=resolved,
            note=because.note,
            notes=because.notes,
            actor=because.actor,
            author_id=because.author_id,
            approver_id=because.approver_id,
        )


def _because(what: str, number: int, said: Byline) -> Byline:
    return replace(said, note=f"Follows {what}, which is v{number} now", notes=[])


def unfit_for(domain_slug: str, documents: Mapping[str, Any]) -> dict[str, str]:
    """The policy sets of a domain whose text would not fit these tools, each with why."""
    schema = policy_schema(documents.values())
    found = {}
    for slug, text in policies.texts(domain_slug).items():
        if wrong := policy.validate(text=text, schema=schema):
            found[slug] = str(wrong[0])
    return found
