"""Finding out whether a call whose answer was lost happened: what people say of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

LOOK_AGAIN_S = 30.0  # after the first look-up of the tower's own, then twice as long each time
LOOK_AGAIN_LONGEST_S = 3600.0
MOST_LOOK_UPS = 30  # about a day
HIGH = 3  # from this risk on, one person's word is not enough


class FindingVerdict(StrEnum):
    """What a person found out, and what follows from it."""

    HAPPENED = "happened"
    TRY_AGAIN = "try_again"
    GIVE_UP = "give_up"
    UNDO = "compensate"  # the word under which it is stored


VERDICT_WORDS = {
    FindingVerdict.HAPPENED: "it happened",
    FindingVerdict.TRY_AGAIN: "it did not happen, try again",
    FindingVerdict.GIVE_UP: "it did not happen, leave it undone",
    FindingVerdict.UNDO: "it happened, undo it",
}


def look_again_s(tries: int) -> float | None:
    """Seconds until the tower asks the tool again by itself after that many look-ups of one
    attempt; ``None`` when it has asked often enough."""
    if tries >= MOST_LOOK_UPS:
        return None
    return min(LOOK_AGAIN_S * 2.0 ** (tries - 1), LOOK_AGAIN_LONGEST_S)


def people_needed(risk: int) -> int:
    """How many people have to say the same."""
    return 2 if risk >= HIGH else 1


def is_agreed(said: Iterable[tuple[int, str]], verdict: FindingVerdict, risk: int) -> bool:
    """Whether enough different people say ``verdict``. ``said``: (person, verdict), oldest first;
    a person's last word counts."""
    last = dict(said)
    return sum(word == verdict for word in last.values()) >= people_needed(risk)
