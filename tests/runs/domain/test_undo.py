from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apps.calls.domain.keys import undoing_key
from apps.catalog.domain.contract import Compensation
from apps.catalog.domain.undoing import MissingError, path_problem, read
from apps.runs.domain.undo import Item, Past, Stage, UndoPlan, answer, end, plan

UNDONE_BY = {
    "book": Compensation("cancel", {"id": "result.id"}),
    "move": Compensation("move", {"to": "preview.before.*.at"}),
    "toggle": Compensation("switch_off"),
}


def step(seq: int, tool: str = "book", **changes: object) -> Past:
    values = {
        "id": UUID(int=seq),
        "seq": seq,
        "tool": tool,
        "effect": "write",
        "state": "succeeded",
        "disposition": "executed",
        "arguments": {"n": seq},
        "result": {"content": f'{{"id": "b{seq}"}}', "data": None},
        "preview": {"before": {"house": {"at": f"street {seq}"}}},
    }
    return Past(**{**values, **changes})  # type: ignore[arg-type]  # named above


def tried(seq: int, item: Item, state: str, disposition: str, word: str = "") -> Past:
    return replace(
        step(seq, item.tool, state=state, disposition=disposition, word=word),
        undoes=item.step.id,
        arguments=item.arguments,
    )


ENDS = {
    "permit": [("executed", "succeeded")],
    "other": [
        ("deduplicated", "succeeded"),
        ("denied", "failed"),
        ("rejected", "failed"),
        ("refused_by_tool", "failed"),
        ("failed", "failed"),
    ],
}
steps = st.lists(
    st.tuples(
        st.sampled_from(["book", "move", "toggle", "pay"]),
        st.sampled_from(["read", "write", "irreversible"]),
        st.sampled_from([*ENDS["permit"], *ENDS["other"]]),
    ),
    max_size=12,
)


@given(steps, st.randoms())
def test_effects_are_undone_once_each_and_from_the_last_to_the_first(
    drawn: list[tuple[str, str, tuple[str, str]]], dice: object
) -> None:
    rows = [
        step(n, tool, effect=effect, disposition=disposition, state=state)
        for n, (tool, effect, (disposition, state)) in enumerate(drawn, start=1)
    ]
    shuffled = list(rows)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random

    found = plan(shuffled, UNDONE_BY)

    mine = [r for r in rows if r.effect != "read" and r.disposition == "executed"]
    assert [i.step for i in found.items] == mine[::-1]
    for item in found.items:
        assert (item.stage is Stage.IMPOSSIBLE) == (item.step.tool == "pay")
        assert bool(item.why_not) == (item.stage is Stage.IMPOSSIBLE)
    assert found.digest == plan(rows, UNDONE_BY).digest


def test_arguments_are_read_off_the_undone_step() -> None:
    found = plan([step(1, "book"), step(2, "move"), step(3, "toggle")], UNDONE_BY)

    assert [(i.tool, i.arguments) for i in found.items] == [
        ("switch_off", {"n": 3}),
        ("move", {"to": "street 2"}),
        ("cancel", {"id": "b1"}),
    ]


def test_what_is_not_known_is_said_and_not_guessed() -> None:
    lost = step(1, "book", result={"content": "Confirmed by a person", "data": None})
    blind = step(2, "move", preview={"unavailable": "no answer"})

    found = plan([lost, blind], UNDONE_BY)

    assert [i.stage for i in found.items] == [Stage.IMPOSSIBLE] * 2
    assert "preview has no “before”" in found.items[0].why_not
    assert "result has no “id”" in found.items[1].why_not


def test_what_a_fork_inherited_is_its_parents_to_undo() -> None:
    [item] = plan([step(1, disposition="inherited")], UNDONE_BY).items

    assert item.stage is Stage.IMPOSSIBLE
    assert "forked from" in item.why_not


@pytest.mark.parametrize("state", ["queued", "running", "waiting_approval", "confirmation_unknown"])
def test_a_step_that_has_not_ended_is_unsettled(state: str) -> None:
    found = plan([step(1), step(2, state=state, disposition="")], UNDONE_BY)

    assert found.unsettled == (2,)
    assert found.digest != plan([step(1)], UNDONE_BY).digest


