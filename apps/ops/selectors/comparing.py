"""Two runs side by side, as the page shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.kernel.canonical import digest
from apps.kernel.exactjson import NotCarriedError, dumps, loads, same
from apps.ops.domain.alignment import Compared, End, align, differences, divergence
from apps.ops.selectors.detail import Detail, StepView, run_detail
from apps.policy.domain import told
from apps.runs.models import Message, Run, RunResult
from apps.web.domain.quantities import duration_words

SUGGESTED = 12
MOST_LEAVES = 20  # of two answers; beyond that the whole answers say it better
MOST_ARGUMENTS = 200
MOST_PATH = 1_000  # characters
MOST_KEY = 200


@dataclass(frozen=True, slots=True)
class Changed:
    """A value that differs, of an argument or deep in an answer; ``None`` where there is none."""

    name: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """Two aligned steps, or one without a counterpart."""

    left: StepView | None
    right: StepView | None
    differs: tuple[str, ...]
    arguments: tuple[Changed, ...] = ()
    answers: tuple[Changed, ...] = ()
    is_first: bool = False
    more: int = 0  # arguments that differ as well

    @property
    def words(self) -> list[str]:
        return [_WORDS[name] for name in self.differs]


_WORDS = {
    "missing": "only here",
    "arguments": "arguments",
    "gate": "gate's answer",
    "rules": "policy rules",
    "became": "what became of it",
    "answer": "tool's answer",
}


@dataclass(frozen=True, slots=True)
class ComparedFact:
    """One line of the head: a fact of both runs, and whether it is the same."""

    name: str
    left: str
    right: str

    @property
    def is_same(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class Said:
    """What was said in one run or in both: ``both``, ``left`` or ``right``."""

    where: str
    message: Message


@dataclass(frozen=True, slots=True)
class SameStretch:
    """A stretch of the conversation that is the same in both."""

    count: int


@dataclass(frozen=True, slots=True)
class Results:
    """What the two runs gave back. ``changed``: the values that differ, where they are few."""

    left: RunResult | None
    right: RunResult | None
    is_same: bool
    changed: tuple[Changed, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, their aligned steps, and where they first part."""

    left: Detail
    right: Detail
    rows: list[Row]
    sentence: str
    facts: list[ComparedFact]
    conversation: list[Said | SameStretch]
    results: Results

    @property
    def first(self) -> Row | None:
        return next((row for row in self.rows if row.is_first), None)

    @property
    def different(self) -> int:
        return sum(bool(row.differs) for row in self.rows)

    @property
    def kinship(self) -> str:
        """How the two are related, as a sentence; empty for strangers."""
        a, b = self.left.run, self.right.run
        if a.pk == b.pk:
            return "This is one and the same run, twice."
        if b.parent_id == a.pk:
            return f"B is a branch of A, forked after step {b.forked_after}."
        if a.parent_id == b.pk:
            return f"A is a branch of B, forked after step {a.forked_after}."
        if a.root_id and a.root_id == b.root_id:
            return "Both are branches of one run."
        return "" if a.job_slug == b.job_slug else "The two runs did different jobs."


def compare(left_id: UUID, right_id: UUID) -> Comparison:
    """Compare two runs. Raises ``NotFoundError`` when there is no such run."""
    left, right = run_detail(left_id), run_detail(right_id)
    ours, theirs = _tool_steps(left), _tool_steps(right)
    mine, other = [_compared(v) for v in ours], [_compared(v) for v in theirs]
    pairs = align([c.key for c in mine], [c.key for c in other])
    compared = [
        (mine[i] if i is not None else None, other[j] if j is not None else None) for i, j in pairs
    ]
    first, sentence = divergence(compared, _end(left.run), _end(right.run))
    rows = [
        _row(
            ours[i] if i is not None else None,
            theirs[j] if j is not None else None,
            differences(*compared[at]),
            is_first=at == first,
        )
        for at, (i, j) in enumerate(pairs)
    ]
    facts, talk = _facts(left, right), _talk(left, right)
    return Comparison(left, right, rows, sentence, facts, talk, _results(left, right))


def _results(left: Detail, right: Detail) -> Results:
    one, other = left.result, right.result
    if one is None or other is None:
        return Results(one, other, is_same=one is other)
    is_same = same(one.value, other.value)
    changed = () if is_same else values_that_differ(one.value, other.value, whole="result")
    return Results(one, other, is_same, changed)


def _tool_steps(detail: Detail) -> list[StepView]:
    """The calls that were proposed; turns of an agent show in the conversation."""
    return [v for v in detail.steps if v.step.kind == "tool" and not v.step.compensates_id]


def _compared(view: StepView) -> Compared:
    step = view.step
    last = view.decisions[-1] if view.decisions else None
    return Compared(
        seq=step.seq,
        tool=step.tool_name,
        digest=step.arguments_digest,
        became=view.word,
        gate=step.gate,
        rules=tuple(rule.id for rule in told.reasons(last.rules)) if last else None,
        answer=_text(dict(_leaves(step.result))) if step.result is not None else step.error,
    )


def _end(run: Run) -> End:
    return End(run.state, run.outcome)


