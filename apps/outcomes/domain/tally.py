"""Runs counted: cells, as one grouped read gives them, and the tallies they are rolled up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from apps.outcomes.domain.counting import FINISHED, CountsAs, Share, counts_as
from apps.runs.domain.states import State

K = TypeVar("K")
Key = tuple[str | int, ...]
DIMENSIONS = {
    "job": ("job_slug",),
    "contract": ("job_slug", "contract_number"),
    "agent": ("agent_label",),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Runs that agree in what a chart tells apart: in the bucket and the state (and the outcome,
    where it decides what they count as), or in everything but the bucket; the fields of the other
    kind are empty."""

    bucket: datetime | None = None
    domain_slug: str = ""
    job_slug: str = ""
    contract_number: int = 0
    contract_version_id: int = 0
    agent_label: str = ""
    state: str = ""
    outcome: str = ""
    error_class: str = ""
    runs: int = 0
    violations: int = 0
    metered: int = 0
    priced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int = 0

    @property
    def counts_as(self) -> CountsAs:
        return counts_as(self.state, self.outcome)

    @property
    def is_finished(self) -> bool:
        return self.counts_as in FINISHED

    @property
    def is_success(self) -> bool:
        return self.counts_as is CountsAs.SUCCESS

    def key(self, dimension: str) -> Key:
        return tuple(getattr(self, column) for column in DIMENSIONS[dimension])


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract promises: success share, p95 and the longest bearable time, in seconds."""

    target: float
    p95_s: float
    budget_s: float


@dataclass(slots=True)
class Tally:
    """Counts of a group of runs, rolled up from cells."""

    runs: int = 0
    finished: int = 0
    succeeded: int = 0
    handed_over: int = 0
    cancelled: int = 0
    violations: int = 0
    unknown: int = 0
    metered: int = 0
    priced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int = 0
    versions: dict[int, tuple[int, int]] = field(default_factory=dict)  # id → number, finished

    def add(self, cell: Cell) -> None:
        finished = cell.runs * cell.is_finished
        self.runs += cell.runs
        self.finished += finished
        self.succeeded += cell.runs * cell.is_success
        self.handed_over += cell.runs * (cell.counts_as is CountsAs.HANDED_OVER)
        self.cancelled += cell.runs * (cell.counts_as is CountsAs.CANCELLED)
        self.unknown += cell.runs * (cell.state == State.CONFIRMATION_UNKNOWN)
        for name in ("violations", "metered", "priced"):
            setattr(self, name, getattr(self, name) + getattr(cell, name))
        self.tokens_in += cell.tokens_in
        self.tokens_out += cell.tokens_out
        self.cost_microusd += cell.cost_microusd
        before = self.versions.get(cell.contract_version_id, (0, 0))[1]
        self.versions[cell.contract_version_id] = (cell.contract_number, before + finished)

    @property
    def failed(self) -> int:
        return self.finished - self.succeeded

    @property
    def open(self) -> int:
        return self.runs - self.finished - self.handed_over - self.cancelled

    @property
    def success(self) -> Share:
        return Share(self.succeeded, self.finished)

    def newest_version(self) -> int:
        return max(self.versions, key=lambda pk: self.versions[pk][0])


def tally(cells: Iterable[Cell]) -> Tally:
    """All cells as one group."""
    found = Tally()
    for cell in cells:
        found.add(cell)
    return found


def tally_by(cells: Iterable[Cell], key: Callable[[Cell], K]) -> dict[K, Tally]:
    """Cells grouped by ``key``."""
    found: dict[K, Tally] = {}
    for cell in cells:
        found.setdefault(key(cell), Tally()).add(cell)
    return found


def target_of(group: Tally, terms: Mapping[int, Terms]) -> float | None:
    """The share that the group's contracts promise together: their targets, weighted by how many
    runs finished under each."""
    weights = {pk: max(n, 1) for pk, (_, n) in group.versions.items() if pk in terms}
    if not weights:
        return None
    return sum(terms[pk].target * w for pk, w in weights.items()) / sum(weights.values())
