"""What names a tool, an agent or a prompt follows its new version: agents their prompt, policy sets
the schema of their domain's tools, contracts all three. Runs that are on their way don't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models import F, Q

from apps.catalog import selectors
from apps.catalog.domain.contract import build
from apps.catalog.domain.entries import policy_schema
from apps.catalog.models import Agent, AgentVersion, ContractVersion, Prompt, PromptVersion, Tool
from apps.catalog.services.publishing import publish_version, resolve
from apps.catalog.services.writing import Byline, write_agent
from apps.kernel.transactions import participant
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
    lists = Q(job__domain=domain, document__tools__contains=[{"name": tool.name}])
    _follow_contracts(lists, because)


@participant
def follow_prompt(prompt: Prompt, version: PromptVersion, said: Byline) -> None:
    """Every agent that names the prompt gets a version with it, and so does what names that."""
    because = _because(f"prompt {prompt.slug}", prompt.current_number, said)
    current = AgentVersion.objects.filter(
        number=F("agent__current_number"), document__prompt=prompt.slug
    ).select_related("agent")
    for row in current.order_by("agent__slug"):
        if row.document["prompt_version"] == version.pk:
            continue
        told = {"prompt_number": version.number, "prompt_version": version.pk}
        document = {**row.document, **told}
        kind = row.agent.kind
        write_agent(row.agent, document=document, kind=kind, written=row.text, said=because)
        _follow_agent(row.agent, because)


@participant
def follow_agent(agent: Agent, said: Byline) -> None:
    _follow_agent(agent, _because(f"agent {agent.slug}", agent.current_number, said))


@participant
def _follow_agent(agent: Agent, because: Byline) -> None:
    names = Q(document__agent__slug=agent.slug)
    _follow_contracts(names | Q(document__agent__fallbacks__contains=[agent.slug]), because)


@participant
def _follow_contracts(which: Q, because: Byline) -> None:
    current = ContractVersion.objects.filter(which, number=F("job__current_number"))
    for row in current.select_related("job").order_by("job__slug"):
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