def _row(
    left: StepView | None, right: StepView | None, differs: tuple[str, ...], *, is_first: bool
) -> Row:
    changed: tuple[Changed, ...] = ()
    if left and right and "arguments" in differs:
        changed = tuple(_changed(left.step.arguments, right.step.arguments))
    more = max(0, len(changed) - MOST_ARGUMENTS)
    answers: tuple[Changed, ...] = ()
    if left and right and "answer" in differs and left.step.result and right.step.result:
        answers = answers_that_differ(left.step.result, right.step.result)
    return Row(left, right, differs, changed[:MOST_ARGUMENTS], answers, is_first, more)


def _changed(left: Any, right: Any) -> Iterator[Changed]:
    """By name; what is no object stands under no name."""
    left = left if isinstance(left, Mapping) else {"": left}
    right = right if isinstance(right, Mapping) else {"": right}
    for name in {**left, **right}:
        if not same(left.get(name), right.get(name)) or (name in left) != (name in right):
            yield Changed(
                name,
                _text(left[name]) if name in left else None,
                _text(right[name]) if name in right else None,
            )


def answers_that_differ(left: Any, right: Any) -> tuple[Changed, ...]:
    """The single values in which two answers of a tool differ, each under its path. Empty if they
    are so many that the whole answers are easier to read."""
    return values_that_differ(left, right, whole="answer")


def values_that_differ(left: Any, right: Any, *, whole: str) -> tuple[Changed, ...]:
    """The same of any two values; ``whole`` is the name of one that holds no others."""
    ours, theirs = dict(_leaves(left, whole)), dict(_leaves(right, whole))
    changed = tuple(_changed(ours, theirs))
    return changed if len(changed) <= MOST_LEAVES else ()


def _leaves(value: Any, whole: str = "answer") -> Iterator[tuple[str, Any]]:
    """Every value that holds no other, with its path; JSON within a text is looked into. Without
    recursion, since JSON in texts may go down at will; what stands below a path without measure
    stays in one piece."""
    left = [(value, "")]
    while left:
        value, path = left.pop()
        value, inner = (value, []) if len(path) >= MOST_PATH else _opened(value, path)
        left += reversed(inner)
        if not inner:
            yield path or whole, value


def _opened(value: Any, path: str) -> tuple[Any, list[tuple[Any, str]]]:
    """The value itself, read where it is JSON in a text, and those that it holds."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(NotCarriedError):
            value = loads(value)
    if isinstance(value, Mapping):
        start = f"{path}." if path else ""
        return value, [(v, f"{start}{_name(name)}") for name, v in value.items()]
    if isinstance(value, list):
        return value, [(v, f"{path}[{at}]") for at, v in enumerate(value)]
    return value, []


def _name(key: str) -> str:
    """A key as far as a path holds it. Two that begin alike are told apart by their end."""
    return key if len(key) <= MOST_KEY else f"{key[:MOST_KEY]}…{digest(key, purpose='key')[:8]}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value, sort_keys=True)


def _facts(left: Detail, right: Detail) -> list[ComparedFact]:
    return [
        ComparedFact(name, one, other)
        for (name, one), (_, other) in zip(_facts_of(left), _facts_of(right), strict=True)
    ]


def _facts_of(detail: Detail) -> list[tuple[str, str]]:
    run = detail.run
    return [
        ("Contract", f"{run.job_slug} v{run.contract_number}"),
        ("Agent", run.agent_label),
        ("State", run.state.replace("_", " ").capitalize()),
        ("Outcome", (run.outcome or "none yet").replace("_", " ").capitalize()),
        ("Cost", detail.cost or "not known"),
        ("Took", duration_words(detail.duration.total_seconds())),
        ("Steps", str(run.steps_total)),
        ("Retries", str(run.retries)),
        ("Customer", run.customer or "none"),
    ]


def _talk(left: Detail, right: Detail) -> list[Said | SameStretch]:
    """The conversations as one, with what was said in only one of them."""
    one = [(m.role, m.content) for m in left.messages]
    other = [(m.role, m.content) for m in right.messages]
    lines: list[Said | SameStretch] = []
    for word, i, i_end, j, j_end in SequenceMatcher(None, one, other, False).get_opcodes():
        if word == "equal":
            lines.append(SameStretch(i_end - i))
        else:
            lines += [Said("left", m) for m in left.messages[i:i_end]]
            lines += [Said("right", m) for m in right.messages[j:j_end]]
    return lines


def suggestions(run: Run) -> Sequence[Run]:
    """Runs that this one may well be compared with: its branches and parent, runs of the same
    case, then others of its job, newest first."""
    kin = Q(pk=run.parent_id) | Q(parent_id=run.pk)
    if run.root_id:
        kin |= Q(root_id=run.root_id)
    if run.case_ref:
        kin |= Q(case_ref=run.case_ref)
    others = Run.objects.exclude(pk=run.pk).order_by("-created_at")
    found = list(others.filter(kin)[:SUGGESTED])
    known = [r.pk for r in found]
    return [
        *found,
        *others.filter(job_slug=run.job_slug).exclude(pk__in=known)[: SUGGESTED - len(found)],
    ]
