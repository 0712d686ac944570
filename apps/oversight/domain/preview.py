"""What a dry run said, as far as it can be kept, shown and judged by.

The answer comes from outside and may be anything: it is read once, here, into a form that is
bounded in depth, number and size and that everything downstream can rely on. What does not fit is
counted in a note or kept as text, never dropped without a word; a value that no fact can be is kept
as words about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.kernel.exactjson import NotCarriedError, check
from apps.policy.domain.mistyped import described

MOST_CHANGES = 200
MOST_SAID = 20
MOST_LOOKED_AT = 2_000  # entries of a list of changes
MOST_FACTS = 300
MOST_TEXTS = 1_000  # of a fact that is a list
FACT_CHARACTERS = 4_000
DEPTH = 12
CHARACTERS = 200_000  # of the whole answer, keys included
VALUES = 20_000
TEXT_CHARACTERS = 4_000
KEY_CHARACTERS = 200

NO_ANSWER = "the dry run “{tool}” gave no answer: {why}"
NO_OBJECT = "the dry run “{tool}” answered {what} instead of an object"
NOTHING_TOLD = "the dry run answered nothing that says what would change"
NOT_ASKED = "the dry run was not asked"
ODD_CHANGES = "What the dry run calls changes is not in the form that can be compared; it is text."
ODD_FACTS = "What the dry run calls facts is not an object, so no fact is known."
MORE = "{count:,} more {what} are not kept."
NOT_EXACT = (
    "The state {when} the change can't be kept as it came, so nothing can be undone from it."
)
SHORTENED = "Some values are too long or nested too deeply; they are cut where … stands."
REPLACED = "Characters that can't be stored stand as �."


@dataclass(frozen=True, slots=True)
class Captured:
    """``preview``: ``before``, ``after``, ``changes`` and ``refusal`` as the tower keeps them, what
    else was said (``said``), ``notes``, and ``odd_facts``: what came in a fact's place, in words.
    Or ``unavailable``: why there is none. ``facts``: the values that some fact could be."""

    preview: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


def failed(tool: str, why: str) -> Captured:
    """A dry run that gave no answer."""
    return Captured({"unavailable": NO_ANSWER.format(tool=tool, why=_clean(why)[:500])})


def captured(tool: str, answer: Any) -> Captured:
    """Read the answer of the dry run ``tool``. Never raises, whatever it is."""
    if not isinstance(answer, Mapping):
        return Captured({"unavailable": NO_OBJECT.format(tool=tool, what=described(answer))})
    notes: list[str] = []
    facts, odd = _facts(answer.get("facts"), notes)
    refusal = answer.get("refusal")
    preview: dict[str, Any] = {
        **({"refusal": None if refusal is None else _text(refusal)} if "refusal" in answer else {}),
        **_changes(answer.get("changes"), notes),
        **_state("before", answer.get("before"), notes),
        **_state("after", answer.get("after"), notes),
        **({"odd_facts": odd} if odd else {}),
    }
    return Captured(preview | ({"notes": notes} if notes else {}), facts)


def tells(preview: Mapping[str, Any]) -> bool:
    """Whether a preview says, without any fact, what would change: that the tool would refuse, or
    a list of changes all of which can be read."""
    if preview.get("refusal"):
        return True
    return isinstance(preview.get("changes"), list) and not preview.get("said")


def _facts(stated: Any, notes: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    if not isinstance(stated, Mapping):
        if stated is not None:
            notes.append(ODD_FACTS)
        return {}, {}
    facts: dict[str, Any] = {}
    odd: dict[str, str] = {}
    for name, value in list(stated.items())[:MOST_FACTS]:
        key = _clean(str(name))[:KEY_CHARACTERS]
        fact = _fact(value)
        if fact is None:
            odd[key] = _clean(_odd(value))
        else:
            facts[key] = fact
    if len(stated) > MOST_FACTS:
        notes.append(MORE.format(count=len(stated) - MOST_FACTS, what="facts"))
    return facts, odd


def _fact(value: Any) -> Any:
    """A value that some fact could be, or ``None``."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _clean(value) if len(value) <= FACT_CHARACTERS else None
    if isinstance(value, list):
        is_texts = len(value) <= MOST_TEXTS and all(
            isinstance(item, str) and len(item) <= FACT_CHARACTERS for item in value
        )
        return [_clean(item) for item in value] if is_texts else None
    try:
        number = check(value)
    except NotCarriedError:
        return None
    return number if isinstance(number, int) and abs(number) < 2**63 else None


