"""What a kind of document plugs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from apps.audit.domain.actors import Actor
from apps.documents.domain.changes import Change
from apps.kernel.documents import Problem
from apps.kernel.fields import Section


@dataclass(frozen=True, slots=True)
class Edition:
    """What becomes a version. ``notes``: what each person said on its way, in order: {"act",
    "who", "person", "note", "at"}. ``actor`` is who completed it."""

    text: str
    note: str
    notes: Sequence[Mapping[str, Any]]
    actor: Actor
    author_id: int
    approver_id: int


@dataclass(frozen=True, slots=True)
class Case:
    """Something that happened, and would happen otherwise under another text."""

    run_id: Any
    action: str
    before: str
    after: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Consequences:
    """What publishing would mean: in sentences, in numbers, and case by case."""

    lines: Sequence[str] = ()
    counts: Mapping[Any, int] = field(default_factory=dict)
    cases: Sequence[Case] = ()


class DocumentKind(Protocol):
    """A kind of document. A *subject* is the row whose versions there are: it has ``slug`` and
    ``current_number``, and its versions are ``documents.models.Version``. One whose only draft is
    discarded goes with it, unless it has ``is_known_otherwise`` and that is true."""

    @property
    def name(self) -> str:
        """Begins the kinds of its events: ``contract`` for ``contract.published``."""

    @property
    def subject_type(self) -> str:
        """What the audit log calls its subjects."""

    @property
    def permission(self) -> str:
        """Who writes, approves and publishes."""

    @property
    def refusal(self) -> str:
        """The sentence for everybody else."""

    @property
    def format(self) -> str:
        """``yaml``, or ``text`` for prose: that has no values, no form, and every letter counts."""

    @property
    def drafts(self) -> Any:
        """The model of its drafts, a ``documents.models.Draft``."""

    @property
    def subject_field(self) -> str:
        """The draft's field that points at its subject."""

    def current(self, subject: Any) -> Any | None:
        """The version in force."""

    def version(self, subject: Any, number: int) -> Any | None:
        """The version of this number."""

    def unkeepable(self, text: str) -> str:
        """Why a text may not even be a draft; empty if it may."""

    def problems(self, subject: Any, text: str) -> Sequence[Problem]:
        """All that is wrong with a text; it can be published if none of it is an error."""

    def changes(self, subject: Any, before: Any, text: str) -> Sequence[Change]:
        """What a text without errors changes against the version ``before``, weaker first."""

    def first_changes(self, subject: Any, text: str) -> Sequence[Change]:
        """What a first version without errors changes of what was so without one."""

    def broken(self, subject: Any, text: str) -> Sequence[str]:
        """What has to hold of every version and would not under a text without errors, or is not
        known to, as sentences: publishing it needs a reason and a second approval. May take long
        the first time."""

    def consequences(self, subject: Any, text: str, *, readable: bool) -> Consequences:
        """What publishing a text would mean; ``readable`` is one without errors."""

    def sections(self, subject: Any, text: str) -> Sequence[Section]:
        """The form over a text."""

    def publish(self, subject: Any, edition: Edition) -> Any:
        """Make it the version in force, in the transaction that is open, or raise a
        ``TowerError``: a participant."""
