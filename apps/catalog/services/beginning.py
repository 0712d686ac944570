"""What is begun in the browser: jobs, policy sets, tool servers, models, agents, prompts, and tools
as their server lists them. Each is a name and a first draft to write on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog import selectors
from apps.catalog.domain.entries import agent_entry, policy_schema
from apps.catalog.domain.language_models import CONFIGURED, RESERVED
from apps.catalog.models import Agent, Domain, Job, LanguageModel, Prompt, Tool, ToolServer
from apps.catalog.services.drafts import CONTRACTS
from apps.catalog.services.kinds import AGENTS, MODELS, PROMPTS, SERVERS, TOOLS
from apps.catalog.services.serving import keep_live
from apps.documents import selectors as documents_of
from apps.documents import services as documents
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.kernel.patching import dumped, scalar
from apps.kernel.transactions import command, participant
from apps.policy import selectors as policies
from apps.policy import services as policy

FIRST = """\
# What this job promises. Nothing runs under it before a second admin has published it.
job: {slug}
name: {name}
owner: {owner}
purpose: >
  Say in a sentence what comes of it, and for whom.
outcome:
  success: resolved
  target: 0.9
agent: {{slug: {agent}, fallbacks: []}}
tools:
{tools}
limits: {{deadline_s: 14400, steps: 40}}
decisions:
  policy: {policy}
  votes: 1
  window_s: 3600
  on_timeout: reject
data: {{classification: confidential}}
criticality: normal
"""


@command
def begin_job(*, domain: Domain, slug: str, name: str, author: Any) -> Job:
    """A job that has no contract yet, and its first draft: it may read with every tool of its
    domain that only reads, and change nothing. Raises ConflictError when the slug is taken."""
    documents.require(CONTRACTS, author)
    # The unique slug decides between two who begin it at once: the second finds the first one's.
    job, is_new = Job.objects.get_or_create(slug=slug, defaults={"domain": domain, "name": name})
    if not is_new:
        raise ConflictError(f"There is a job “{slug}” already.", code="slug_taken")
    documents.start(CONTRACTS, job, text=_first(domain, slug, name, author), author=author)
    return job


def _first(domain: Domain, slug: str, name: str, author: Any) -> str:
    reading = sorted(n for n, e in selectors.tool_effects(domain.pk).items() if e == "read")
    own = sorted(policies.slugs(domain.slug))
    agents = selectors.agents_of(domain.pk) or sorted(selectors.agent_slugs())
    return FIRST.format(
        slug=slug,
        name=scalar(name),
        owner=scalar(author.display_name),
        agent=scalar(agents[0] if agents else ""),
        tools="\n".join(f"  - name: {scalar(tool)}" for tool in reading) or "  []",
        policy=scalar(own[0] if own else ""),
    )


@command
def begin_policy(*, domain: Domain, slug: str, name: str, author: Any) -> str:
    """A policy set that has no version yet, and its first draft, checked against the tools of its
    domain as they are. Returns its slug; raises ConflictError when that is taken."""
    documents.require(policy.POLICIES, author)
    schema = policy_schema(selectors.tool_documents(domain.slug))
    made = policy.begin(slug=slug, name=name, domain_slug=domain.slug, schema=schema, author=author)
    return str(made.slug)


FIRST_PROMPT = """\
You work for {domain}. Say here who you are, what you may do, and when you hand a case to a person.
Use only the tools that you are given. Never guess what you can look up.
"""


@command
def begin_agent(
    *, domain: Domain, slug: str, name: str, kind: str, model: str, prompt: str, author: Any
) -> Agent:
    """An agent that has no version yet, and its first draft. Raises ConflictError when the slug is
    taken."""
    documents.require(AGENTS, author)
    agent, is_new = Agent.objects.get_or_create(
        slug=slug, defaults={"domain": domain, "name": name, "kind": kind}
    )
    if not is_new:
        raise ConflictError(f"There is an agent “{slug}” already.", code="slug_taken")
    stated = {"prompt": prompt, "model": model}
    text = dumped(agent_entry(slug, name, kind, stated))
    documents.start(AGENTS, agent, text=text, author=author)
    return agent


@command
def begin_model(
    *, domain: Domain, slug: str, name: str, url: str, model: str, key: str, author: Any
) -> LanguageModel:
    """A model that has no version yet, and its first draft. ``key`` names the variable that holds
    its key. Raises ConflictError when the slug is taken, InvalidInputError for what looks like a
    key, and for the name of the installation's own model."""
    documents.require(MODELS, author)
    if slug == CONFIGURED:
        raise InvalidInputError(f"{RESERVED} Choose another.", field="slug", code="slug_taken")
    entry = {"slug": slug, "name": name, "provider": "openai", "url": url, "model": model}
    text = dumped({**entry, **({"key": {"env": key}} if key else {})})
    found, is_new = LanguageModel.objects.get_or_create(
        slug=slug, defaults={"domain": domain, "name": name}
    )
    if not is_new:
        raise ConflictError(f"There is a model “{slug}” already.", code="slug_taken")
    documents.start(MODELS, found, text=text, author=author)
    return found


