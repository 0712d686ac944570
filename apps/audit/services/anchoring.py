"""Have somebody else know what the log holds: duties, each hour, where they are configured."""

from __future__ import annotations

from django.conf import settings

from apps.audit.adapters import shipping, stamps
from apps.audit.adapters.files import CheckpointFileError
from apps.audit.domain.checkpoint import SignedHead
from apps.audit.selectors import end_of_chain
from apps.audit.services.standing import last_mark, marks_between

MOST_COUNT = 2**63 - 1
BEHIND = (
    "{} holds checkpoints of {:,} events, and the log has {:,}: it was cut, or restored, or"
    " somebody put a file there. After a restore keep that folder as evidence, and have"
    " TOWER_AUDIT_SHIP_TO name an empty one."
)


def ship() -> int:
    """Write the checkpoints made since the last time, and their time stamps, into the folder of
    somebody else (TOWER_AUDIT_SHIP_TO). Returns how many checkpoints that were. Raises
    ``CheckpointFileError`` where more were shipped than there are events, as after a restore: what
    is shipped from then on would not be for events of which that folder knows others."""
    folder = settings.AUDIT_SHIP_TO
    if not folder:
        return 0
    after, head = shipping.last_shipped(folder), end_of_chain()[0]
    if after > head:
        raise CheckpointFileError(BEHIND.format(folder, after, head))
    marks = marks_between(after, MOST_COUNT)
    if not marks:
        return 0
    stamped = [one.line for one in stamps.kept(file_of_stamps()) if one.mark.count > after]
    shipping.ship(folder, marks[-1].count, [*(mark.line for mark in marks), *stamped])
    return len(marks)


def stamp() -> int:
    """Have the last checkpoint stamped by a time-stamp authority (TOWER_AUDIT_TSA), once. Returns
    how many were. Raises ``StampError`` for a stamp that isn't of just this checkpoint."""
    if not settings.AUDIT_TSA:
        return 0
    mark = last_mark()
    if mark is None or mark.count <= _last_stamped():
        return 0
    stamps.keep(file_of_stamps(), stamps.ask(settings.AUDIT_TSA, settings.AUDIT_TSA_ROOTS, mark))
    return 1


def _last_stamped() -> int:
    """The most events of which a stamp proves something. Another line hides nothing: whoever can
    add one could end all stamps with it."""
    known = sorted(stamps.kept(file_of_stamps()), key=lambda one: one.mark.count, reverse=True)
    good = (one for one in known if not stamps.why_not(one, settings.AUDIT_TSA_ROOTS))
    return next((one.mark.count for one in good), 0)


def stamped() -> tuple[list[SignedHead], list[str]]:
    """The checkpoints that stamps prove, and what is wrong with other stamps."""
    good, bad = [], []
    for one in stamps.kept(file_of_stamps()) if settings.AUDIT_TSA_ROOTS else ():
        why = stamps.why_not(one, settings.AUDIT_TSA_ROOTS)
        if why:
            bad.append(f"The time stamp of {one.mark.count:,} events proves nothing: {why}.")
        else:
            good.append(one.mark)
    return good, bad


def file_of_stamps() -> str:
    """Where stamps are kept: beside the file of checkpoints."""
    return f"{settings.AUDIT_CHECKPOINTS}.stamps"
