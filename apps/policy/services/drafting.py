"""The next version of a policy, written in the browser: saved, reviewed, published.

One draft a policy set. Whoever changed its text last is its author; somebody else must publish it.
Every step names the revision it saw, so that nobody publishes or overwrites what they haven't seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from apps.audit.services import record
from apps.kernel.documents import Problem
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.textdiff import Row, side_by_side
from apps.kernel.transactions import command, participant
from apps.policy import selectors
from apps.policy.models import PolicyDraft, PolicySet, PolicyVersion
from apps.policy.services.publishing import checked, publish, validate

Json = Mapping[str, Any]
DRAFT, IN_REVIEW = PolicyDraft.State.DRAFT, PolicyDraft.State.IN_REVIEW


@dataclass(frozen=True, slots=True)
class Check:
    """What is to be said about a text before it is published."""

    problems: tuple[Problem, ...] = ()
    rows: tuple[Row, ...] = ()
    published: PolicyVersion | None = None

    @property
    def has_errors(self) -> bool:
        return bool(self.problems)


def check_text(policy_set: PolicySet, text: str, *, schema: Json | None = None) -> Check:
    """Problems of ``text``, and how it differs line by line from the version in force. ``schema``
    is made from the catalog as it is now; left out, the one of the version in force serves."""
    published = selectors.current_version(policy_set.slug)
    problems = validate(text=text, schema=schema or _schema(policy_set))
    rows = side_by_side(published.text if published else "", text)
    return Check(tuple(problems), tuple(rows), published)


@command
def save_draft(policy_set: PolicySet, *, text: str, revision: int, author: Any) -> PolicyDraft:
    """Keep ``text`` as the draft, right or wrong; ``revision`` is the one the author saw, 0 for
    none. Raises ConflictError with who saved when, if somebody was first. A draft in review goes
    back to being a draft: what was submitted is no longer what would be published."""
    _require_admin(author)
    text = text.replace("\r\n", "\n").replace("\x00", "")
    if revision == 0:
        return _start(policy_set, text, author)
    # Two tabs save one revision: the second finds it moved on and keeps its text on the page.
    saved = PolicyDraft.objects.filter(policy_set=policy_set, revision=revision).update(
        text=text, revision=F("revision") + 1, state=DRAFT, author=author, updated_at=Now()
    )
    if saved != 1:
        raise _conflict(policy_set)
    return _draft(policy_set)


@command
def submit_draft(
    policy_set: PolicySet, *, revision: int, author: Any, note: str, schema: Json | None = None
) -> PolicyDraft:
    """Ask a second admin to publish this revision. Raises InvalidInputError for a text with
    problems, ConflictError when the draft moved on."""
    _require_admin(author)
    draft = _draft(policy_set)
    _publishable(policy_set, draft.text, schema)
    # The revision guards the text that was just checked against a save in between.
    _move(policy_set, revision, DRAFT, state=IN_REVIEW, note=note.strip())
    _record("policy.submitted", policy_set, author, revision=revision)
    return _draft(policy_set)


@command
def withdraw(policy_set: PolicySet, *, revision: int, actor: Any) -> PolicyDraft:
    """Take the draft out of review; its text stays."""
    _require_admin(actor)
    _move(policy_set, revision, IN_REVIEW, state=DRAFT)
    _record("policy.withdrawn", policy_set, actor, revision=revision)
    return _draft(policy_set)


@command
def discard(policy_set: PolicySet, *, revision: int, actor: Any) -> None:
    """Throw the draft away. Raises ConflictError when somebody saved it meanwhile."""
    _require_admin(actor)
    gone, _ = PolicyDraft.objects.filter(policy_set=policy_set, revision=revision).delete()
    if gone != 1:
        raise _conflict(policy_set)
    _record("policy.draft_discarded", policy_set, actor, revision=revision)


@command
def rebase(policy_set: PolicySet, *, revision: int, actor: Any) -> PolicyDraft:
    """Say that the draft's author has seen the version published meanwhile: the draft now stands
    against it, and its difference is shown against it."""
    _require_admin(actor)
    base = policy_set.current_number
    moved = PolicyDraft.objects.filter(policy_set=policy_set, revision=revision).update(
        base_number=base, revision=F("revision") + 1, state=DRAFT, author=actor, updated_at=Now()
    )
    if moved != 1:
        raise _conflict(policy_set)
    _record("policy.draft_rebased", policy_set, actor, base=base)
    return _draft(policy_set)


@command
def publish_draft(
    policy_set: PolicySet, *, revision: int, approver: Any, note: str, schema: Json | None = None
) -> PolicyVersion:
    """Publish the reviewed draft as the next version. The approver is an admin who did not write
    it and says why; raises NotPermittedError, InvalidInputError or ConflictError otherwise."""
    _require_admin(approver)
    draft = _draft(policy_set)
    if draft.author_id == approver.pk:
        raise NotPermittedError("A second admin publishes: you wrote this draft yourself.")
    if not note.strip():
        raise InvalidInputError("Say why: the note is kept with the version.", field="note")
    if draft.state != IN_REVIEW:
        raise ConflictError("The draft isn't in review. Its author submits it first.")
    if draft.base_number != policy_set.current_number:
        raise ConflictError(
            f"v{policy_set.current_number} was published since this draft was started from"
            f" v{draft.base_number}. Its author takes that version over first.",
            code="draft_behind",
        )
    # A save after the approver's page was shown moved the revision on: then nothing is published.
    gone, _ = PolicyDraft.objects.filter(pk=draft.pk, revision=revision, state=IN_REVIEW).delete()
    if gone != 1:
        raise _conflict(policy_set)
    return publish(
        policy_set,
        text=draft.text,
        schema=schema or _schema(policy_set),
        actor=approver.username,
        author_id=draft.author_id,
        approver_id=approver.pk,
        note=note.strip(),
    )


@command
def roll_back(policy_set: PolicySet, *, number: int, actor: Any, note: str) -> PolicyDraft:
    """Put an older body up for review as the next version; a second admin publishes it. Raises
    ConflictError when another draft is on its way, NotFoundError for an unknown version."""
    _require_admin(actor)
    version = policy_set.versions.filter(number=number).first()
    if version is None:
        raise NotFoundError(f"“{policy_set.slug}” has no v{number}.", policy=policy_set.slug)
    if not note.strip():
        raise InvalidInputError("Say why: the second admin reads it.", field="note")
    _publishable(policy_set, version.text, None)
    reason = f"Roll back to v{number}: {note.strip()}"
    draft = _start(policy_set, version.text, actor, note=reason)
    _record("policy.rollback_proposed", policy_set, actor, to=number)
    return draft


@participant
def _start(policy_set: PolicySet, text: str, author: Any, note: str = "") -> PolicyDraft:
    # get_or_create waits for another insert of the same draft and then finds it.
    draft, made = PolicyDraft.objects.get_or_create(
        policy_set=policy_set,
        defaults={
            "text": text,
            "base_number": policy_set.current_number,
            "author": author,
            "note": note,
            "state": IN_REVIEW if note else DRAFT,
        },
    )
    if not made:
        raise _conflict(policy_set)
    _record("policy.draft_started", policy_set, author, base=policy_set.current_number)
    return draft


def _move(policy_set: PolicySet, revision: int, old: str, **new: Any) -> None:
    """Guarded: the revision and state that the person saw, or a conflict."""
    moved = PolicyDraft.objects.filter(policy_set=policy_set, revision=revision, state=old).update(
        **new, updated_at=Now()
    )
    if moved != 1:
        raise _conflict(policy_set)


def _publishable(policy_set: PolicySet, text: str, schema: Json | None) -> None:
    checked(text, schema or _schema(policy_set), policy_set.slug)
    published = selectors.current_version(policy_set.slug)
    if published is not None and published.text == text:
        raise InvalidInputError(f"It says the same as v{published.number}: nothing to publish.")


def _schema(policy_set: PolicySet) -> Json:
    published = selectors.current_version(policy_set.slug)
    if published is None:
        raise NotFoundError(f"The policy “{policy_set.slug}” was never published.")
    return published.schema


def _draft(policy_set: PolicySet) -> PolicyDraft:
    draft = selectors.draft_of(policy_set)
    if draft is None:
        raise NotFoundError(f"“{policy_set.slug}” has no draft.", policy=policy_set.slug)
    return draft


def _require_admin(person: Any) -> None:
    if not person.may("policy.edit"):
        raise NotPermittedError("Only an admin changes a policy.")


def _conflict(policy_set: PolicySet) -> ConflictError:
    draft = selectors.draft_of(policy_set)
    if draft is None:
        message = "The draft was published or discarded meanwhile. Your text is kept here."
        return ConflictError(message, code="draft_gone")
    return ConflictError(
        f"{draft.author.display_name} saved this draft meanwhile. Your text is kept here.",
        who=draft.author.display_name,
        when=draft.updated_at,
        revision=draft.revision,
    )


def _record(kind: str, policy_set: PolicySet, actor: Any, **payload: Any) -> None:
    record(
        kind=kind,
        actor=actor.username,
        subject_type="policy",
        subject_id=policy_set.slug,
        payload=payload,
    )
