"""A reviewed draft becomes a version: now, or when its time has come.

The one place that says who may publish: somebody who may change documents of the kind, didn't write
the draft, and says why; two of them where a control gets weaker. Two of whom one made or reset the
other's account lately may be one person, and count as one. An approval of somebody who may no
longer approve has stopped counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from apps.accounts import selectors as accounts
from apps.accounts.models import User
from apps.audit.domain.actors import SWEEPER
from apps.documents.domain import life as lives
from apps.documents.domain.kinds import DocumentKind, Edition
from apps.documents.domain.life import DraftState, Life, ReviewApproval, StaleRevisionError
from apps.documents.selectors import all_kinds
from apps.documents.services.looking import require_publishable, weakens
from apps.documents.services.rows import conflict, freshen, held, locked, note_down, require, write
from apps.kernel.apart import Aside, deal
from apps.kernel.errors import ConflictError, NotPermittedError, TowerError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant

UNPUBLISHED = Aside("draft")


class Due(NamedTuple):
    """A draft whose time has come, of a kind."""

    kind: str
    draft: int


@command
def publish_draft(
    kind: DocumentKind,
    subject: Any,
    *,
    revision: int,
    approver: Any,
    note: str,
    at: datetime | None = None,
) -> Any | None:
    """Approve the draft; with the last approval that it needs it is published, at once or ``at`` a
    time. Returns the version, or None while the draft waits for its time or another approval.
    Raises NotPermittedError, InvalidInputError or ConflictError."""
    require(kind, approver)
    draft = held(kind, subject)
    now = database_now()
    freshen(subject)
    given = ReviewApproval(approver.pk, approver.display_name, note.strip(), now.isoformat())
    try:
        life = lives.approved(
            _standing(kind, draft.life),
            given,
            revision=revision,
            current=subject.current_number,
            at=at,
            now=now,
        )
    except StaleRevisionError:
        raise conflict(kind, subject) from None
    _require_another_person(draft.life, approver)
    require_publishable(kind, subject, draft.text)
    note_down(kind, "approved", subject, approver.actor, revision=revision, note=given.note)
    if not lives.is_complete(life, is_weaker=weakens(kind, subject, draft.text)):
        write(kind, draft, life, touched=False)
        return None
    if life.publish_at is not None:
        write(kind, draft, lives.scheduled(life), touched=False)
        moment = life.publish_at.isoformat()
        note_down(kind, "scheduled", subject, approver.actor, at=moment, revision=revision)
        return None
    return _publish(kind, subject, draft, life)


def _require_another_person(life: Life, approver: Any) -> None:
    """Refuse whoever may be the author, or an approver before, under another name."""
    had = {life.author: "wrote this draft"}
    had |= {a.person: "approved it" for a in life.approvals if a.person not in had}
    others = {person: had[person.pk] for person in User.objects.filter(pk__in=had)}
    if tie := accounts.tie_between(approver, others):
        raise NotPermittedError(f"You can't approve this: you {tie} lately. Another admin has to.")


def publish_due() -> int:
    """Publish every draft whose time has come: a duty of the sweep. One that can't be published is
    in review again, with the reason; the others are published all the same."""
    done = deal(_due(), _publish_scheduled, UNPUBLISHED, lesser=(_return,))
    return len(done)


def _due() -> list[Due]:
    now, kinds = database_now(), all_kinds()
    found = [
        (draft.publish_at, n, draft.pk)
        for n, kind in enumerate(kinds)
        for draft in kind.drafts.objects.filter(state=DraftState.SCHEDULED, publish_at__lte=now)
    ]
    due = [Due(kinds[n].name, pk) for _, n, pk in sorted(found)]
    alone = set(UNPUBLISHED.left_alone())
    return [key for key in due if key not in alone]


@command
def _publish_scheduled(keys: Sequence[Due]) -> list[Any]:
    return [version for key in keys if (version := _publish_one(key)) is not None]


@participant
def _publish_one(key: Due) -> Any | None:
    kind, draft = _held_by(key)
    if draft is None:  # another sweep published it, or somebody discarded it
        return None
    life, subject = _standing(kind, draft.life), getattr(draft, kind.subject_field)
    if not lives.is_due(life, database_now()):  # somebody took it back
        return None
    lives.stands_on(life, subject.current_number)
    require_publishable(kind, subject, draft.text)
    if not lives.is_complete(life, is_weaker=weakens(kind, subject, draft.text)):
        raise ConflictError("Somebody who approved it may no longer do so.", code="approval_void")
    return _publish(kind, subject, draft, life)


@command
def _return(key: Due, error: BaseException) -> list[Any]:
    """What can't be published at its time is in review again, and says why."""
    kind, draft = _held_by(key)
    if draft is not None and lives.is_due(draft.life, database_now()):
        why = str(error) if isinstance(error, TowerError) else f"An error: {type(error).__name__}"
        subject = getattr(draft, kind.subject_field)
        write(kind, draft, lives.returned(draft.life), trouble=why)
        note_down(kind, "publication_failed", subject, SWEEPER, why=why)
    return []


@participant
def _held_by(key: Due) -> tuple[DocumentKind, Any | None]:
    kind = next(kind for kind in all_kinds() if kind.name == key.kind)
    return kind, locked(kind, pk=key.draft)


@participant
def _publish(kind: DocumentKind, subject: Any, draft: Any, life: Life) -> Any:
    last = life.approvals[-1]
    edition = Edition(
        text=draft.text,
        note=last.note,
        notes=_notes(draft, life),
        actor=User.objects.get(pk=last.person).actor,
        author_id=life.author,
        approver_id=last.person,
    )
    draft.delete()
    return kind.publish(subject, edition)


def _notes(draft: Any, life: Life) -> list[dict[str, Any]]:
    """What its author and everybody who approved it said: it stays with the version."""
    written = {
        "act": "submitted",
        "who": draft.author.display_name,
        "person": life.author,
        "note": life.note,
        "at": draft.updated_at.isoformat(),
    }
    return [
        written,
        *(
            {"act": "approved", "who": a.name, "person": a.person, "note": a.note, "at": a.at}
            for a in life.approvals
        ),
    ]


def _standing(kind: DocumentKind, life: Life) -> Life:
    """The life with the approvals that count: of people who may still approve."""
    people = User.objects.filter(pk__in=[a.person for a in life.approvals], is_active=True)
    may = {person.pk for person in people if person.may(kind.permission)}
    return replace(life, approvals=tuple(a for a in life.approvals if a.person in may))