@command
def begin_server(
    *, domain: str, domain_name: str, slug: str, name: str, url: str, key: str, author: Any
) -> ToolServer:
    """The first draft of a tool server's document: of a new server, or of one that is only known
    otherwise. ``key`` names the variable that holds its key. Its domain is made where it isn't
    there yet. Raises ConflictError where the server has a document, or one is being written,
    InvalidInputError for what looks like a key."""
    documents.require(SERVERS, author)
    entry = {"slug": slug, "name": name, "url": url, **({"key": {"env": key}} if key else {})}
    text = dumped(entry)
    of, _ = Domain.objects.get_or_create(slug=domain, defaults={"name": domain_name})
    found, _ = ToolServer.objects.get_or_create(slug=slug, defaults={"name": name, "domain": of})
    # One draft a server: of two who begin at once the second finds the first one's, here or by the
    # unique row below.
    if found.current_number or documents_of.draft_of(SERVERS, found):
        raise ConflictError(f"There is a tool server “{slug}” already.", code="slug_taken")
    ToolServer.objects.filter(pk=found.pk, current_number=0).update(domain=of)
    documents.start(SERVERS, found, text=text, author=author)
    return found


@command
def begin_prompt(*, domain: Domain, slug: str, author: Any) -> Prompt:
    """A prompt that has no version yet, and its first draft. Raises ConflictError when the slug is
    taken."""
    documents.require(PROMPTS, author)
    prompt, is_new = Prompt.objects.get_or_create(slug=slug, defaults={"domain": domain})
    if not is_new:
        raise ConflictError(f"There is a prompt “{slug}” already.", code="slug_taken")
    text = FIRST_PROMPT.format(domain=domain.name)
    documents.start(PROMPTS, prompt, text=text, author=author)
    return prompt


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that somebody takes from its server: what they say of it, and what the server does."""

    entry: Mapping[str, Any]
    served: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.entry["name"])


@command
def begin_tools(
    *, server: str, domain: str, domain_name: str, offers: Sequence[Offer], note: str, author: Any
) -> list[Tool]:
    """Tools that have no version yet, each with its first draft; with a ``note`` those without
    problems are in review at once. Their server and domain are made where they aren't there yet.
    Raises ConflictError when the domain's tools are another server's, or a name is taken."""
    documents.require(TOOLS, author)
    where, _ = ToolServer.objects.get_or_create(slug=server, defaults={"name": server})
    of, _ = Domain.objects.get_or_create(
        slug=domain, defaults={"name": domain_name, "server": where}
    )
    refuse_other_server(of, server)
    Domain.objects.filter(pk=of.pk, server=None).update(server=where)
    return [_begin_tool(of, where, offer, note, author) for offer in offers]


@participant
def _begin_tool(domain: Domain, server: ToolServer, offer: Offer, note: str, author: Any) -> Tool:
    tool, is_new = Tool.objects.get_or_create(
        domain=domain, name=offer.name, defaults={"server": server}
    )
    if not is_new:
        raise ConflictError(f"There is a tool “{offer.name}” in {domain} already.", code="taken")
    keep_live(tool, offer.served)
    tool.refresh_from_db()
    text = dumped(offer.entry)
    is_sound = not any(p.is_error for p in TOOLS.problems(tool, text))
    documents.start(TOOLS, tool, text=text, author=author, note=note if is_sound else "")
    return tool


def refuse_other_server(domain: Domain, server: str) -> None:
    """A domain's tools are one server's: that is how a pack states them."""
    theirs = selectors.server_of(domain)
    if theirs not in {"", server}:
        raise ConflictError(
            f"The tools of {domain.slug} are offered by the server “{theirs}”. Choose that one, or"
            " another domain.",
            code="other_server",
        )
