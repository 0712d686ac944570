"""Whatever is stored is read for people without an exception, and never without measure."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from apps.calls.domain import script
from apps.catalog.domain import drift
from apps.catalog.domain.contract import Compensation
from apps.catalog.selectors import pages
from apps.kernel import exactjson
from apps.ops.selectors import answers, comparing
from apps.oversight.domain import showing
from apps.oversight.domain.binding import Grounds
from apps.policy.domain import told
from apps.runs.domain import forking, undo
from apps.runs.models import Step
from tests.fuzz import stored

VARIANTS = range(0, len(stored.JSON), max(1, stored.EVERY // 4))
LONGEST_S = 15  # on a busy machine; some of what is tried here once took minutes
DECLARED = Compensation("undo", {"a": "result.x", "b": "preview.before.*", "c": "arguments.x"})


def values(table: str, column: str, number: int) -> list[Any]:
    """A variant of each shape of a column, as it is read from the database."""
    slots = [
        s for s in (*stored.OF_RUNS, *stored.OF_TOOLS) if (s.table, s.column) == (table, column)
    ]
    return [exactjson.read_stored(slot.filled(number)) for slot in slots]


@pytest.fixture(autouse=True)
def soon() -> Any:
    began = time.process_time()
    yield
    assert time.process_time() - began < LONGEST_S


@pytest.mark.parametrize("number", VARIANTS)
def test_reasons_of_policy_are_told_in_texts(number: int) -> None:
    for rules in values("policy_decision", "rules", number):
        for reason in told.reasons(rules):
            assert isinstance(reason.words, str)
            assert reason.words
            texts = [(s.name, s.text, s.limit) for s in reason.observed]
            texts += [(m.name, m.wanted, m.came) for m in reason.unknown]
            assert all(isinstance(text, str) for line in texts for text in line)
        assert all(isinstance(word, str) for gap in showing.unknown(rules) for word in gap.values())
        assert Grounds.of(rules, {"amount_cents": 5}).amount_cents == 5


@pytest.mark.parametrize("number", VARIANTS)
def test_a_question_is_listed_within_bounds(number: int) -> None:
    previews = values("approvals_approval", "preview", number)
    for arguments in values("approvals_approval", "arguments", number):
        found = showing.listing(arguments)
        size = sum(len(v.text) + len(v.path) for v in found.values)
        assert size <= showing.MOST_CHARACTERS + showing.PATH_CHARACTERS + showing.KEY_CHARACTERS
        assert len(found.values) <= showing.MOST_VALUES
        for preview in previews:
            assert showing.preview(preview) is not None
            flags = showing.flags(arguments, preview)
            assert found.is_whole or "too much to show" in flags


@pytest.mark.parametrize("number", VARIANTS)
def test_answers_are_shown_and_compared(number: int) -> None:
    results = values("runs_step", "result", number)
    for result in results:
        found = answers.shown(Step(result=result))
        assert found is None or len(found.text) <= answers.SHOWN_CHARS
    for one, other in pairwise(results):
        changed = comparing.answers_that_differ(one, other)
        assert len(changed) <= comparing.MOST_LEAVES
        assert list(comparing._changed(one, other)) is not None


@pytest.mark.parametrize("number", VARIANTS)
def test_what_undoes_a_step_is_planned(number: int) -> None:
    columns = ("arguments", "facts", "preview", "result")
    rows = zip(*(values("runs_step", c, number)[:2] for c in columns), strict=True)
    steps = [
        undo.Past(
            uuid4(), seq, "do", "write", "succeeded", "executed",
            arguments=arguments, facts=facts, preview=preview, result=result,
        )
        for seq, (arguments, facts, preview, result) in enumerate(rows, start=1)
    ]  # fmt: skip
    for declared in (DECLARED, Compensation("undo", {})):
        assert len(undo.plan(steps, {"do": declared}).digest) == 64


@pytest.mark.parametrize("number", VARIANTS)
def test_a_script_keeps_its_places_and_its_calls_name_a_tool(number: int) -> None:
    mark = forking.ScriptPosition(1, "tool", "succeeded", 0)
    for raw in values("runs_runscript", "items", number):
        items = script.items_of(raw)
        assert len(items) == (len(raw) if isinstance(raw, list) else 0)
        for live in (False, True):
            cut = forking.cut(items, [mark], 1, live=live)
            assert all(isinstance(call["tool"], str) for call in cut.calls)


@pytest.mark.parametrize("number", VARIANTS)
def test_what_servers_say_is_told(number: int) -> None:
    lives = values("catalog_tool", "live", number)
    for one, live in zip(values("catalog_toolversion", "served", number), lives, strict=True):
        found = drift.changes(one, live)
        assert len(found) <= drift.MOST + 1
        assert all(len(sentence) < 1_000 for sentence in found)
    for document in values("catalog_toolversion", "document", number):
        for argument in pages.arguments(document["input_schema"]):
            assert all(isinstance(t, str) for t in (argument.kind, argument.description))
