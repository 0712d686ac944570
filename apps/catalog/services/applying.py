"""Turn packs into versioned rows, in one transaction: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.audit.domain.actors import CATALOG, Actor
from apps.catalog import selectors
from apps.catalog.domain.contract import Contract, Parsed, build
from apps.catalog.domain.diff import compare
from apps.catalog.domain.drift import changes, served_digest
from apps.catalog.domain.entries import agent_entry, policy_schema, tool_entry
from apps.catalog.models import (
    Agent,
    Domain,
    Job,
    LanguageModel,
    LanguageModelVersion,
    Prompt,
    PromptVersion,
    Tool,
    ToolServer,
    ToolServerVersion,
    ToolVersion,
)
from apps.catalog.services import serving
from apps.catalog.services.following import follow_model, follow_server, unfit_for
from apps.catalog.services.publishing import contract_digest, publish_version, resolve
from apps.catalog.services.reading import Entry, PackError, PackFiles, read_packs
from apps.catalog.services.writing import (
    Byline,
    agent_digest,
    agent_document,
    fingerprint,
    hold_catalog,
    model_digest,
    prompt_digest,
    server_digest,
    write_agent,
    write_model,
    write_prompt,
    write_server,
    write_tool,
)
from apps.kernel.canonical import digest
from apps.kernel.documents import Problem, load
from apps.kernel.errors import InvalidInputError
from apps.kernel.patching import dumped
from apps.kernel.transactions import command, participant
from apps.policy import services as policy


@dataclass(frozen=True, slots=True)
class Applied:
    """One line of the report. ``what`` is tool, job …; ``change`` is new, changed, unchanged or
    kept (the pack didn't change and somebody edited it in the browser)."""

    what: str
    name: str
    change: str
    detail: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What applying did. ``problems`` that didn't keep it from being done are warnings."""

    dry_run: bool
    lines: list[Applied] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, what: str, name: str, change: str, *detail: str) -> None:
        self.lines.append(Applied(what, name, change, detail))

    @property
    def has_changes(self) -> bool:
        return any(line.change in {"new", "changed"} for line in self.lines)


def apply_packs(
    directories: Iterable[Path | str],
    *,
    dry_run: bool = False,
    force: bool = False,
    actor: Actor = CATALOG,
) -> Report:
    """Make the catalog what the packs say. Raises PackError with every problem, having changed
    nothing. Tool servers are asked before the transaction opens."""
    packs, warnings = read_packs([Path(d) for d in directories])
    report = _write(packs, dry_run=dry_run, force=force, actor=actor)
    report.problems += warnings
    return report


@command
def _write(packs: list[PackFiles], *, dry_run: bool, force: bool, actor: Actor) -> Report:
    hold_catalog()
    report = Report(dry_run)
    writers = [_Writer(files, report, force=force, actor=actor) for files in packs]
    for writer in writers:  # which other packs' agents may name
        writer.write_models()
    for writer in writers:
        writer.write()
    for writer in writers:  # which may name another pack's agent
        writer.write_jobs()
    if any(p.is_error for p in report.problems):
        raise PackError(p for p in report.problems if p.is_error)
    if dry_run:
        # Everything was tried for real; now it never happened.
        transaction.set_rollback(True)
    return report


