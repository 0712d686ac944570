"""Turn packs into versioned rows, in one transaction: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from apps.audit.domain.actors import CATALOG, Actor
from apps.audit.services import record
from apps.catalog.domain.contract import Contract, Parsed, build
from apps.catalog.domain.diff import compare
from apps.catalog.domain.drift import changes, served_digest
from apps.catalog.models import (
    Agent,
    AgentVersion,
    Domain,
    Job,
    Prompt,
    PromptVersion,
    Tool,
    ToolServer,
    ToolVersion,
)
from apps.catalog.services import serving
from apps.catalog.services.publishing import contract_digest, publish_version, resolve
from apps.catalog.services.reading import PackError, PackFiles, read_packs
from apps.kernel.canonical import digest
from apps.kernel.documents import Problem
from apps.kernel.errors import InvalidInputError
from apps.kernel.transactions import command, participant
from apps.policy import services as policy

APPLY_LOCK = 7_346_101  # advisory lock: two packs applied at once would both take the next number


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
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPLY_LOCK])
    report = Report(dry_run)
    for files in packs:
        _Writer(files, report, force=force, actor=actor).write()
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
    def write(self) -> None:
        pack = self.files.pack
        slug, name = pack.domain["slug"], pack.domain["name"]
        said = {"name": name, "replay": pack.replay}
        self.domain, made = Domain.objects.get_or_create(slug=slug, defaults=said)
        other = Domain.objects.filter(slug=slug).exclude(**said)
        changed = not made and other.update(**said)
        self._say("domain", slug, made, bool(changed))
        self._server()
        for tool in self.files.tools:
            self._tool(tool)
        prompts = {slug: self._prompt(slug, text) for slug, text in self.files.prompts.items()}
        for agent in pack.agents:
            self._agent(agent, prompts)
        for frame, text in self.files.policies:
            self._policy(frame.slug, frame.name, text)
        for parsed, text in self.files.jobs:
            self._job(parsed, text)

    def _say(self, what: str, name: str, made: bool, changed: bool, *detail: str) -> None:
        change = "new" if made else "changed" if changed else "unchanged"
        self.report.add(what, name, change, *detail)

    def _record(self, kind: str, subject: str, **payload: Any) -> None:
        record(
            kind=kind,
            actor=self.actor,
            subject_type=kind.split(".")[0],
            subject_id=subject,
            payload=payload,
        )

    def _server(self) -> None:
        stated = self.files.pack.server
        wanted = {"protocol": stated.get("protocol", "mcp"), "url": stated.get("url", "")}
        slug = stated["slug"]
        self.server, made = ToolServer.objects.get_or_create(slug=slug, defaults=wanted)
        changed = ToolServer.objects.filter(slug=slug).exclude(**wanted).update(**wanted)
        self._say("server", slug, made, bool(changed))

    def _tool(self, entry: dict[str, Any]) -> None:
        document = {"idempotency": "none", **entry}
        served = self._served(entry["name"])
        tool, made = Tool.objects.get_or_create(
            domain=self.domain, name=entry["name"], defaults={"server": self.server}
        )
        Tool.objects.filter(pk=tool.pk).exclude(server=self.server).update(server=self.server)
        current = tool.versions.filter(number=tool.current_number).first()
        if current is not None and _is_same(current, document, served):
            serving.keep_baseline(current, served)
            serving.keep_live(tool, served)
            return self._say("tool", tool.name, False, False)
        detail = _tool_changes(current, document, served) if current else ()
        number = tool.current_number + 1
        ToolVersion.objects.create(
            tool=tool,
            number=number,
            document=document,
            served=served,
            served_digest=served_digest(served) if served else "",
            fingerprint=_fingerprint(document, served),
            effect=document["effect"],
            idempotency=document["idempotency"],
        )
        Tool.objects.filter(pk=tool.pk).update(current_number=number)
        serving.keep_live(tool, served)
        self._record("tool.published", f"{self.domain.slug}/{tool.name}", number=number)
        return self._say("tool", tool.name, made, True, *detail)

    def _served(self, name: str) -> dict[str, Any] | None:
        """What the server said of the tool; None if it couldn't be asked."""
        listing = self.files.served
        found = listing.tools.get(name) if listing else None
        return found.document() if found else None

    def _prompt(self, slug: str, text: str) -> PromptVersion:
        sha = digest(text, purpose="prompt-version")
        prompt, made = Prompt.objects.get_or_create(slug=slug, defaults={"domain": self.domain})
        current = prompt.versions.filter(number=prompt.current_number).first()
        if current is not None and current.digest == sha:
            self._say("prompt", slug, False, False)
            return current
        number = prompt.current_number + 1
        version = PromptVersion.objects.create(prompt=prompt, number=number, text=text, digest=sha)
        Prompt.objects.filter(pk=prompt.pk).update(current_number=number)
        self._record("prompt.published", slug, number=number)
        self._say("prompt", slug, made, True)
        return version

    def _agent(self, entry: dict[str, Any], prompts: dict[str, PromptVersion]) -> None:
        slug, prompt = entry["slug"], prompts.get(entry.get("prompt", ""))
        document = {
            "prompt": entry.get("prompt", ""),
            "prompt_number": prompt.number if prompt else None,
            "prompt_version": prompt.pk if prompt else None,
            "model": entry.get("model", ""),
            "fallback_models": entry.get("fallback_models", []),
            "settings": entry.get("settings", {}),
        }
        wanted = {"name": entry["name"], "kind": entry["kind"]}
        agent, made = Agent.objects.get_or_create(slug=slug, defaults=wanted)
        renamed = Agent.objects.filter(pk=agent.pk).exclude(**wanted).update(**wanted)
        sha = digest({**document, "kind": entry["kind"]}, purpose="agent-version")
        current = agent.versions.filter(number=agent.current_number).first()
        if current is not None and current.digest == sha:
            return self._say("agent", slug, False, bool(renamed))
        number = agent.current_number + 1
        AgentVersion.objects.create(agent=agent, number=number, document=document, digest=sha)
        Agent.objects.filter(pk=agent.pk).update(current_number=number)
        self._record("agent.published", slug, number=number)
        return self._say("agent", slug, made, True)

    def _policy(self, slug: str, name: str, text: str) -> None:
        try:
            change = policy.apply_policy(
                slug=slug,
                name=name,
                domain_slug=self.domain.slug,
                text=text,
                schema=self.files.schema,
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
        if job.domain_id != self.domain.pk:
            message = f"The job “{job.slug}” belongs to another domain, {job.domain}."
            self.report.problems.append(Problem(message, "Give it another name.", "job"))
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
        self.report.problems.append(
            Problem(
                f"The job “{job.slug}” changed in the pack, but v{job.current_number} was edited in"
                " the browser since the pack was last applied.",
                "Take the edit over into the pack, or apply with --force to publish the pack's"
                " text as the next version.",
                "job",
            )
        )
        return True


def _fingerprint(document: dict[str, Any], served: dict[str, Any] | None) -> str:
    whole = document if served is None else {**document, "served": served_digest(served)}
    return digest(whole, purpose="tool-version")


def _is_same(current: ToolVersion, document: dict[str, Any], served: dict[str, Any] | None) -> bool:
    """Whether a version says all this. What the server says counts only where both are known."""
    known = not current.served_digest or served is None
    is_served_alike = known or current.served_digest == served_digest(served or {})
    return is_served_alike and _fingerprint(current.document, None) == _fingerprint(document, None)


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
