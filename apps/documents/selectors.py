"""Which kinds of document there are, and reads that are the same for all of them."""

from __future__ import annotations

from typing import Any, cast

from django.utils.module_loading import import_string

from apps.documents.domain.kinds import DocumentKind

MOST_BEGUN = 50
_declared: dict[str, str] = {}


def declare(name: str, path: str) -> None:
    """Make a kind known by where it is written: its app does so as it starts, when nothing but the
    registry of apps may be imported yet."""
    _declared[name] = path


def all_kinds() -> tuple[DocumentKind, ...]:
    """Every kind there is, by name."""
    return tuple(cast(DocumentKind, import_string(_declared[n])) for n in sorted(_declared))


def begun(kind: DocumentKind) -> list[Any]:
    """The latest drafts of what was never published, with their subjects and authors."""
    of = kind.subject_field
    found = kind.drafts.objects.filter(**{f"{of}__current_number": 0})
    latest = found.select_related(f"{of}__domain", "author").order_by("-created_at", "-pk")
    return list(latest[:MOST_BEGUN])


def draft_of(kind: DocumentKind, subject: Any) -> Any | None:
    """The draft of a subject's next version, with its author, if one is being written."""
    found = kind.drafts.objects.select_related("author")
    return found.filter(**{kind.subject_field: subject}).first()
