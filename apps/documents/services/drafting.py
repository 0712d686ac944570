"""The next version of a document: written, submitted, withdrawn, rebased, rolled back, discarded.

One draft a subject. Each command holds the draft's row, asks ``domain.life`` what becomes of it and
writes that back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apps.documents import selectors
from apps.documents.domain import life as lives
from apps.documents.domain.kinds import DocumentKind
from apps.documents.domain.life import DraftState, Life, StaleRevisionError
from apps.documents.domain.merging import Merged, merge
from apps.documents.models import columns
from apps.documents.services.looking import require_publishable, require_reason
from apps.documents.services.rows import (
    conflict,
    freshen,
    held,
    keep_subject,
    note_down,
    require,
    write,
)
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.jsontext import load_json
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant

KEPT = 5  # texts of other authors that a draft keeps
ONE_SITTING = timedelta(minutes=1)  # saves of one author within this are told as one


@command
def save_draft(
    kind: DocumentKind,
    subject: Any,
    *,
    text: str,
    revision: int,
    author: Any,
    unread_json: str = "",
) -> Any:
    """Keep ``text`` as the draft, right or wrong; ``revision`` is the one the author saw, 0 for
    none. ``unread_json``, typed as JSON and not to be brought into the text yet, is kept beside the
    text that the draft has. Raises ConflictError with who saved what when, if somebody was first,
    InvalidInputError for a text that the kind doesn't keep, such as one with a key in it. A draft
    in review goes back to being a draft: what was submitted is no longer what would be published.
    The text of another author is kept beside the new one."""
    require(kind, author)
    text, unread_json = _storable(text), _storable(unread_json)
    require_keepable(kind, text, unread_json)
    if revision == 0:
        return start(kind, subject, text=text, author=author, unread_json=unread_json)
    draft = held(kind, subject)
    text = draft.text if unread_json else text
    try:
        life = lives.saved(draft.life, revision=revision, by=author.pk)
    except StaleRevisionError:  # two tabs save one revision: the second keeps its text on the page
        raise conflict(kind, subject) from None
    is_other = text != draft.text or unread_json != draft.unread_json
    if is_other and not _goes_on(draft, author):
        note_down(kind, "draft_saved", subject, author.actor, revision=life.revision)
    earlier = _earlier(draft, text, unread_json, author)
    told = {"text": text, "unread_json": unread_json, "earlier": earlier}
    return write(kind, draft, life, **told, trouble="")


def _goes_on(draft: Any, author: Any) -> bool:
    """Whether this save goes on with the author's own, as an editor does that saves by itself."""
    return draft.author_id == author.pk and database_now() - draft.updated_at < ONE_SITTING


