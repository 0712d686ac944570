"""What a person changed of a held call: for the people who look again, and for the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.kernel.canonical import digest
from apps.kernel.exactjson import same
from apps.oversight.domain.confirming import CRITICAL
from apps.oversight.domain.showing import ValueChange, text_of, texts

PURPOSE = "tower.edited.v1"
RULE, DENIED = "edited", "edited-denied"
MOST_TOLD, MOST_CHARACTERS = 20, 300  # of what an agent is told
MOST_SHOWN, LONGEST_SHOWN = 1_000, 10_000  # changes of one edit on a page, characters of each


@dataclass(frozen=True, slots=True)
class EditedCall:
    """A call that people edited: how often, whoever did, who did last and why. ``replaced`` is the
    question that the last edit ended, ``proposed`` the digest of what the agent had proposed."""

    number: int
    by: tuple[str, ...]
    last_by: str
    reason: str
    replaced: Any
    proposed: str

    def bound(self) -> dict[str, Any]:
        """What an approval of the edited call is bound to beside the call."""
        return {"number": self.number, "by": sorted(set(self.by)), "proposed": self.proposed}

    @property
    def words(self) -> str:
        """Why a person is asked, whatever policy says."""
        times = "" if self.number == 1 else f" (edit {self.number} of this call)"
        return f"{self.last_by} edited it{times}: {self.reason}"


def arguments_digest(arguments: Any) -> str:
    """What the arguments of an edit are known by in the log and in bindings."""
    return digest(arguments, purpose=PURPOSE)


def differences(before: Any, after: Any) -> list[ValueChange]:
    """Each value that an edit changed, added or left out. Beyond ``MOST_SHOWN`` it says how many
    more, and of what is long how much more there is."""
    old, new = texts(before), texts(after)
    paths = [*old, *(path for path in new if path not in old)]
    changed = [path for path in paths if old.get(path) != new.get(path)]
    found = [ValueChange(p, _shown(old.get(p)), _shown(new.get(p))) for p in changed[:MOST_SHOWN]]
    left = len(changed) - MOST_SHOWN
    return [*found, ValueChange(f"and {left:,} more", None, "not shown")] if left > 0 else found


def _shown(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN]}… ({len(text) - LONGEST_SHOWN:,} more characters)"


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The arguments that are not what they were, by name."""
    names = sorted({*before, *after})
    missing = object()
    return [n for n in names if not _is_same(before.get(n, missing), after.get(n, missing))]


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is object or type(other) is object:
        return one is other
    return same(one, other)


def told(
    tool: str, before: Mapping[str, Any], after: Mapping[str, Any], reasons: Sequence[str]
) -> str:
    """What an agent hears of it: what it had proposed, what it became, and why. It is not told who
    they are."""
    names = changed_names(before, after)
    changes = [_told_change(name, before, after) for name in names[:MOST_TOLD]]
    changes += [f"and {len(names) - MOST_TOLD} more"] if len(names) > MOST_TOLD else []
    why = ", then ".join(f"“{_cut(reason)}”" for reason in reasons)
    what = "; ".join(changes) or "in the end nothing"
    return f"A person edited “{tool}” before it was decided. Changed: {what}. Why: {why}"


def _told_change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if name not in after:
        return f"{_cut(name)} was left out (you proposed {_cut(text_of(before[name]))})"
    if name not in before:
        return f"{_cut(name)} is {_cut(text_of(after[name]))} (you proposed none)"
    was = _cut(text_of(before[name]))
    return f"{_cut(name)} is {_cut(text_of(after[name]))} (you proposed {was})"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def needs_another(*, risk: int, votes: int) -> str:
    """What whoever edited a call had in it, where that keeps them from approving it; nothing where
    they may, as anybody who decides: at lower risk where one vote is enough."""
    if risk >= CRITICAL:
        return "edited it, and it is critical"
    return "edited it, and it needs more than one person" if votes > 1 else ""