class _Writer:
    """Writes one pack. Lives inside the transaction of ``_write``."""

    def __init__(self, files: PackFiles, report: Report, *, force: bool, actor: Actor) -> None:
        self.files, self.report, self.force, self.actor = files, report, force, actor

    @participant
    def write_models(self) -> None:
        """The domain, its tool servers, and the models that agents name."""
        pack = self.files.pack
        self._server()
        slug, name = pack.domain["slug"], pack.domain["name"]
        said = {"name": name, "replay": pack.replay}
        self.domain, made = Domain.objects.get_or_create(
            slug=slug, defaults={**said, "server": self.server}
        )
        other = Domain.objects.filter(slug=slug).exclude(**said)
        changed = not made and other.update(**said)
        Domain.objects.filter(slug=slug).update(server=self.server)
        self._say("domain", slug, made, bool(changed))
        for entry in self.files.servers:
            self._server_document(entry)
        self._tell_of_documents()
        for entry in self.files.models:
            self._model(entry)

    @participant
    def write(self) -> None:
        """Everything else but the contracts, which name all of it."""
        slug = self.domain.slug
        for entry in self.files.tools:
            self._tool(entry)
        prompts = {slug: self._prompt(slug, text) for slug, text in self.files.prompts.items()}
        for entry in self.files.agents:
            self._agent(entry, prompts)
        schema = policy_schema(selectors.tool_documents(slug))
        for frame, text in self.files.policies:
            self._policy(frame.slug, frame.name, text, schema)
        self._follow(schema)

    def _follow(self, schema: dict[str, Any]) -> None:
        """Every policy set of the domain is judged by its tools as they are now: also one that was
        edited in the browser and stays, or that no pack names."""
        slug = self.domain.slug
        note = f"Follows the tools of the pack {slug}"
        try:
            followed = policy.follow_schema(slug, schema, actor=self.actor, note=note)
        except InvalidInputError:
            tools = {tool["name"]: tool for tool in selectors.tool_documents(slug)}
            for name, why in unfit_for(slug, tools).items():
                message = f"The policy set “{name}” would no longer fit: {why}"
                fix = "Publish a version of it that fits both first."
                self.report.problems.append(Problem(message, fix, path=name))
            return
        for version in followed:
            name = version.policy_set.slug
            self.report.add("policy", name, "changed", "it follows the tools of its domain")

    @participant
    def write_jobs(self) -> None:
        for parsed, text in self.files.jobs:
            self._job(parsed, text)

    def _say(self, what: str, name: str, made: bool, changed: bool, *detail: str) -> None:
        change = "new" if made else "changed" if changed else "unchanged"
        self.report.add(what, name, change, *detail)

    def _server(self) -> None:
        stated = self.files.pack.server
        wanted = {"protocol": stated.get("protocol", "mcp"), "url": stated.get("url", "")}
        slug = stated["slug"]
        self.server, made = ToolServer.objects.get_or_create(
            slug=slug, defaults={"name": slug, **wanted}
        )
        changed = ToolServer.objects.filter(slug=slug).exclude(**wanted).update(**wanted)
        self._say("server", slug, made, bool(changed))

    def _tell_of_documents(self) -> None:
        """An address of the pack that isn't called, since a document says where the server is."""
        self.server.refresh_from_db()
        number, source = self.server.current_number, self.files.pack.source
        if self.server.url and number:
            message = f"The document v{number} of “{self.server.slug}” says where it is."
            fix = "The address of the pack is not called."
            said = source.problem(("server", "url"), message, fix, severity="warning")
            self.report.problems.append(said.in_file(self.files.main))

    def _server_document(self, entry: Entry) -> None:
        stated = entry.value
        slug, sha = stated["slug"], server_digest(stated)
        server, _ = ToolServer.objects.get_or_create(
            slug=slug, defaults={"name": stated["name"], "domain": self.domain}
        )
        if server.current_number == 0:  # known, and nobody's document yet
            ToolServer.objects.filter(pk=server.pk).update(domain=self.domain)
            server.domain = self.domain
        if self._is_others("tool server", server):
            return None
        current = server.versions.filter(number=server.current_number).first()
        if current is not None and current.digest == sha:
            return self._say("server document", slug, False, False)
        if current is not None and self._is_edited("tool server", server, current, sha):
            return None
        ToolServer.objects.filter(pk=server.pk).update(name=stated["name"])
        version = write_server(server, document=stated, written=entry.written, said=self._said)
        follow_server(server, current, version)
        return self._say("server document", slug, current is None, True)

    def _tool(self, entry: Entry) -> None:
        document, name = tool_entry(entry.value), entry.value["name"]
        served = self._served(name)
        tool, made = Tool.objects.select_related("domain").get_or_create(
            domain=self.domain, name=name, defaults={"server": self.server}
        )
        Tool.objects.filter(pk=tool.pk).exclude(server=self.server).update(server=self.server)
        current = tool.versions.filter(number=tool.current_number).first()
        if current is not None and _is_same(current, document, served):
            serving.keep_baseline(current, served)
            serving.keep_live(tool, served)
            return self._say("tool", tool.name, False, False)
        if current is not None and self._is_edited(
            "tool", tool, current, fingerprint(document, None)
        ):
            return None
        detail = _tool_changes(current, document, served) if current else ()
        written = entry.written
        write_tool(tool, document=document, written=written, served=served, said=self._said)
        serving.keep_live(tool, served)
        return self._say("tool", tool.name, made, True, *detail)

    @property
    def _said(self) -> Byline:
        return Byline(self.actor)

    def _is_edited(self, what: str, subject: Any, current: Any, stated: str) -> bool:
        """Whether to leave it alone: somebody made it say something else in the browser since the
        pack was last applied, and nobody said ``--force``. ``stated``: what the pack says, as
        ``_said_by`` has it."""
        if self.force or current.author_id is None:
            return False
        applied = subject.versions.filter(author=None).order_by("-number").first()
        before = "" if applied is None else _said_by(applied)
        if before == _said_by(current):
            return False  # it only followed something that was edited
        name = subject.name if what == "tool" else subject.slug
        if before == stated:
            detail = f"v{subject.current_number} was edited in the browser and stays"
            self.report.add(what, name, "kept", detail)
            return True
        self.report.problems.append(_both_changed(what, name, subject.current_number))
        return True

    def _served(self, name: str) -> dict[str, Any] | None:
        """What the server said of the tool; None if it couldn't be asked."""
        listing = self.files.served
        found = listing.tools.get(name) if listing else None
        return found.document() if found else None

    def _prompt(self, slug: str, text: str) -> PromptVersion | None:
        sha = prompt_digest(text)
        prompt, made = Prompt.objects.get_or_create(slug=slug, defaults={"domain": self.domain})
        if self._is_others("prompt", prompt):
            return None
        current = prompt.versions.filter(number=prompt.current_number).first()
        if current is not None and current.digest == sha:
            self._say("prompt", slug, False, False)
            return current
        if current is not None and self._is_edited("prompt", prompt, current, sha):
            return current
        version = write_prompt(prompt, text=text, said=self._said)
        self._say("prompt", slug, made, True)
        return version

    def _is_others(self, what: str, subject: Any) -> bool:
        """Whether it is another domain's, whose pack says what it is; that is a problem."""
        if subject.domain_id in {None, self.domain.pk}:
            return False
        message = f"The {what} “{subject.slug}” belongs to another domain, {subject.domain}."
        self.report.problems.append(Problem(message, "Give it another name.", what))
        return True

    def _model(self, entry: Entry) -> None:
        stated = entry.value
        slug, sha = stated["slug"], model_digest(stated)
        model, made = LanguageModel.objects.get_or_create(
            slug=slug, defaults={"name": stated["name"], "domain": self.domain}
        )
        if self._is_others("model", model):
            return None
        current = model.versions.filter(number=model.current_number).first()
        if current is not None and current.digest == sha:
            return self._say("model", slug, False, False)
        if current is not None and self._is_edited("model", model, current, sha):
            return None
        LanguageModel.objects.filter(pk=model.pk).update(name=stated["name"])
        version = write_model(model, document=stated, written=entry.written, said=self._said)
        # This pack's own agents are written below, with the model as it is now.
        followed = follow_model(model, version, self._said, but=self.domain.pk)
        detail = [f"the agent {agent} of another domain follows it" for agent in followed]
        return self._say("model", slug, made, True, *detail)

    def _agent(self, entry: Entry, prompts: Mapping[str, PromptVersion | None]) -> None:
        stated = entry.value
        slug, prompt = stated["slug"], prompts.get(stated.get("prompt", ""))
        models = selectors.pinned_models(selectors.models_named(stated))
        document = agent_document(stated, prompt, models)
        wanted = {"name": stated["name"], "kind": stated["kind"]}
        agent, made = Agent.objects.get_or_create(
            slug=slug, defaults={**wanted, "domain": self.domain}
        )
        if self._is_others("agent", agent):
            return None
        Agent.objects.filter(pk=agent.pk, domain=None).update(domain=self.domain)
        sha = agent_digest(document, stated["kind"])
        current = agent.versions.filter(number=agent.current_number).first()
        said = _entry_digest(stated)
        if current is not None and current.digest == sha and _said_by(current) == said:
            renamed = Agent.objects.filter(pk=agent.pk).exclude(**wanted).update(**wanted)
            return self._say("agent", slug, False, bool(renamed))
        if current is not None and self._is_edited("agent", agent, current, said):
            return None
        Agent.objects.filter(pk=agent.pk).update(**wanted)
        written = entry.written or dumped(stated)
        kind = stated["kind"]
        write_agent(agent, document=document, kind=kind, written=written, said=self._said)
        return self._say("agent", slug, made, True)

    def _policy(self, slug: str, name: str, text: str, schema: dict[str, Any]) -> None:
        try:
            change = policy.apply_policy(
                slug=slug,
                name=name,
                domain_slug=self.domain.slug,
                text=text,
                schema=schema,
                note=f"Applied from the pack {self.domain.slug}",
                actor=self.actor,
                force=self.force,
            )
        except InvalidInputError as error:
            self.report.problems.append(Problem(str(error), path=slug))
            return
        self.report.add("policy", slug, change)

    def _job(self, parsed: Parsed, text: str) -> None:
        contract, document = parsed.contract, parsed.document
        if contract is None or document is None:  # read_packs refused these
            return None
        sha = contract_digest(document)
        job, made = Job.objects.get_or_create(
            slug=contract.job, defaults={"domain": self.domain, "name": contract.name}
        )
        if self._is_others("job", job):
            return None
        current = job.versions.filter(number=job.current_number).first()
        resolved = resolve(contract, domain_id=self.domain.pk)
        if current is not None:
            if current.digest == sha and current.resolved == resolved:
                Job.objects.filter(pk=job.pk).update(applied_digest=sha)
                return self._say("job", job.slug, False, False)
            if self._edited_in_browser(job, current.digest, sha):
                return None
        publish_version(
            job,
            contract=contract,
            document=document,
            text=text,
            resolved=resolved,
            note=f"Applied from the pack {self.domain.slug}",
            actor=self.actor,
        )
        Job.objects.filter(pk=job.pk).update(applied_digest=sha)
        detail = _contract_changes(current, contract) if current else ()
        return self._say("job", job.slug, made, True, *detail)

    def _edited_in_browser(self, job: Job, current: str, stated: str) -> bool:
        """Whether to leave the job alone: somebody published it in the browser since the pack was
        last applied, and nobody said ``--force``."""
        if self.force or current in {job.applied_digest, stated}:
            return False
        if job.applied_digest == stated:
            detail = f"v{job.current_number} was edited in the browser and stays"
            self.report.add("job", job.slug, "kept", detail)
            return True
        self.report.problems.append(_both_changed("job", job.slug, job.current_number))
        return True


