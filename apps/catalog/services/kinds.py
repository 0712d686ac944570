"""Tools, tool servers, models, agents and prompts as kinds of document: what is checked, compared
and published.
How a draft becomes a version is in ``documents``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from apps.catalog import selectors
from apps.catalog.adapters.addresses import is_configured, trouble_of_server
from apps.catalog.adapters.models import trouble_of
from apps.catalog.domain import checks, entrydiff
from apps.catalog.domain.contract import parse
from apps.catalog.domain.entries import parse_agent, parse_tool
from apps.catalog.domain.keys import OF_SERVERS
from apps.catalog.domain.language_models import parse_model, secret_in, terms_of
from apps.catalog.domain.structure import nearest
from apps.catalog.domain.tool_servers import parse_server
from apps.catalog.domain.tool_servers import terms_of as server_terms
from apps.catalog.forms import agent_sections, model_sections, server_sections, tool_sections
from apps.catalog.models import (
    Agent,
    AgentDraft,
    AgentVersion,
    LanguageModel,
    LanguageModelDraft,
    LanguageModelVersion,
    Prompt,
    PromptDraft,
    PromptVersion,
    Tool,
    ToolDraft,
    ToolServer,
    ToolServerDraft,
    ToolServerVersion,
    ToolVersion,
)
from apps.catalog.selectors import servers
from apps.catalog.services.drafts import known_for
from apps.catalog.services.following import (
    follow_agent,
    follow_model,
    follow_prompt,
    follow_server,
    follow_tool,
    unfit_for,
)
from apps.catalog.services.writing import (
    Byline,
    agent_document,
    hold_catalog,
    write_agent,
    write_model,
    write_prompt,
    write_server,
    write_tool,
)
from apps.documents.domain.changes import Change, ordered
from apps.documents.domain.kinds import Consequences, DocumentKind, Edition
from apps.kernel.documents import Document, Problem, load
from apps.kernel.errors import InvalidInputError
from apps.kernel.fields import Section
from apps.kernel.transactions import participant

V = TypeVar("V", LanguageModelVersion, ToolServerVersion)
HELPERS = ("preview", "lookup", "preview_then")
MOST_OF_PROMPT = 100_000  # characters


class _Kind:
    """What the five have in common."""

    permission = "catalog.edit"
    refusal = "Only an admin changes the catalog."
    format = "yaml"

    def unkeepable(self, text: str) -> str:
        return ""

    def first_changes(self, subject: Any, text: str) -> Sequence[Change]:
        return ()

    def broken(self, subject: Any, text: str) -> Sequence[str]:
        return ()

    def current(self, subject: Any) -> Any | None:
        return subject.versions.filter(number=subject.current_number).first()

    def version(self, subject: Any, number: int) -> Any | None:
        return subject.versions.filter(number=number).first()

    def _said(self, edition: Edition) -> Byline:
        return Byline(
            edition.actor, edition.note, edition.notes, edition.author_id, edition.approver_id
        )


class ToolKind(_Kind):
    """A tool: what a call does, and how the tower asks, tries and looks it up."""

    name = "tool"
    subject_type = "tool"
    drafts = ToolDraft
    subject_field = "tool"

    def problems(self, subject: Tool, text: str) -> Sequence[Problem]:
        document, source, problems = parse_tool(text, name=subject.name)
        if document is None:
            return problems
        problems = [*problems, *_against_server(subject, document, source)]
        if not any(p.is_error for p in problems):
            problems += _what_breaks(subject, document, source)
        return problems

    def changes(self, subject: Tool, before: ToolVersion, text: str) -> Sequence[Change]:
        document, _, _ = parse_tool(text, name=subject.name)
        return entrydiff.compare_tools(before.document, document) if document else ()

    def consequences(self, subject: Tool, text: str, *, readable: bool) -> Consequences:
        return _reaching(selectors.jobs_with_tool(subject))

    def sections(self, subject: Tool, text: str) -> Sequence[Section]:
        return tool_sections()

    @participant
    def publish(self, subject: Tool, edition: Edition) -> ToolVersion:
        hold_catalog()
        document, _, problems = parse_tool(edition.text, name=subject.name)
        if document is None:
            raise InvalidInputError("The draft has problems.", problems=problems)
        subject.refresh_from_db(fields=["live"])
        said = self._said(edition)
        version = write_tool(
            subject, document=document, written=edition.text, served=_live(subject), said=said
        )
        follow_tool(subject, said)
        return version


def _live(tool: Tool) -> dict[str, Any] | None:
    """What its server said of it when it was last asked, if that can be read."""
    live = tool.live
    is_readable = isinstance(live, dict) and "input_schema" in live
    return live if is_readable else None


def _against_server(tool: Tool, document: dict[str, Any], source: Document) -> list[Problem]:
    """In what the entry contradicts what the server says, as far as that is known."""
    # Before what it said is read: a first answer that comes in between is looked at next time.
    was_asked = selectors.was_asked(tool)
    listing = selectors.last_listing(tool)
    if listing is None:
        return []
    unserved = [
        source.problem(
            (key,),
            f"The tool server doesn't serve “{document[key]}”.",
            nearest(document[key], listing.tools) or f"Correct the name, or leave {key} out.",
        )
        for key in ("preview", "lookup")
        if was_asked and document.get(key) and document[key] not in listing.tools
    ]
    return unserved + [
        source.problem((f.field,), f.message, f.fix, severity="error" if f.is_error else "warning")
        for f in checks.findings([document], listing)
        if f.field not in HELPERS  # of which only the names are kept; applying a pack asks more
    ]


def _what_breaks(tool: Tool, document: dict[str, Any], source: Document) -> list[Problem]:
    """Policy sets and contracts of the domain that would no longer fit."""
    domain = tool.domain
    documents = {d["name"]: d for d in selectors.tool_documents(domain.slug)}
    documents[tool.name] = document
    problems = [
        source.problem(
            (),
            f"The policy set “{slug}” would no longer fit: {why}",
            "Publish a version of it that fits both first.",
        )
        for slug, why in unfit_for(domain.slug, documents).items()
    ]
    effects = {name: entry["effect"] for name, entry in documents.items()}
    for version in selectors.jobs_with_tool(tool):
        known = known_for(version.job, effects)
        if wrong := parse(version.text, known).errors:
            message = f"The contract of “{version.job.slug}” would no longer fit: {wrong[0]}"
            problems.append(source.problem((), message, "Publish a version that fits first."))
    return problems


class AgentKind(_Kind):
    """An agent: who proposes steps, with which prompt and which models."""

    name = "agent"
    subject_type = "agent"
    drafts = AgentDraft
    subject_field = "agent"

    def problems(self, subject: Agent, text: str) -> Sequence[Problem]:
        _, problems = parse_agent(text, slug=subject.slug, prompts=selectors.prompt_slugs(subject))
        return problems or _of_models(load(text, exact=True))

    def changes(self, subject: Agent, before: AgentVersion, text: str) -> Sequence[Change]:
        old, new = load(before.text, exact=True).value, load(text, exact=True).value
        if not (old and new):
            return ()
        stated = [n for n in selectors.models_named(new) if n in selectors.models_named(old)]
        pins = {n: pk for n, pk in (before.document.get("models") or {}).items() if n in stated}
        moved = entrydiff.compare_pins(pins, selectors.pinned_models(stated))
        return ordered([*entrydiff.compare_agents(old, new), *moved])

    def consequences(self, subject: Agent, text: str, *, readable: bool) -> Consequences:
        return _reaching(selectors.jobs_with_agents([subject.slug]))

    def sections(self, subject: Agent, text: str) -> Sequence[Section]:
        prompts = tuple(sorted(selectors.prompt_slugs(subject)))
        return agent_sections(prompts, models=tuple(sorted(selectors.model_slugs())))

    @participant
    def publish(self, subject: Agent, edition: Edition) -> AgentVersion:
        hold_catalog()
        known = selectors.prompt_slugs(subject)
        entry, problems = parse_agent(edition.text, slug=subject.slug, prompts=known)
        if entry is None:
            raise InvalidInputError("The draft has problems.", problems=problems)
        said = self._said(edition)
        prompt = selectors.current_prompt(entry.get("prompt", ""))
        Agent.objects.filter(pk=subject.pk).update(name=entry["name"], kind=entry["kind"])
        subject.name, subject.kind = entry["name"], entry["kind"]
        version = write_agent(
            subject,
            document=agent_document(
                entry, prompt, selectors.pinned_models(selectors.models_named(entry))
            ),
            kind=entry["kind"],
            written=edition.text,
            said=said,
        )
        follow_agent(subject, said)
        return version


def _of_models(source: Document) -> list[Problem]:
    """Names of models that the catalog doesn't hold: they are the provider's own. Told where the
    catalog holds any, since it may be a slip."""
    known = selectors.model_slugs()
    stated = selectors.models_named(source.value) if known else []
    told = []
    for name in stated:
        if name not in known:
            message = f"“{name}” is no published model of the catalog."
            fix = (
                nearest(name, known) or "It is asked of the provider that the tower is set up with."
            )
            path = ("model",) if source.value.get("model") == name else ("fallback_models",)
            told.append(source.problem(path, message, fix, severity="warning"))
    return told


class ModelKind(_Kind):
    """A model: where it is asked, by which name, with whose key, at what price."""

    name = "model"
    subject_type = "model"
    drafts = LanguageModelDraft
    subject_field = "model"

    def unkeepable(self, text: str) -> str:
        return secret_in(text)

    def problems(self, subject: LanguageModel, text: str) -> Sequence[Problem]:
        entry, problems = parse_model(text, slug=subject.slug)
        if entry is None:
            return problems
        trouble = trouble_of(terms_of(entry, subject.current_number + 1))
        return [Problem(trouble, path="key", severity="warning")] if trouble else []

    def changes(
        self, subject: LanguageModel, before: LanguageModelVersion, text: str
    ) -> Sequence[Change]:
        entry, _ = parse_model(text, slug=subject.slug)
        return entrydiff.compare_models(before.document, entry) if entry else ()

    def consequences(self, subject: LanguageModel, text: str, *, readable: bool) -> Consequences:
        agents = [row.agent.slug for row in selectors.agents_with_model(subject.slug)]
        lines = [f"Agent {slug} gets a version with it." for slug in agents]
        reached = _reaching(selectors.jobs_with_agents(agents))
        none = [] if agents else ["No agent names it yet."]
        return Consequences([*none, *lines, *(reached.lines if agents else ())], reached.counts)

    def sections(self, subject: LanguageModel, text: str) -> Sequence[Section]:
        return model_sections()

    @participant
    def publish(self, subject: LanguageModel, edition: Edition) -> LanguageModelVersion:
        hold_catalog()
        said = self._said(edition)
        version = _publish_entry(subject, edition, parse_model, write_model, said)
        follow_model(subject, version, said)
        return version


class ServerKind(_Kind):
    """A tool server: where it is called, and with whose key."""

    name = "server"
    subject_type = "server"
    drafts = ToolServerDraft
    subject_field = "server"

    def unkeepable(self, text: str) -> str:
        return OF_SERVERS.secret_in(text)

    def problems(self, subject: ToolServer, text: str) -> Sequence[Problem]:
        entry, problems = parse_server(text, slug=subject.slug)
        if entry is None:
            return problems
        trouble = trouble_of_server(server_terms(entry, subject.current_number + 1))
        told = {"url": _overruled(subject, entry["url"]), "key": trouble}
        return [Problem(why, path=path, severity="warning") for path, why in told.items() if why]

    def changes(
        self, subject: ToolServer, before: ToolServerVersion, text: str
    ) -> Sequence[Change]:
        entry, _ = parse_server(text, slug=subject.slug)
        return entrydiff.compare_servers(before.document, entry) if entry else ()

    def first_changes(self, subject: ToolServer, text: str) -> Sequence[Change]:
        """Against the address that its pack states: tools may be called there now."""
        entry, _ = parse_server(text, slug=subject.slug)
        if not (entry and subject.url):
            return ()
        return entrydiff.compare_servers({"name": entry["name"], "url": subject.url}, entry)

    def consequences(self, subject: ToolServer, text: str, *, readable: bool) -> Consequences:
        return _called_there(subject)

    def sections(self, subject: ToolServer, text: str) -> Sequence[Section]:
        return server_sections()

    @participant
    def publish(self, subject: ToolServer, edition: Edition) -> ToolServerVersion:
        hold_catalog()
        before = self.current(subject)
        said = self._said(edition)
        version = _publish_entry(subject, edition, parse_server, write_server, said)
        follow_server(subject, before, version)
        return version


@participant
def _publish_entry(
    subject: Any,
    edition: Edition,
    parse_entry: Callable[..., tuple[dict[str, Any] | None, list[Problem]]],
    write: Callable[..., V],
    said: Byline,
) -> V:
    """The next version of an entry that is its text and no more; its name is known by the row."""
    entry, problems = parse_entry(edition.text, slug=subject.slug)
    if entry is None:
        raise InvalidInputError("The draft has problems.", problems=problems)
    type(subject).objects.filter(pk=subject.pk).update(name=entry["name"])
    subject.name = entry["name"]
    return write(subject, document=entry, written=edition.text, said=said)


def _overruled(server: ToolServer, url: str) -> str:
    """Who else says where it is, and who of them is believed; empty if nobody else does."""
    if is_configured(server.slug):
        return (
            f"The environment or the file of servers says where “{server.slug}” is: this address is"
            " called once that entry is taken out."
        )
    if server.url and server.url != url and not server.current_number:
        return f"Its pack states {server.url}, which is no longer called then."
    return ""


def _called_there(server: ToolServer) -> Consequences:
    """The tools that its address is for."""
    if is_configured(server.slug):
        return Consequences(["Nothing is called there while the environment or the file names it."])
    tools = servers.tools_of(server)
    names = [f"{tool.domain.slug}/{tool.name}" for tool in tools[:MOST_TOLD]]
    if not tools:
        return Consequences(["No published tool is offered by it yet."])
    more = f" and {len(tools) - MOST_TOLD} more" if len(tools) > MOST_TOLD else ""
    return Consequences(
        [
            f"Calls go there from then on, also of runs on their way: {', '.join(names)}{more}.",
            "With another address or key, open questions and unused approvals about them are taken"
            " back and asked anew.",
        ]
    )


class PromptKind(_Kind):
    """What a live model is told first: prose."""

    name = "prompt"
    subject_type = "prompt"
    drafts = PromptDraft
    subject_field = "prompt"
    format = "text"

    def problems(self, subject: Prompt, text: str) -> Sequence[Problem]:
        if not text.strip():
            return [Problem("The prompt is empty.", "Say who the agent is and what it may do.")]
        if len(text) > MOST_OF_PROMPT:
            return [Problem(f"It is longer than {MOST_OF_PROMPT:,} characters.", "Shorten it.")]
        return []

    def changes(self, subject: Prompt, before: PromptVersion, text: str) -> Sequence[Change]:
        return entrydiff.compare_prompts(before.text, text)

    def consequences(self, subject: Prompt, text: str, *, readable: bool) -> Consequences:
        agents = [row.agent.slug for row in selectors.agents_with_prompt(subject.slug)]
        lines = [f"Agent {slug} gets a version with it." for slug in agents]
        reached = _reaching(selectors.jobs_with_agents(agents))
        none = [] if agents else ["No agent names it yet."]
        return Consequences([*none, *lines, *(reached.lines if agents else ())], reached.counts)

    def sections(self, subject: Prompt, text: str) -> Sequence[Section]:
        return ()

    @participant
    def publish(self, subject: Prompt, edition: Edition) -> PromptVersion:
        hold_catalog()
        said = self._said(edition)
        version = write_prompt(subject, text=edition.text, said=said)
        follow_prompt(subject, version, said)
        return version


MOST_TOLD = 10


def _reaching(versions: Sequence[Any]) -> Consequences:
    """The contracts that get a version with it, and the runs that stay on the one before."""
    lines, counts = [], {}
    for version in versions[:MOST_TOLD]:
        job = version.job
        open_runs = sum(selectors.open_runs(job.slug).values())
        counts[job.slug] = open_runs
        noun = "run on its way keeps" if open_runs == 1 else "runs on their way keep"
        kept = f"; {open_runs} {noun} what it is now" if open_runs else ""
        lines.append(f"Job {job.slug} gets v{job.current_number + 1} with it{kept}.")
    if len(versions) > MOST_TOLD:
        lines.append(f"And {len(versions) - MOST_TOLD} more jobs.")
    return Consequences(lines or ["No current contract names it."], counts)


TOOLS: DocumentKind = ToolKind()
AGENTS: DocumentKind = AgentKind()
MODELS: DocumentKind = ModelKind()
PROMPTS: DocumentKind = PromptKind()
SERVERS: DocumentKind = ServerKind()