def test_every_try_has_the_same_key_and_every_effect_its_own() -> None:
    run = uuid4()
    first, second = plan(
        [step(1, "toggle", arguments={}), step(2, "toggle", arguments={})], UNDONE_BY
    ).items
    again = plan(
        [
            step(1, "toggle", arguments={}),
            step(2, "toggle", arguments={}),
            tried(3, first, "failed", "failed"),
        ],
        UNDONE_BY,
    )

    def key(run: UUID, item: Item) -> str:
        return undoing_key(run, item.step.id, item.tool, item.arguments)

    assert key(run, first) != key(run, second)
    assert key(run, again.items[0]) == key(run, first)
    assert key(uuid4(), first) != key(run, first)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("arguments.order_id", ""),
        ("preview.before.users.*.address.zip", ""),
        ("result.0.id", ""),
        ("answer.id", "has to start at"),
        ("result", "names no value"),
        ("result..id", "is no name"),
        ("result.{x}", "is no name"),
    ],
)
def test_a_path_is_judged_by_itself(path: str, says: str) -> None:
    assert says in path_problem(path)
    assert bool(path_problem(path)) == bool(says)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.text(max_size=12),
)
def test_reading_finds_a_value_or_says_why_not(value: object, path: str) -> None:
    with suppress(MissingError):
        assert read({"result": value}, f"result.{path}") is not None


def test_an_answer_is_read_as_data_before_text() -> None:
    assert answer({"content": "{}", "data": {"id": 1}}) == {"id": 1}
    assert answer({"content": '{"id": 2}', "data": None}) == {"id": 2}
    assert answer({"content": "done", "data": None}) == "done"
    assert answer(None) == {}


class Undoing(RuleBasedStateMachine):
    """Drives a plan the way the engine does, with undoings that fail, get lost or are left."""

    def __init__(self) -> None:
        super().__init__()
        tools = ["book", "pay", "move", "toggle", "book"]
        self.rows = [step(n, tool) for n, tool in enumerate(tools, start=1)]
        self.undone: list[UUID] = []

    @property
    def plan(self) -> UndoPlan:
        return plan(self.rows, UNDONE_BY)

    def put(self, state: str, disposition: str, word: str = "") -> None:
        item = self.plan.next
        assert item is not None
        last = self.rows[-1]
        row = tried(len(self.rows) + 1, item, state, disposition, word)
        if last.undoes == item.step.id and last.state not in {"failed", "succeeded"}:
            self.rows[-1] = replace(row, seq=last.seq)
        else:
            self.rows.append(row)
        if state == "succeeded":
            self.undone.append(item.step.id)

    @rule()
    def look(self) -> None:
        assert self.plan.digest == plan(self.rows[::-1], UNDONE_BY).digest

    @precondition(lambda self: self.plan.next is not None)
    @rule(state=st.sampled_from(["queued", "running", "waiting_approval", "confirmation_unknown"]))
    def wait(self, state: str) -> None:
        self.put(state, "")

    @precondition(lambda self: self.plan.next is not None)
    @rule()
    def succeed(self) -> None:
        self.put("succeeded", "executed")

    @precondition(lambda self: self.plan.next is not None)
    @rule(word=st.sampled_from(["", "", "happened", "give_up"]))
    def fail(self, word: str) -> None:
        self.put("failed", "failed", word)

    @invariant()
    def each_is_undone_once_and_in_order(self) -> None:
        assert self.undone == sorted(self.undone, reverse=True)
        assert len(set(self.undone)) == len(self.undone)

    @invariant()
    def nothing_is_dropped(self) -> None:
        assert [i.step.seq for i in self.plan.items] == [5, 4, 3, 2, 1]
        turn = self.plan.next
        if turn is None:
            kept = {i.step.seq for i in self.plan.kept}
            assert end(self.plan).outcome == ("partly_compensated" if kept else "compensated")
            assert 2 in kept
            return
        behind = [i for i in self.plan.items if i.step.seq < turn.step.seq]
        assert all(i.stage in {Stage.TO_DO, Stage.IMPOSSIBLE} for i in behind)


Undoing.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestUndoing = Undoing.TestCase


def test_a_number_of_an_answer_is_undone_with_every_digit() -> None:
    told = {"content": '{"id": 12345678901234567890, "paid": 0.10, "rate": 1e400}', "data": None}

    assert answer(told) == {"id": 12345678901234567890, "paid": 0.1, "rate": 10**400}
    assert answer({"content": '{"id": NaN}'}) == '{"id": NaN}'
