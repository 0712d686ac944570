"""Two runs side by side: their steps aligned, and where they first part.

Global alignment after S. Needleman and C. Wunsch (J. Mol. Biol. 48, 1970): steps keep their order,
a step meets one that called the same tool, best with the same arguments, and a gap costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from apps.runs.domain.results import DONE

SAME, ALIKE = 4, 1  # what a pair is worth: same call; same tool with other arguments
MOST_CELLS = 1_000_000  # beyond that only equal calls are matched

Key = tuple[str, str]  # tool and digest of the arguments
Pair = tuple[int | None, int | None]  # positions in the left and in the right run


def align(left: Sequence[Key], right: Sequence[Key]) -> list[Pair]:
    """Every position of both once, in order; ``None`` where the other run has no such step."""
    head = _common(zip(left, right, strict=False))
    rest = min(len(left), len(right)) - head
    tail = min(rest, _common(zip(reversed(left), reversed(right), strict=False)))
    ends = len(left) - tail, len(right) - tail
    pairs: list[Pair] = [(i, i) for i in range(head)]
    middle = _align(left[head : ends[0]], right[head : ends[1]])
    pairs += [(_shift(i, head), _shift(j, head)) for i, j in middle]
    return pairs + [(ends[0] + i, ends[1] + i) for i in range(tail)]


def _common(pairs: Iterable[tuple[Key, Key]]) -> int:
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count


def _shift(position: int | None, by: int) -> int | None:
    return None if position is None else position + by


def _align(left: Sequence[Key], right: Sequence[Key]) -> list[Pair]:
    if len(left) * len(right) > MOST_CELLS:
        return _blocks(left, right)
    best = _table(left, right)
    pairs: list[Pair] = []
    i = j = 0
    while i < len(left) and j < len(right):
        worth = _worth(left[i], right[j])
        if worth and best[i][j] == worth + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    pairs += [(k, None) for k in range(i, len(left))]
    return pairs + [(None, k) for k in range(j, len(right))]


def _table(left: Sequence[Key], right: Sequence[Key]) -> list[list[int]]:
    """What the rests of both, from each pair of positions on, are worth at best."""
    best = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            worth = _worth(left[i], right[j])
            paired = worth + best[i + 1][j + 1] if worth else 0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    return best


def _worth(one: Key, other: Key) -> int:
    if one == other:
        return SAME
    return ALIKE if one[0] == other[0] else 0


def _blocks(left: Sequence[Key], right: Sequence[Key]) -> list[Pair]:
    pairs: list[Pair] = []
    for word, i, i_end, j, j_end in SequenceMatcher(None, left, right, False).get_opcodes():
        if word == "equal":
            pairs += zip(range(i, i_end), range(j, j_end), strict=True)
        else:
            pairs += [(k, None) for k in range(i, i_end)]
            pairs += [(None, k) for k in range(j, j_end)]
    return pairs


# --- what differs ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """A step as far as it is compared. ``rules`` is ``None`` where nobody was asked in this run;
    ``answer`` the text or digest of what came back; ``changed`` names arguments, filled in by the
    caller where a pair differs in them."""

    seq: int
    tool: str
    digest: str
    became: str
    gate: str = ""
    rules: tuple[str, ...] | None = None
    answer: str = ""

    @property
    def key(self) -> Key:
        return self.tool, self.digest

    @property
    def end(self) -> str:
        """What became of it, with no difference between doing a thing and having its receipt."""
        return "done" if self.became in DONE else self.became


def differences(one: Compared | None, other: Compared | None) -> tuple[str, ...]:
    """In what two aligned steps differ, gravest first: missing, arguments, gate, rules, became,
    answer. Empty for steps that are alike."""
    if one is None or other is None:
        return ("missing",)
    found = []
    if one.digest != other.digest:
        found.append("arguments")
    if one.gate != other.gate:
        found.append("gate")
    elif one.rules is not None and other.rules is not None and set(one.rules) != set(other.rules):
        found.append("rules")
    if one.end != other.end:
        found.append("became")
    if one.answer != other.answer:
        found.append("answer")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class End:
    """How a run stands: its outcome, or its state where it has none yet."""

    state: str
    outcome: str

    @property
    def words(self) -> str:
        return (self.outcome or self.state).replace("_", " ")


def divergence(
    pairs: Sequence[tuple[Compared | None, Compared | None]], left: End, right: End
) -> tuple[int | None, str]:
    """The first pair of aligned steps that differ, and a plain sentence of how; ``None`` when all
    are alike, with a sentence of how the runs ended."""
    for index, (one, other) in enumerate(pairs):
        found = differences(one, other)
        if found:
            return index, _sentence(one, other, found[0])
    if left.words != right.words:
        return None, f"All steps are alike, but A is {left.words} and B is {right.words}."
    return None, "The two runs took the same steps, with the same answers and the same end."


def _sentence(one: Compared | None, other: Compared | None, what: str) -> str:
    if one is None or other is None:
        here, there, step = ("A", "B", one) if one else ("B", "A", other)
        assert step is not None  # noqa: S101  # a pair has at least one step
        return f"{here} proposed “{step.tool}” at step {step.seq}; {there} did not."
    where = (
        f"step {one.seq}" if one.seq == other.seq else f"steps {one.seq} (A) and {other.seq} (B)"
    )
    said = {
        "arguments": "with different arguments",
        "gate": f"and the gate answered {_gate(one)} in A, {_gate(other)} in B",
        "rules": "and the same answer of the gate had different reasons",
        "became": f"but it was {_became(one)} in A and {_became(other)} in B",
        "answer": "and the tool answered differently",
    }[what]
    comma = "" if what == "arguments" else ","
    return f"Both proposed “{one.tool}” at {where}{comma} {said}."


def _gate(step: Compared) -> str:
    return step.gate or "nothing yet"


def _became(step: Compared) -> str:
    return step.became.replace("_", " ")
