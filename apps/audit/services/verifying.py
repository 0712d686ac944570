"""Look whether the log is still as it was written, in the background and piece by piece.

A rolling verification follows each new event: its hash must follow from the one before, and the
checkpoint of the most events must still fit. A full one walks the whole chain, and holds every
checkpoint of the file and of the database against it; one begins each day, and whenever somebody
asks. Each piece is short; how far it came stands in a row, so that any process can go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models.functions import Now

from apps.audit import selectors as log
from apps.audit.domain.actors import SWEEPER, Actor
from apps.audit.domain.chain import AS_TEXTS, GENESIS, Break, first_break
from apps.audit.domain.checkpoint import SignedHead
from apps.audit.models import Verification
from apps.audit.selectors import Stored
from apps.audit.services.anchoring import stamped
from apps.audit.services.recording import Fact, record_many
from apps.audit.services.sealing import as_sealed
from apps.audit.services.signing import is_signed
from apps.audit.services.standing import last_mark, marks_between, marks_of_file
from apps.kernel.statements import database_now
from apps.kernel.transactions import command

logger = logging.getLogger(__name__)
CHUNK = 2_000
BUDGET_S = 1.0  # of a round, for each of the two kinds
DAILY = timedelta(days=1)
EARLY = timedelta(minutes=15)  # what was committed late was written no earlier than this before
MOST_NOTES = 20
UNTRUSTED = "A checkpoint of {:,} events is signed by no key we trust."
ROLLING, FULL = Verification.Kind.ROLLING, Verification.Kind.FULL


def verify_on() -> int:
    """Go on verifying for a moment: a duty. Returns how many events were looked at."""
    if not _is_halted():
        begin(ROLLING, SWEEPER)
    if _is_daily_due():
        begin(FULL, SWEEPER)
    seen = 0
    for row in Verification.objects.filter(ended_at=None).order_by("pk"):
        seen += go_on(row, budget_s=BUDGET_S)
    return seen


def ask_for_all(by: Actor) -> Verification:
    """Have the whole log verified, by whoever does the duties; one that is under way serves."""
    return begin(FULL, by)


def begin(kind: str, by: Actor) -> Verification:
    """The verification of this kind that is under way, made if there is none."""
    known = Verification.objects.filter(kind=kind, ended_at=None).first()
    return known or _begin(kind, by)


@command
def _begin(kind: str, by: Actor) -> Verification:
    target, _ = log.end_of_chain()
    fields = {"asked_by": by.text, "hash": GENESIS, "target": target}
    sound = _last(FULL)
    if kind == ROLLING and sound is not None and sound.ended_at and not sound.problem:
        fields |= {"position": sound.position, "hash": sound.hash}
    # Of two who begin it at once, the unique index lets one make it and gives the other that one.
    row, is_new = Verification.objects.get_or_create(kind=kind, ended_at=None, defaults=fields)
    if is_new and _is_a_person(row):
        record_many([_fact("verification_asked", row, by, events=target)])
    return row


def _last(kind: str) -> Verification | None:
    return Verification.objects.filter(kind=kind).order_by("-pk").first()


def _is_halted() -> bool:
    """Whether new events follow a break: then only a full walk that finds none lets it go on."""
    rolling, full = _last(ROLLING), _last(FULL)
    if rolling is None or not rolling.problem:
        return False
    return full is None or full.problem != "" or (full.ended_at or full.began_at) < rolling.moved_at


def _is_daily_due() -> bool:
    last = _last(FULL)
    return last is None or database_now() - last.began_at >= DAILY


def _is_a_person(row: Verification) -> bool:
    return Actor.parse(row.asked_by) != SWEEPER


@dataclass
class _Piece:
    """What a piece of the walk came to."""

    position: int
    hash: str
    seen: int = 0
    fitting: int = 0
    by_texts: int = 0
    broken: Break | None = None
    notes: list[str] = field(default_factory=list)


def go_on(row: Verification, *, budget_s: float) -> int:
    """Walk on for about so many seconds, at least one piece. Returns how many events that were."""
    until = time.monotonic() + budget_s
    seen = 0
    while not row.problem:
        piece = _piece(row)
        seen += piece.seen
        is_at_end = piece.seen < CHUNK or (row.kind == FULL and piece.position >= row.target)
        if is_at_end and piece.broken is None:
            piece.broken = _beyond(piece.position, last_mark())
        if is_at_end and row.kind == FULL and piece.broken is None:
            _hold_against_the_rest(piece)
        is_done = row.kind == FULL and is_at_end
        if not _keep(row, piece, is_done=is_done or piece.broken is not None):
            break  # another process went on with it meanwhile
        if is_at_end or time.monotonic() > until:
            break
    return seen


def _piece(row: Verification) -> _Piece:
    found = log.sealed_after(row.position, limit=CHUNK)
    piece = _Piece(row.position, row.hash, seen=len(found))
    if row.position and log.hash_at(row.position) != row.hash:
        piece.broken = Break(row.position, "the event that was verified there is gone or another")
        return piece
    if found:
        piece.position, piece.hash = found[-1].position or 0, found[-1].hash
    piece.by_texts = sum(event.sealed_as == AS_TEXTS for event in found)
    sealed = map(as_sealed, found)
    piece.broken = first_break(sealed, previous=row.hash, after=row.position)
    if piece.broken is None:
        _hold_against(_marks(row, piece.position), found, piece)
    return piece


def _marks(row: Verification, upto: int) -> list[SignedHead]:
    """The checkpoints of a piece: of the database, and in a full walk of the file too."""
    marks = marks_between(row.position, upto)
    if row.kind == FULL:
        known = {(mark.count, mark.head, mark.signature) for mark in marks}
        marks += [
            mark
            for mark in marks_of_file()[0]
            if row.position < mark.count <= upto
            and (mark.count, mark.head, mark.signature) not in known
        ]
    return sorted(marks, key=lambda mark: mark.count)


def _hold_against(marks: Sequence[SignedHead], found: Sequence[Stored], piece: _Piece) -> None:
    hashes = {event.position: event.hash for event in found}
    for mark in marks:
        if not is_signed(mark):
            piece.notes.append(UNTRUSTED.format(mark.count))
        elif hashes.get(mark.count) == mark.head:
            piece.fitting += 1
        else:
            piece.broken = _contradicted(mark)
            return
    if marks:
        piece.notes += _early(marks, found)


def _hold_against_the_rest(piece: _Piece) -> None:
    """What the file says of more events than there are, wherever it stands in it: whoever cut the
    log may have added lines that are older. Then the stamps."""
    marks, bad = marks_of_file()
    piece.notes += [f"The file of checkpoints: {why}." for why in bad]
    for mark in reversed(marks):
        if mark.count <= piece.position:
            break
        if not is_signed(mark):
            piece.notes.append(UNTRUSTED.format(mark.count))
        elif (broken := _beyond(piece.position, mark)) is not None:
            piece.broken = broken
            return
    _hold_against_stamps(piece)


def _hold_against_stamps(piece: _Piece) -> None:
    """A stamp proves its checkpoint even where the key that signed it is the attacker's."""
    good, bad = stamped()
    piece.notes += bad
    for mark in good:
        if log.hash_at(mark.count) != mark.head:
            piece.broken = _contradicted(mark)
            return