def _odd(value: Any) -> str:
    if isinstance(value, str):
        return f"a text of {len(value):,} characters"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return f"a list of {len(value):,} texts"
    return described(value)


def _changes(stated: Any, notes: list[str]) -> dict[str, Any]:
    """The changes in the form that can be compared, and as text those that are in no such form."""
    if stated is None:
        return {}
    keeper = _Keeper()
    if isinstance(stated, list):
        kept, said, left_out = _sorted_changes(stated, keeper)
        found: dict[str, Any] = {"changes": kept}
    else:
        said, left_out, found = [keeper.said(stated)], 0, {}
    if said:
        found["said"] = said
        notes.append(ODD_CHANGES)
    if left_out:
        notes.append(MORE.format(count=left_out, what="changes"))
    notes += [SHORTENED] * keeper.shortened + [REPLACED] * keeper.replaced
    return found


def _sorted_changes(
    stated: list[Any], keeper: _Keeper
) -> tuple[list[dict[str, Any]], list[str], int]:
    changes: list[dict[str, Any]] = []
    said: list[str] = []
    for entry in stated[:MOST_LOOKED_AT]:
        if not keeper.has_room:
            break
        if not _is_change(entry):
            if len(said) < MOST_SAID:
                said.append(keeper.said(entry))
        elif len(changes) < MOST_CHANGES:
            sides = {s: keeper.keep(entry[s]) for s in ("before", "after") if s in entry}
            changes.append({"path": keeper.text(entry["path"]), **sides})
    return changes, said, len(stated) - len(changes) - len(said)


def _is_change(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("path"), str)
        and ("before" in entry or "after" in entry)
    )


def _state(name: str, value: Any, notes: list[str]) -> dict[str, Any]:
    """The state before or after, exactly as it came or not at all: undoing a step may write it."""
    if value is None:
        return {}
    keeper = _Keeper()
    kept = keeper.keep(value)
    if keeper.shortened or keeper.replaced or not isinstance(kept, dict):
        notes.append(NOT_EXACT.format(when=name))
        return {}
    return {name: kept}


class _Keeper:
    """Copies values within one budget, and remembers what it had to change."""

    def __init__(self) -> None:
        self._characters, self._values = CHARACTERS, VALUES
        self.shortened = self.replaced = False

    @property
    def has_room(self) -> bool:
        return self._characters > 0 and self._values > 0

    def keep(self, value: Any, depth: int = 0) -> Any:
        self._values -= 1
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping | list | tuple):
            if depth == DEPTH or not self.has_room:
                return self._cut()
            return self._container(value, depth + 1)
        try:
            return check(value)
        except NotCarriedError:
            return self._cut()

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            kept: dict[str, Any] = {}
            for key, item in value.items():
                if not self.has_room:
                    self.shortened = True
                    break
                kept[self.text(str(key), KEY_CHARACTERS)] = self.keep(item, depth)
            return kept
        items: list[Any] = []
        for item in value:
            if not self.has_room:
                items.append(self._cut())
                break
            items.append(self.keep(item, depth))
        return items

    def said(self, value: Any) -> str:
        """What is in no form, as one text."""
        return _text(value) if isinstance(value, str) else _text(_plain(self.keep(value)))

    def text(self, value: str, most: int = TEXT_CHARACTERS) -> str:
        room = max(min(most, self._characters), 0)
        if len(value) > room:
            value, self.shortened = f"{value[:room]}…", True
        clean = _clean(value)
        self.replaced |= clean != value
        self._characters -= len(clean)
        return clean

    def _cut(self) -> str:
        self.shortened = True
        return "…"


def _plain(value: Any) -> str:
    """A bounded value in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else described(value)
    clean = _clean(text[:TEXT_CHARACTERS])
    return clean if len(text) <= TEXT_CHARACTERS else f"{clean}…"


def _clean(text: str) -> str:
    """Text that can be stored: a mark stands for NUL and for half a surrogate pair."""
    if text.isascii():
        return text.replace("\x00", "�")
    marked = (c if c != "\x00" and not "\ud800" <= c <= "\udfff" else "�" for c in text)
    return "".join(marked)
