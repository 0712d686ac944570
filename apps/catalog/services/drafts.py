"""The next version of a contract, written in the browser: saved, reviewed, published.

One draft a job. Whoever changed its text last is its author; somebody else must publish it. Every
step names the revision it saw, so that nobody publishes or overwrites what they haven't seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F
from django.utils import timezone

from apps.audit.services import record
from apps.catalog import selectors
from apps.catalog.domain.contract import Known, Parsed, build, parse
from apps.catalog.domain.diff import Change, Kind, compare
from apps.catalog.models import ContractDraft, ContractVersion, Job
from apps.catalog.services.publishing import publish_version, resolve
from apps.kernel.documents import Problem
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.textdiff import Row, side_by_side
from apps.kernel.transactions import command, participant
from apps.policy import selectors as policies


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be said about a text before it is published."""

    parsed: Parsed
    changes: tuple[Change, ...] = ()
    rows: tuple[Row, ...] = ()
    impact: Mapping[str, Any] = field(default_factory=dict)
    published: ContractVersion | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.parsed.problems

    @property
    def has_errors(self) -> bool:
        return bool(self.parsed.errors)

    @property
    def impact_lines(self) -> list[str]:
        """What publishing would mean for work on its way and for control, in sentences."""
        lines = [
            f"{count} {'run stays' if count == 1 else 'runs stay'} on v{number}."
            for number, count in self.impact.items()
        ]
        lines = lines or ["No run is on its way: nothing stays on an older version."]
        lines.append("Runs that start after publishing follow the new version.")
        if self.weaker:
            count = len(self.weaker)
            lines.append(f"{count} {'control gets' if count == 1 else 'controls get'} weaker.")
        return lines

    @property
    def weaker(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.kind == Kind.WEAKER)


def known_for(job: Job) -> Known:
    """Everything that the names in a draft of ``job`` may point at."""
    return Known(
        tools=selectors.tool_effects(job.domain_id),
        agents=selectors.agent_slugs(),
        policies=policies.slugs(),
        job=job.slug,
    )


def check_text(job: Job, text: str) -> Check:
    """Problems of ``text``, and what it would change: in sentences, line by line, and for runs
    that are on their way."""
    known = known_for(job)
    parsed = parse(text, known)
    published = selectors.current_version(job)
    if published is None:
        return Check(parsed)
    changes: tuple[Change, ...] = ()
    if parsed.contract is not None:
        before = build(published.document)
        changes = tuple(compare(before, parsed.contract, known.tools))
    return Check(
        parsed=parsed,
        changes=changes,
        rows=tuple(side_by_side(published.text, text)),
        impact=selectors.open_runs(job.slug),
        published=published,
    )


@command
def save_draft(job: Job, *, text: str, revision: int, author: Any) -> ContractDraft:
    """Keep ``text`` as the draft; ``revision`` is the one the author saw, 0 for none. Raises
    ConflictError with who saved when, if somebody was first. A draft in review goes back to being
    a draft: what was submitted is no longer what would be published."""
    text = _clean(text)
    if revision == 0:
        return _start(job, text, author)
    # Two tabs save one revision: the second finds it moved on and keeps its text on the page.
    saved = ContractDraft.objects.filter(job=job, revision=revision).update(
        text=text,
        revision=F("revision") + 1,
        state=ContractDraft.State.DRAFT,
        author=author,
        updated_at=timezone.now(),
    )
    if saved != 1:
        raise _conflict(job)
    return ContractDraft.objects.select_related("author").get(job=job)


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\x00", "")


@participant
def _start(job: Job, text: str, author: Any, note: str = "") -> ContractDraft:
    # get_or_create waits for another insert of the same draft and then finds it.
    draft, made = ContractDraft.objects.get_or_create(
        job=job,
        defaults={
            "text": text,
            "base_number": job.current_number,
            "author": author,
            "note": note,
            "state": ContractDraft.State.IN_REVIEW if note else ContractDraft.State.DRAFT,
        },
    )
    if not made:
        raise _conflict(job)
    _record("contract.draft_started", job, author, base=job.current_number)
    return draft


def _conflict(job: Job) -> ConflictError:
    draft = ContractDraft.objects.select_related("author").filter(job=job).first()
    if draft is None:
        return ConflictError(
            "The draft was published or discarded meanwhile. Your text is kept here.",
            code="draft_gone",
        )
    return ConflictError(
        f"{draft.author.display_name} saved this draft meanwhile. Your text is kept here.",
        who=draft.author.display_name,
        when=draft.updated_at,
        revision=draft.revision,
    )


def _record(kind: str, job: Job, actor: Any, **payload: Any) -> None:
    record(
        kind=kind,
        actor=actor.username,
        subject_type="job",
        subject_id=job.slug,
        payload=payload,
    )


def _draft(job: Job) -> ContractDraft:
    draft = ContractDraft.objects.select_related("author").filter(job=job).first()
    if draft is None:
        raise NotFoundError(f"“{job.slug}” has no draft.", job=job.slug)
    return draft


