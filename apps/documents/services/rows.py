"""A draft's row: held while it is decided about, and written back."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models.functions import Now

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.documents import selectors
from apps.documents.domain.kinds import DocumentKind
from apps.documents.domain.life import Life
from apps.documents.models import columns
from apps.kernel.errors import ConflictError, NotPermittedError
from apps.kernel.transactions import participant


def require(kind: DocumentKind, person: Any) -> None:
    """Refuse everybody who may not write, approve and publish documents of this kind."""
    if not person.may(kind.permission):
        raise NotPermittedError(kind.refusal)


@participant
def locked(kind: DocumentKind, **which: Any) -> Any | None:
    """The draft's row, locked. It is read alone: joined with its author it would be missed when
    whoever held it before has changed who that is (PostgreSQL looks at the old author again)."""
    # Two editors, or an editor and a publisher: the second reads what the first left.
    return kind.drafts.objects.select_for_update().filter(**which).first()


@participant
def held(kind: DocumentKind, subject: Any) -> Any:
    """The draft, locked until the transaction ends: of two who act on it at once, the second finds
    what the first made of it. Raises ConflictError when there is none."""
    draft = locked(kind, **{kind.subject_field: subject})
    if draft is None:
        raise _gone()
    return draft


@participant
def freshen(subject: Any) -> None:
    """Read which of its versions is in force, now. Raises ConflictError where it is gone: what was
    never published goes with its draft."""
    try:
        subject.refresh_from_db(fields=["current_number"])
    except ObjectDoesNotExist:
        raise _gone() from None


@participant
def keep_subject(subject: Any) -> None:
    """The same, and hold its row: whoever discards the last draft of what was never published
    deletes it, and a draft that is written at that moment would belong to nothing."""
    rows = type(subject).objects.select_for_update(no_key=True).filter(pk=subject.pk)
    number = rows.values_list("current_number", flat=True).first()
    if number is None:
        raise _gone()
    subject.current_number = number


@participant
def write(kind: DocumentKind, draft: Any, life: Life, **more: Any) -> Any:
    """What became of a draft that is held; ``touched=False`` leaves when it was changed."""
    if more.pop("touched", True):
        more["updated_at"] = Now()
    kind.drafts.objects.filter(pk=draft.pk).update(**columns(life), **more)
    return selectors.draft_of(kind, getattr(draft, kind.subject_field))


def conflict(kind: DocumentKind, subject: Any) -> ConflictError:
    """Who was first, when, and with what: both texts are kept, theirs in the draft and this
    person's on their page."""
    draft = selectors.draft_of(kind, subject)
    if draft is None:
        return _gone()
    return ConflictError(
        f"{draft.author.display_name} saved this draft meanwhile. Your text is kept here.",
        code="draft_moved",
        who=draft.author.display_name,
        when=draft.updated_at,
        revision=draft.revision,
        text=draft.text,
    )


def _gone() -> ConflictError:
    return ConflictError(
        "The draft was published or discarded meanwhile. Your text is kept here.", code="draft_gone"
    )


@participant
def note_down(kind: DocumentKind, act: str, subject: Any, actor: Actor, /, **payload: Any) -> None:
    """One event of a subject's draft."""
    record(
        kind=f"{kind.name}.{act}",
        actor=actor,
        subject_type=kind.subject_type,
        subject_id=subject.slug,
        payload=payload,
    )