def _contradicted(mark: SignedHead) -> Break:
    when = f"{mark.at:%Y-%m-%d %H:%M:%S} UTC"
    return Break(mark.count, f"it isn't the event that was there at the checkpoint of {when}")


def _early(marks: Sequence[SignedHead], found: Sequence[Stored]) -> list[str]:
    """Events that say they are older than the first checkpoint before them."""
    first = marks[0]
    return [
        f"Event #{event.position:,} says {event.time:%Y-%m-%d %H:%M:%S} UTC, before the checkpoint"
        f" of {first.count:,} events, which lacks it."
        for event in found
        if (event.position or 0) > first.count and event.time and event.time < first.at - EARLY
    ]


def _beyond(end: int, mark: SignedHead | None) -> Break | None:
    """Whether a signed checkpoint knows of more events than there are: the end was cut off, and
    perhaps another written instead."""
    if mark is None or mark.count <= end:
        return None
    if log.hash_at(mark.count) == mark.head:
        return None  # made since
    if log.hash_at(mark.count):
        return _contradicted(mark)
    when = f"{mark.at:%Y-%m-%d %H:%M:%S} UTC"
    return Break(end + 1, f"the log had {mark.count:,} events at the checkpoint of {when}")


@command
def _keep(row: Verification, piece: _Piece, *, is_done: bool) -> bool:
    """Write down how far it came. Returns whether that was kept: it isn't where another process has
    moved it on (guarded by the place where this piece began)."""
    before = row.position
    notes = list(dict.fromkeys([*row.notes, *piece.notes]))[:MOST_NOTES]
    row.position, row.hash, row.notes = piece.position, piece.hash, notes
    row.checkpoints, row.by_texts = row.checkpoints + piece.fitting, row.by_texts + piece.by_texts
    moved = {"position": row.position, "hash": row.hash, "notes": notes}
    moved |= {"checkpoints": row.checkpoints, "by_texts": row.by_texts, "moved_at": Now()}
    if piece.broken is not None:
        row.problem, row.broken_at = piece.broken.problem[:500], piece.broken.position
        moved |= {"problem": row.problem, "broken_at": row.broken_at}
        del moved["position"], moved["hash"]
    if is_done:
        moved["ended_at"] = Now()
    mine = Verification.objects.filter(pk=row.pk, position=before, ended_at=None)
    if mine.update(**moved) != 1:
        return False
    if piece.broken is not None:
        logger.error("the audit log is broken at #%s: %s", row.broken_at, row.problem)
        record_many([_fact("broken", row, SWEEPER, at=row.broken_at, problem=row.problem)])
    elif is_done and _is_a_person(row):
        record_many([_fact("verified", row, SWEEPER, events=row.position)])
    return True


def _fact(what: str, row: Verification, by: Actor, **payload: object) -> Fact:
    return Fact(f"audit.{what}", by, "audit_log", str(row.pk), payload=payload)