def _publishable(job: Job, text: str) -> Parsed:
    """The parsed text, or InvalidInputError with its problems; a text that changes nothing is
    refused too."""
    parsed = parse(text, known_for(job))
    if parsed.contract is None:
        count = len(parsed.errors)
        raise InvalidInputError(
            f"{count} problem{'' if count == 1 else 's'} must be mended first.",
            problems=parsed.errors,
        )
    published = selectors.current_version(job)
    if published is not None and parsed.document == published.document:
        raise InvalidInputError(f"It says the same as v{published.number}: nothing to publish.")
    return parsed


@command
def submit_draft(job: Job, *, revision: int, author: Any, note: str) -> ContractDraft:
    """Ask a second admin to publish this revision. Raises InvalidInputError for a text with
    problems, ConflictError when the draft moved on."""
    draft = _draft(job)
    _publishable(job, draft.text)
    # The revision guards the text that was just checked against a save in between.
    moved = ContractDraft.objects.filter(
        pk=draft.pk, revision=revision, state=ContractDraft.State.DRAFT
    ).update(state=ContractDraft.State.IN_REVIEW, note=note.strip(), updated_at=timezone.now())
    if moved != 1:
        raise _conflict(job)
    _record("contract.submitted", job, author, revision=revision)
    return _draft(job)


@command
def withdraw(job: Job, *, revision: int, actor: Any) -> ContractDraft:
    """Take the draft out of review; its text stays."""
    moved = ContractDraft.objects.filter(
        job=job, revision=revision, state=ContractDraft.State.IN_REVIEW
    ).update(state=ContractDraft.State.DRAFT, updated_at=timezone.now())
    if moved != 1:
        raise _conflict(job)
    _record("contract.withdrawn", job, actor, revision=revision)
    return _draft(job)


@command
def discard(job: Job, *, revision: int, actor: Any) -> None:
    """Throw the draft away. Raises ConflictError when somebody saved it meanwhile."""
    gone, _ = ContractDraft.objects.filter(job=job, revision=revision).delete()
    if gone != 1:
        raise _conflict(job)
    _record("contract.draft_discarded", job, actor, revision=revision)


@command
def rebase(job: Job, *, revision: int, actor: Any) -> ContractDraft:
    """Say that the draft's author has seen the version published meanwhile: the draft now stands
    against it, and its difference is shown against it."""
    moved = ContractDraft.objects.filter(job=job, revision=revision).update(
        base_number=job.current_number,
        revision=F("revision") + 1,
        state=ContractDraft.State.DRAFT,
        author=actor,
        updated_at=timezone.now(),
    )
    if moved != 1:
        raise _conflict(job)
    _record("contract.draft_rebased", job, actor, base=job.current_number)
    return _draft(job)


@command
def publish_draft(job: Job, *, revision: int, approver: Any, note: str) -> ContractVersion:
    """Publish the reviewed draft as the next version. The approver is an admin who did not write
    it and says why; raises NotPermittedError, InvalidInputError or ConflictError otherwise."""
    draft = _draft(job)
    note = note.strip()
    if not approver.may("catalog.edit"):
        raise NotPermittedError("Only an admin publishes a contract.")
    if draft.author_id == approver.pk:
        raise NotPermittedError("A second admin publishes: you wrote this draft yourself.")
    if not note:
        raise InvalidInputError("Say why: the note is kept with the version.", field="note")
    if draft.state != ContractDraft.State.IN_REVIEW:
        raise ConflictError("The draft isn't in review. Its author submits it first.")
    if draft.base_number != job.current_number:
        raise ConflictError(
            f"v{job.current_number} was published since this draft was started from"
            f" v{draft.base_number}. Its author takes that version over first.",
            code="draft_behind",
        )
    parsed = _publishable(job, draft.text)
    # A save after the approver's page was shown moved the revision on: then nothing is published.
    gone, _ = ContractDraft.objects.filter(
        pk=draft.pk, revision=revision, state=ContractDraft.State.IN_REVIEW
    ).delete()
    if gone != 1:
        raise _conflict(job)
    return _publish(job, draft, parsed, approver, note)


@participant
def _publish(
    job: Job, draft: ContractDraft, parsed: Parsed, approver: Any, note: str
) -> ContractVersion:
    if parsed.contract is None or parsed.document is None:
        raise InvalidInputError("The draft has problems.", problems=parsed.errors)
    return publish_version(
        job,
        contract=parsed.contract,
        document=parsed.document,
        text=draft.text,
        resolved=resolve(parsed.contract, domain_id=job.domain_id),
        note=note,
        actor=approver.username,
        author_id=draft.author_id,
        approver_id=approver.pk,
    )


@command
def roll_back(job: Job, *, number: int, actor: Any, note: str) -> ContractDraft:
    """Put an older body up for review as the next version; a second admin publishes it. Raises
    ConflictError when another draft is on its way, NotFoundError for an unknown version."""
    version = job.versions.filter(number=number).first()
    if version is None:
        raise NotFoundError(f"“{job.slug}” has no v{number}.", job=job.slug)
    if not note.strip():
        raise InvalidInputError("Say why: the second admin reads it.", field="note")
    _publishable(job, version.text)
    draft = _start(job, version.text, actor, note=f"Roll back to v{number}: {note.strip()}")
    _record("contract.rollback_proposed", job, actor, to=number)
    return draft
