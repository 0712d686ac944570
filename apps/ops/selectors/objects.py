"""Everything agents did to one thing: the steps that name it and the runs that are about it, found
by the index of references whatever the thing is called (see ``ops.models``)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTransform

from apps.ops.models import ObjectReference
from apps.oversight.domain.searching import terms
from apps.oversight.models import Approval
from apps.policy.domain.effects import CONSEQUENTIAL, Effect
from apps.runs.models import Run, Step

PAGE = 50
COUNT_LIMIT = 10_000
EXPORT_LIMIT = 50_000
EXPORT_CHUNK = 1_000
NAMES_WINDOW = 1_000  # latest references of which the names are told
MOST_NAMES = 12
KINDS = {
    "changes": "Changes of it",
    "reads": "Reads",
    "asked": "Asked of a person",
    "runs": "Runs about it",
}
HEAVY = ("arguments", "result", "preview", "facts")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ObjectFilter:
    """Which references are asked for. ``object_id`` in whatever form it was printed; the rest is
    optional."""

    object_id: str
    kind: str = ""
    domain: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def rows(self) -> QuerySet[ObjectReference]:
        """Matching references, in no order."""
        given = {"at__gte": self.since, "at__lt": self.until}
        rows = ObjectReference.objects.filter(
            key=key_of(self.object_id), **{name: at for name, at in given.items() if at}
        )
        if self.domain:
            runs = Run.objects.filter(pk=OuterRef("run_id"), domain_slug=self.domain)
            rows = rows.filter(Exists(runs))
        return rows.filter(self._of_kind()) if self.kind else rows

    def _of_kind(self) -> Q:
        if self.kind == "asked":
            return Q(Exists(Approval.objects.filter(step_id=OuterRef("step_id"))))
        effects = {"changes": sorted(CONSEQUENTIAL), "reads": [Effect.READ]}.get(self.kind, [""])
        return Q(effect__in=[str(effect) for effect in effects])


def key_of(object_id: str) -> Func:
    """What a thing with this id is found by, however it was printed."""
    return Func(Value(object_id), function="ops_object_key", output_field=TextField())


@dataclass(frozen=True, slots=True)
class ObjectCursor:
    """A place in the list, newest first."""

    at: datetime
    pk: int

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // timedelta(microseconds=1)}.{self.pk}"

    @classmethod
    def parse(cls, text: str) -> ObjectCursor | None:
        """The cursor that ``text`` names, ``None`` if it names none."""
        micros, _, pk = text.partition(".")
        if not (_is_number(micros, 17) and _is_number(pk, 18)):
            return None
        try:
            return cls(EPOCH + timedelta(microseconds=int(micros)), int(pk))
        except OverflowError:
            return None


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= digits


@dataclass(frozen=True, slots=True)
class Touch:
    """One line of the list: a step that names the thing and the last question about it, or a run
    that is about the thing."""

    reference: ObjectReference
    run: Run | None
    step: Step | None
    asked: Approval | None

    @property
    def state(self) -> str:
        """How the step stands, what became of it, or how the run stands."""
        if self.step:
            return self.step.disposition or self.step.state
        return self.run.state if self.run else ""

    @property
    def amount_cents(self) -> int | None:
        """How much moves, where it is known."""
        if self.asked:
            return self.asked.amount_cents
        found = getattr(self.step, "amount", None)
        return found if type(found) is int else None


@dataclass(frozen=True, slots=True)
class ObjectPage:
    rows: Sequence[Touch]
    older: str


def page(
    wanted: ObjectFilter, *, before: ObjectCursor | None = None, size: int = PAGE
) -> ObjectPage:
    """A page by key, newest first: four queries, however many rows."""
    found = list(_before(wanted.rows(), before)[: size + 1])
    more, found = len(found) > size, found[:size]
    older = str(ObjectCursor(found[-1].at, found[-1].pk)) if more else ""
    return ObjectPage(_touches(found), older)


def _before(
    rows: QuerySet[ObjectReference], cursor: ObjectCursor | None
) -> QuerySet[ObjectReference]:
    rows = rows.order_by("-at", "-id")
    if cursor is None:
        return rows
    # The first condition is what the index can seek; the second settles equal moments.
    return rows.filter(at__lte=cursor.at).filter(Q(at__lt=cursor.at) | Q(id__lt=cursor.pk))


def _touches(references: Sequence[ObjectReference]) -> list[Touch]:
    ids = [r.step_id for r in references]
    runs = Run.objects.defer("input", "context", "request").in_bulk([r.run_id for r in references])
    steps = Step.objects.annotate(amount=KeyTransform("amount_cents", F("facts")))
    known = steps.defer(*HEAVY).in_bulk(ids)
    asked = {a.step_id: a for a in _questions(ids)}
    return [
        Touch(r, runs.get(r.run_id), known.get(r.step_id), asked.get(r.step_id)) for r in references
    ]


def _questions(step_ids: Collection[UUID]) -> QuerySet[Approval]:
    """The questions about these steps, the last of each at the end."""
    shown = ("step_id", "state", "sentence", "amount_cents", "reason", "decided_at", "decided_by")
    rows = Approval.objects.filter(step_id__in=step_ids).select_related("decided_by")
    return rows.only(*shown, "not_before").order_by("created_at")


def count(wanted: ObjectFilter) -> int:
    """How many match, counted up to ``COUNT_LIMIT`` + 1."""
    return wanted.rows().order_by()[: COUNT_LIMIT + 1].count()


def export(wanted: ObjectFilter) -> Iterator[Touch]:
    """All that match, newest first, up to ``EXPORT_LIMIT``; read in chunks by key, so that nothing
    stays open while a slow browser reads."""
    cursor: ObjectCursor | None = None
    for _ in range(EXPORT_LIMIT // EXPORT_CHUNK):
        found = list(_before(wanted.rows(), cursor)[:EXPORT_CHUNK])
        yield from _touches(found)
        if len(found) < EXPORT_CHUNK:
            return
        cursor = ObjectCursor(found[-1].at, found[-1].pk)


@dataclass(frozen=True, slots=True)
class ObjectName:
    """What a thing was called where it was named, and its id as it came there."""

    field: str
    value: str


def names_of(object_id: str) -> list[ObjectName]:
    """What the thing was called lately."""
    rows = ObjectReference.objects.filter(key=key_of(object_id)).order_by("-at", "-id")
    latest = rows.values_list("field", "value")[:NAMES_WINDOW]
    return [ObjectName(*pair) for pair in sorted(set(latest))[:MOST_NAMES]]


def domains_of(object_id: str) -> list[str]:
    """In which domains it was named lately."""
    rows = ObjectReference.objects.filter(key=key_of(object_id)).order_by("-at", "-id")
    latest = list(rows.values_list("run_id", flat=True)[:NAMES_WINDOW])
    runs = Run.objects.filter(pk__in=latest)
    return sorted(runs.values_list("domain_slug", flat=True).distinct())


def named_by(
    run_id: UUID, step_id: UUID | None = None, *, most: int = MOST_NAMES
) -> list[ObjectReference]:
    """The things that a run, or one of its steps, names: those that it changes first."""
    rows = ObjectReference.objects.filter(run_id=run_id)
    if step_id:
        rows = rows.filter(step_id__in=[step_id, run_id])
    found: dict[str, ObjectReference] = {}
    for row in sorted(rows[:NAMES_WINDOW], key=lambda r: (r.effect in ("", Effect.READ), r.pk)):
        found.setdefault(row.key, row)
    return list(found.values())[:most]


def known_among(typed: str) -> list[str]:
    """Which words of a search are the ids of things that something names."""
    words = [term.text for term in terms(typed)]
    return [w for w in words if ObjectReference.objects.filter(key=key_of(w)).exists()]
