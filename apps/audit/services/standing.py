"""What is known of the chain: its checkpoints, and how far it was verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from apps.audit.adapters import files
from apps.audit.domain.checkpoint import SignedHead
from apps.audit.models import Checkpoint, Verification
from apps.audit.selectors import end_of_chain, hash_at
from apps.audit.services.signing import is_signed
from apps.kernel.statements import database_now

CHUNK = 10


def of_row(row: Checkpoint) -> SignedHead:
    """A checkpoint as the database holds it."""
    return SignedHead(row.count, row.head, row.at, row.key_id, row.signature)


def last_mark() -> SignedHead | None:
    """The checkpoint of the most events that a key of ours signed, whether the database or the end
    of the file holds it. One that nobody signed hides none: whoever can add a row or a line could
    end all checkpoints with it. Raises ``TowerError`` where nobody can know."""
    lines = sorted(files.latest(settings.AUDIT_CHECKPOINTS), key=_count, reverse=True)
    known = [next(filter(is_signed, some), None) for some in (_newest(), lines)]
    return max((mark for mark in known if mark), key=_count, default=None)


def _newest() -> Iterator[SignedHead]:
    """The checkpoints of the database, that of the most events first; few are ever looked at."""
    rows = Checkpoint.objects.order_by("-count")
    found = list(rows[:CHUNK])
    while found:
        yield from map(of_row, found)
        found = list(rows.filter(count__lt=found[-1].count)[:CHUNK])


def _count(mark: SignedHead) -> int:
    return mark.count


def marks_between(after: int, upto: int) -> list[SignedHead]:
    """The checkpoints of the database for more than ``after`` and at most ``upto`` events."""
    rows = Checkpoint.objects.filter(count__gt=after, count__lte=upto).order_by("count")
    return [of_row(row) for row in rows]


def marks_of_file() -> tuple[tuple[SignedHead, ...], tuple[str, ...]]:
    """Those of the file in their order, and what is wrong with its lines. Read anew when the file
    changed."""
    path = Path(settings.AUDIT_CHECKPOINTS)
    try:
        found = path.stat()
    except OSError:
        return (), ()
    return _read(str(path), (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=2)
def _read(file: str, mark: tuple[int, int, int]) -> tuple[tuple[SignedHead, ...], tuple[str, ...]]:
    found = list(files.marks(file))
    good = sorted((m for m in found if isinstance(m, SignedHead)), key=_count)
    return tuple(good), tuple(m for m in found if isinstance(m, str))


def put_aside() -> str:
    """Begin a new file of checkpoints if that of before counts events that the log lacks, as after
    a restore. Returns where the old one lies now; nothing if it was let be. Raises
    ``CheckpointFileError`` where only the owner of the file can move it."""
    path = Path(settings.AUDIT_CHECKPOINTS)
    known = next(filter(is_signed, reversed(marks_of_file()[0])), None)
    if known is None or hash_at(known.count) == known.head:
        return ""
    aside = path.with_name(f"{path.name}.before-{database_now():%Y%m%dT%H%M%SZ}")
    files.put_aside(str(path), str(aside))
    if Path(stamps := f"{path}.stamps").exists():
        files.put_aside(stamps, f"{aside}.stamps")
    return str(aside)


@dataclass(frozen=True, slots=True)
class ChainStanding:
    """How the chain stands. ``rolling`` follows new events; ``full`` is the last walk through all
    of it, which may be under way."""

    head: int
    rolling: Verification | None
    full: Verification | None
    broken: Verification | None
    mark: SignedHead | None

    @property
    def verified(self) -> int:
        return self.rolling.position if self.rolling else 0

    @property
    def to_go(self) -> int:
        return max(0, self.head - self.verified)

    @property
    def is_under_way(self) -> bool:
        return self.full is not None and self.full.ended_at is None

    @property
    def percent(self) -> int:
        if self.full is None or not self.full.target:
            return 100
        return min(100, 100 * self.full.position // self.full.target)


def standing() -> ChainStanding:
    """How the chain stands now. Raises ``TowerError`` where the file of checkpoints can't be
    read."""
    rows = Verification.objects.order_by("-pk")
    full = rows.filter(kind=Verification.Kind.FULL).first()
    rolling = rows.filter(kind=Verification.Kind.ROLLING).first()
    return ChainStanding(end_of_chain()[0], rolling, full, broken(), last_mark())


def broken() -> Verification | None:
    """What found the log broken, unless all of it was found sound since."""
    ended = Verification.objects.exclude(ended_at=None).order_by("-ended_at", "-pk")
    last_full = ended.filter(kind=Verification.Kind.FULL).first()
    if last_full is not None and last_full.problem:
        return last_full
    since = ended.exclude(problem="")
    if last_full is not None:
        since = since.filter(ended_at__gt=last_full.ended_at)
    return since.first()