def _both_changed(what: str, name: str, number: int) -> Problem:
    return Problem(
        f"The {what} “{name}” changed in the pack, but v{number} was edited in the browser since"
        " the pack was last applied.",
        "Take the edit over into the pack, or apply with --force to publish the pack's text as the"
        " next version.",
        what,
    )


def _said_by(version: Any) -> str:
    """The digest of what a version itself says, whatever the things are now that it names."""
    if isinstance(version, ToolVersion):
        return fingerprint(version.document, None)
    if isinstance(version, PromptVersion | LanguageModelVersion | ToolServerVersion):
        return str(version.digest)
    return _entry_digest(load(version.text, exact=True).value)


def _entry_digest(stated: Mapping[str, Any]) -> str:
    entry = agent_entry(stated["slug"], stated["name"], stated["kind"], stated)
    return digest(entry, purpose="agent-entry")


def _is_same(current: ToolVersion, document: dict[str, Any], served: dict[str, Any] | None) -> bool:
    """Whether a version says all this. What the server says counts only where both are known."""
    known = not current.served_digest or served is None
    is_served_alike = known or current.served_digest == served_digest(served or {})
    return is_served_alike and fingerprint(current.document, None) == fingerprint(document, None)


def _tool_changes(
    current: ToolVersion, document: dict[str, Any], served: dict[str, Any] | None
) -> tuple[str, ...]:
    before = current.document
    keys = sorted(set(before) | set(document))
    ours = [f"{k} changed" for k in keys if before.get(k) != document.get(k)]
    theirs = changes(current.served, served) if current.served and served else []
    return tuple(ours + [f"at the server: {sentence}" for sentence in theirs])


def _contract_changes(current: Any, contract: Contract) -> tuple[str, ...]:
    before = build(current.document)
    return tuple(c.sentence for c in compare(before, contract)) or (
        "a tool, agent or prompt it names has a new version",
    )
