"""The life of a draft: what may be done next, by whom, and what that makes of it. Pure.

    save ──► DRAFT ──submit──► IN_REVIEW ──approvals──► published, or SCHEDULED until its time
               ▲                   │                              │
               └── save, rebase, withdraw ────────────────────────┘

Whoever changed the text last is its author and approves nothing. What changes the text takes it out
of review and voids what was approved. Every step names the revision that its person saw, so nobody
overwrites, approves or publishes what they haven't seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError

NEEDED, NEEDED_IF_WEAKER = 1, 2


class DraftState(StrEnum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    SCHEDULED = "scheduled"


class StaleRevisionError(Exception):
    """The draft is no longer the revision that the person saw; who was first is known outside."""


@dataclass(frozen=True, slots=True)
class ReviewApproval:
    """One person's yes to this very revision. ``at`` is ISO 8601."""

    person: int
    name: str
    note: str
    at: str


@dataclass(frozen=True, slots=True)
class Life:
    """Where a draft stands. ``base`` is the version that it was written against, ``note`` what its
    author says to the reviewers, ``publish_at`` when an approver wants it published."""

    author: int
    base: int
    revision: int = 1
    state: DraftState = DraftState.DRAFT
    note: str = ""
    approvals: tuple[ReviewApproval, ...] = ()
    publish_at: datetime | None = None


def needed(*, is_weaker: bool) -> int:
    """How many people besides the author have to approve."""
    return NEEDED_IF_WEAKER if is_weaker else NEEDED


def saved(life: Life, *, revision: int, by: int) -> Life:
    """Its text was changed: a new revision, whose author is whoever did it."""
    _seen(life, revision)
    return replace(_reopened(life), revision=revision + 1, author=by)


def rebased(life: Life, *, revision: int, by: int, current: int) -> Life:
    """Its author has seen the version published meanwhile: it stands against that one now."""
    return replace(saved(life, revision=revision, by=by), base=current)


def submitted(life: Life, *, revision: int, note: str) -> Life:
    """Others are asked to approve this revision."""
    _seen(life, revision)
    if life.state != DraftState.DRAFT:
        raise ConflictError("The draft is in review already.", code="draft_state")
    return replace(
        life, state=DraftState.IN_REVIEW, note=note.strip(), approvals=(), publish_at=None
    )


def withdrawn(life: Life, *, revision: int) -> Life:
    """It is out of review, or no longer waits for its time; its text stays."""
    _seen(life, revision)
    if life.state == DraftState.DRAFT:
        raise ConflictError("The draft isn't in review.", code="draft_state")
    return _reopened(life)


def discarded(life: Life, *, revision: int) -> None:
    """Whether it may be thrown away: whoever does has seen what is lost."""
    _seen(life, revision)


def approved(
    life: Life,
    approval: ReviewApproval,
    *,
    revision: int,
    current: int,
    at: datetime | None,
    now: datetime,
) -> Life:
    """``approval`` counts, and whoever gave it wants the draft published at ``at``, or at once."""
    if approval.person == life.author:
        raise NotPermittedError("A second admin publishes: you wrote this draft yourself.")
    if not approval.note.strip():
        raise InvalidInputError("Say why: the note is kept with the version.", field="note")
    if at is not None and at <= now:
        raise InvalidInputError("That time has passed: leave it empty to publish now.", field="at")
    if life.state != DraftState.IN_REVIEW:
        raise ConflictError(
            "The draft isn't in review. Its author submits it first.", code="draft_state"
        )
    stands_on(life, current)
    _seen(life, revision)
    if any(given.person == approval.person for given in life.approvals):
        raise ConflictError(
            "You approved this draft already: somebody else has to as well.", code="approved"
        )
    return replace(life, approvals=(*life.approvals, approval), publish_at=at)


def stands_on(life: Life, current: int) -> None:
    """Refuse a draft that was written against another version than the one in force."""
    if life.base != current:
        raise ConflictError(
            f"v{current} was published since this draft was started from v{life.base}."
            f" Its author must rebase onto v{current} first.",
            code="draft_behind",
        )


def is_complete(life: Life, *, is_weaker: bool) -> bool:
    """Whether enough people approved it. The author is never one of them."""
    people = {given.person for given in life.approvals} - {life.author}
    return len(people) >= needed(is_weaker=is_weaker)


def scheduled(life: Life) -> Life:
    """Approved, and waiting for its time."""
    return replace(life, state=DraftState.SCHEDULED)


def is_due(life: Life, now: datetime) -> bool:
    """Whether its time has come."""
    return (
        life.state == DraftState.SCHEDULED
        and life.publish_at is not None
        and life.publish_at <= now
    )


def returned(life: Life) -> Life:
    """It could not be published at its time: in review again, and approved by nobody."""
    return replace(life, state=DraftState.IN_REVIEW, approvals=(), publish_at=None)


def _seen(life: Life, revision: int) -> None:
    if life.revision != revision:
        raise StaleRevisionError


def _reopened(life: Life) -> Life:
    return replace(life, state=DraftState.DRAFT, approvals=(), publish_at=None)