def _storable(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\x00", "")


def require_keepable(kind: DocumentKind, *texts: str) -> None:
    """Raise InvalidInputError for what may not even be a draft, such as a text with a key in it."""
    if why := next(filter(None, map(kind.unkeepable, texts)), ""):
        raise InvalidInputError(why, code="not_kept")


def _earlier(draft: Any, text: str, unread_json: str, author: Any) -> list[dict[str, Any]]:
    is_same = draft.text == text and not (unread_json or draft.unread_json)
    if draft.author_id == author.pk or is_same:
        return list(draft.earlier)
    return _kept(draft)


def _kept(draft: Any) -> list[dict[str, Any]]:
    at = draft.updated_at.isoformat()
    kept = {"name": draft.author.display_name, "at": at, "text": draft.text}
    if draft.unread_json:
        kept["unread_json"] = draft.unread_json
    return [*draft.earlier, kept][-KEPT:]


@participant
def start(
    kind: DocumentKind,
    subject: Any,
    *,
    text: str,
    author: Any,
    note: str = "",
    unread_json: str = "",
) -> Any:
    """The first draft, of a subject that may have no version yet; with a ``note`` it is in review
    at once. Raises ConflictError when there is one, InvalidInputError for a text that the kind
    doesn't keep."""
    require_keepable(kind, text, unread_json)
    keep_subject(subject)
    life = Life(
        author=author.pk,
        base=subject.current_number,
        state=DraftState.IN_REVIEW if note else DraftState.DRAFT,
        note=note,
    )
    # get_or_create waits for another insert of the same draft and then finds it.
    _, made = kind.drafts.objects.get_or_create(
        **{kind.subject_field: subject},
        defaults={"text": text, "unread_json": unread_json, **columns(life)},
    )
    if not made:
        raise conflict(kind, subject)
    note_down(kind, "draft_started", subject, author.actor, base=life.base)
    return selectors.draft_of(kind, subject)


@command
def submit_draft(kind: DocumentKind, subject: Any, *, revision: int, author: Any, note: str) -> Any:
    """Ask others to approve this revision. Raises InvalidInputError for a text with problems or
    without a change, or without a note where it breaks what has to hold, ConflictError when the
    draft moved on."""
    require(kind, author)
    draft = held(kind, subject)
    _require_read(draft)
    require_publishable(kind, subject, draft.text)
    require_reason(kind, subject, draft.text, note)
    try:
        life = lives.submitted(draft.life, revision=revision, note=note)
    except StaleRevisionError:
        raise conflict(kind, subject) from None
    note_down(kind, "submitted", subject, author.actor, revision=revision)
    return write(kind, draft, life, trouble="")


def _require_read(draft: Any) -> None:
    """Refuse to go on with a text while what was typed last isn't in it."""
    if draft.unread_json:
        problems = load_json(draft.unread_json).problems
        where = f" Line {problems[0].line}: {problems[0].message}" if problems else ""
        message = f"What was typed as JSON is not in the text yet: mend it or drop it.{where}"
        raise InvalidInputError(message, code="json_unread", problems=problems)


@command
def withdraw(kind: DocumentKind, subject: Any, *, revision: int, actor: Any) -> Any:
    """Take the draft out of review, or off its time; its text stays, its approvals are void."""
    require(kind, actor)
    draft = held(kind, subject)
    try:
        life = lives.withdrawn(draft.life, revision=revision)
    except StaleRevisionError:
        raise conflict(kind, subject) from None
    note_down(kind, "withdrawn", subject, actor.actor, revision=revision)
    return write(kind, draft, life, trouble="")


@command
def discard(kind: DocumentKind, subject: Any, *, revision: int, actor: Any) -> None:
    """Throw the draft away, and with it a subject that was never published and
    that nothing else knows. Raises ConflictError
    when somebody saved it meanwhile."""
    require(kind, actor)
    draft = held(kind, subject)
    # A pack that publishes it at this moment waits, or is seen here.
    type(subject).objects.select_for_update().get(pk=subject.pk)
    freshen(subject)
    try:
        lives.discarded(draft.life, revision=revision)
    except StaleRevisionError:
        raise conflict(kind, subject) from None
    draft.delete()
    note_down(kind, "draft_discarded", subject, actor.actor, revision=revision)
    if subject.current_number == 0 and not getattr(subject, "is_known_otherwise", False):
        type(subject).objects.filter(pk=subject.pk).delete()


@command
def rebase(kind: DocumentKind, subject: Any, *, revision: int, actor: Any) -> Any:
    """Say that the draft's author has seen the version published meanwhile: the draft now stands
    against it, with its text as it is, and its difference is shown against it."""
    draft, life = _rebased(kind, subject, revision, actor)
    return write(kind, draft, life, trouble="")


@command
def take_over(kind: DocumentKind, subject: Any, *, revision: int, actor: Any) -> Merged:
    """Bring what the version published meanwhile changed into the draft, which stands against it
    then. Where both changed the same lines the draft's stay; they are what is returned. The text
    as it was is kept beside."""
    draft, life = _rebased(kind, subject, revision, actor)
    _require_read(draft)  # once mended, it would take out again what the other version changed
    base, current = kind.version(subject, draft.base_number), kind.current(subject)
    if base is None or current is None:
        raise ConflictError("There is no version that could be taken over.", code="draft_state")
    merged = merge(base.text, draft.text, current.text)
    kept = _kept(draft) if merged.text != draft.text else list(draft.earlier)
    write(kind, draft, life, text=merged.text, earlier=kept, trouble="")
    return merged


@participant
def _rebased(kind: DocumentKind, subject: Any, revision: int, actor: Any) -> tuple[Any, Life]:
    require(kind, actor)
    draft = held(kind, subject)
    freshen(subject)
    base = subject.current_number
    try:
        life = lives.rebased(draft.life, revision=revision, by=actor.pk, current=base)
    except StaleRevisionError:
        raise conflict(kind, subject) from None
    note_down(kind, "draft_rebased", subject, actor.actor, base=base)
    return draft, life


@command
def roll_back(kind: DocumentKind, subject: Any, *, number: int, actor: Any, note: str) -> Any:
    """Put an older body up for review as the next version; others approve it. Raises ConflictError
    when another draft is on its way, NotFoundError for an unknown version."""
    require(kind, actor)
    version = kind.version(subject, number)
    if version is None:
        raise NotFoundError(f"“{subject.slug}” has no v{number}.", subject=subject.slug)
    if not note.strip():
        raise InvalidInputError("Say why: the second admin reads it.", field="note")
    require_publishable(kind, subject, version.text)
    reason = f"Roll back to v{number}: {note.strip()}"
    draft = start(kind, subject, text=version.text, author=actor, note=reason)
    note_down(kind, "rollback_proposed", subject, actor.actor, to=number)
    return draft
