"""What admission would say now: of each class, and of each job that asks people."""

from __future__ import annotations

from dataclasses import dataclass

from apps.calls.domain.admission import (
    NEEDED_BY,
    WORDS,
    Admission,
    AdmissionRequest,
    Class,
    Defer,
    People,
    Shed,
    decide,
)
from apps.catalog import selectors as catalog
from apps.kernel.errors import NotFoundError
from apps.runs.services.admitting import PressureReading, bounds, reading
from apps.web.domain.quantities import coarse_words

NEARLY = 0.5  # of the window: from here on people are told that a job will be deferred


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: what waits of it and of all that matters more, beside its bound."""

    cls: Class
    own: int
    counted: int
    bound: int | None
    deferred: int
    verdict: Admission

    @property
    def name(self) -> str:
        return self.cls.name

    @property
    def words(self) -> str:
        return WORDS[self.cls]

    @property
    def fill(self) -> float:
        """Per cent of the bound."""
        return min(100.0, 100.0 * self.counted / self.bound) if self.bound else 0.0

    @property
    def answer(self) -> str:
        """accepted | deferred | shed: what a new run would meet now."""
        return {Defer: "deferred", Shed: "shed"}.get(type(self.verdict), "accepted")

    @property
    def reason(self) -> str:
        return getattr(self.verdict, "reason", "")

    @property
    def retry_after(self) -> str:
        """What a caller is told now: when to come again."""
        return coarse_words(self.verdict.retry_after_s) if isinstance(self.verdict, Shed) else ""


@dataclass(frozen=True, slots=True)
class JobOutlook:
    """A job whose runs ask people, beside the time that people have to answer."""

    slug: str
    share: float
    people: People
    window_s: float

    @property
    def percent(self) -> float:
        return self.share * 100

    @property
    def wait(self) -> str:
        return coarse_words(self.people.wait_s)

    @property
    def window(self) -> str:
        return coarse_words(self.window_s)

    @property
    def fill(self) -> float:
        """Expected wait in per cent of the window."""
        return min(100.0, 100.0 * self.people.wait_s / self.window_s)

    @property
    def nearly_waits(self) -> bool:
        """Whether its new runs are deferred, or will be if nobody decides faster."""
        crowded = self.people.wait_s > self.window_s * NEARLY
        return self.share >= NEEDED_BY and crowded

    @property
    def waits(self) -> bool:
        """Whether new runs of the job are deferred for it."""
        return self.share >= NEEDED_BY and self.people.wait_s > self.window_s


def classes(now: PressureReading) -> list[ClassRow]:
    """Every class, the most important first."""
    queues, most = now.queues(), bounds()
    anybody = People()
    return [
        ClassRow(
            cls,
            queues.queued.get(cls, 0),
            queues.up_to(cls),
            most.get(cls),
            queues.deferred.get(cls, 0),
            decide(AdmissionRequest(cls, float("inf")), queues, most, anybody),
        )
        for cls in Class
    ]


def jobs(now: PressureReading) -> list[JobOutlook]:
    """Jobs that ask people, the longest wait against its window first."""
    slugs = {job for a in now.asked for job in a.jobs} | {job for _, job in now.queued}
    rows = []
    for slug in slugs:
        share, people = now.share(slug), now.people(slug)
        if not (share or people.waiting):
            continue
        try:
            window_s = float(catalog.contract_for_run(slug)[1].decisions.window_s)
        except NotFoundError:  # retired meanwhile: nothing new is started
            continue
        rows.append(JobOutlook(slug, share, people, window_s))
    return sorted(rows, key=lambda r: (-r.people.wait_s / r.window_s, r.slug))


def crowded() -> list[JobOutlook]:
    """Jobs whose new runs are deferred because people don't keep up, or soon will be; the worst
    first."""
    return [row for row in jobs(reading()) if row.nearly_waits]
