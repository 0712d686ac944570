from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.calls.domain.lookup import Looked, read_answer
from apps.kernel import exactjson
from controltower.practice.world.errors import (
    IdempotencyConflictError,
    ToolRefusedError,
    WorldError,
)
from controltower.practice.world.records import Context, SystemOfRecord, args_digest

CANCEL = {"order_id": "#G", "reason": "no longer needed"}
OTHER_REASON = {"order_id": "#G", "reason": "ordered by mistake"}


def keyed(key: str, world: str = "live") -> Context:
    return Context(world=world, key=key, run="run-1")


def status(records: SystemOfRecord, world: str = "live", order: str = "#G") -> str:
    answer = records.call("get_order_details", {"order_id": order}, Context(world=world))
    return str(answer.result["status"])


def test_a_keyed_call_happens_once_and_is_answered_again(records: SystemOfRecord) -> None:
    first = records.call("cancel_pending_order", CANCEL, keyed("k"))
    again = records.call("cancel_pending_order", CANCEL, keyed("k"))

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.result, again.at) == (first.result, first.at)
    assert [
        (entry["world"], entry["key"], entry["tool"], entry["args_digest"], entry["run"])
        for entry in records.ledger()
    ] == [("live", "k", "cancel_pending_order", args_digest(CANCEL), "run-1")]


def test_a_key_never_stands_for_two_calls(records: SystemOfRecord) -> None:
    records.call("cancel_pending_order", CANCEL, keyed("k"))

    with pytest.raises(IdempotencyConflictError):
        records.call("cancel_pending_order", OTHER_REASON, keyed("k"))
    with pytest.raises(IdempotencyConflictError):
        records.call("modify_pending_order_payment", CANCEL, keyed("k"))
    assert len(records.ledger()) == 1


def test_a_refusal_takes_no_key_and_leaves_no_trace(records: SystemOfRecord) -> None:
    with pytest.raises(ToolRefusedError):
        records.call("cancel_pending_order", {**CANCEL, "order_id": "#D"}, keyed("k"))

    assert records.lookup("k")["found"] is False
    assert records.ledger() == []
    assert records.call("cancel_pending_order", CANCEL, keyed("k")).replayed is False


def test_lookup_returns_what_the_key_was_answered(records: SystemOfRecord) -> None:
    answer = records.call("cancel_pending_order", CANCEL, keyed("k"))

    assert records.lookup("k") == {
        "found": True,
        "tool": "cancel_pending_order",
        "result": answer.result,
        "args_digest": args_digest(CANCEL),
        "at": answer.at,
    }
    assert records.lookup("k", world="elsewhere")["found"] is False


def test_worlds_do_not_see_each_other(records: SystemOfRecord) -> None:
    records.call("cancel_pending_order", CANCEL, keyed("k", world="a"))

    assert [status(records, world) for world in ("a", "b", "live")] == [
        "cancelled",
        "pending",
        "pending",
    ]


def test_reset_makes_a_world_pristine_but_keeps_the_ledger(records: SystemOfRecord) -> None:
    records.call("cancel_pending_order", CANCEL, keyed("k", world="a"))
    records.call("cancel_pending_order", CANCEL, keyed("k", world="b"))
    records.reset("a")

    assert (status(records, "a"), status(records, "b")) == ("pending", "cancelled")
    assert records.lookup("k", "a")["found"] is False
    assert [entry["tool"] for entry in records.ledger("a")] == [
        "cancel_pending_order",
        "tower_reset",
    ]


def test_the_ledger_pages_in_order(records: SystemOfRecord) -> None:
    for world in ("a", "b", "c"):
        records.call("cancel_pending_order", CANCEL, Context(world=world))
    first = records.ledger(limit=2)
    rest = records.ledger(after=first[-1]["seq"])

    assert [entry["world"] for entry in [*first, *rest]] == ["a", "b", "c"]


def test_everything_survives_a_restart(records: SystemOfRecord, tmp_path: Path) -> None:
    first = records.call("cancel_pending_order", CANCEL, keyed("k"))
    records.close()
    reopened = SystemOfRecord("retail", tmp_path / "retail.sqlite")

    again = reopened.call("cancel_pending_order", CANCEL, keyed("k"))
    state, entries = status(reopened), reopened.ledger()
    reopened.close()

    assert (again.replayed, again.result) == (True, first.result)
    assert state == "cancelled"
    assert len(entries) == 1


@pytest.mark.parametrize("statement", ["DELETE FROM ledger", "UPDATE ledger SET key = 'x'"])
def test_nobody_rewrites_the_ledger(
    records: SystemOfRecord, tmp_path: Path, statement: str
) -> None:
    records.call("cancel_pending_order", CANCEL, keyed("k"))
    other = sqlite3.connect(tmp_path / "retail.sqlite")

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    other.close()


def test_a_file_has_one_owner_of_one_domain(records: SystemOfRecord, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="another process"):
        SystemOfRecord("retail", tmp_path / "retail.sqlite")
    records.close()
    with pytest.raises(WorldError, match="not of 'airline'"):
        SystemOfRecord("airline", tmp_path / "retail.sqlite")
    SystemOfRecord("retail", tmp_path / "retail.sqlite").close()


def test_a_failed_write_leaves_the_world_as_it_was(records: SystemOfRecord, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "retail.sqlite")
    other.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk'); END"
    )
    other.commit()
    with pytest.raises(sqlite3.IntegrityError, match="disk"):
        records.call("cancel_pending_order", CANCEL, keyed("k"))
    other.execute("DROP TRIGGER broken")
    other.commit()
    other.close()

    assert status(records) == "pending"
    assert records.lookup("k")["found"] is False
    assert records.call("cancel_pending_order", CANCEL, keyed("k")).replayed is False


def test_preview_tells_the_changes_and_makes_none(records: SystemOfRecord) -> None:
    preview = records.preview("cancel_pending_order", CANCEL)

    assert preview["refusal"] is None
    assert preview["before"]["orders"]["#G"]["status"] == "pending"
    assert preview["after"]["orders"]["#G"]["status"] == "cancelled"
    assert {
        "path": "/users/ada_byron_1/payment_methods/gift/balance",
        "before": 20.0,
        "after": 30.0,
    } in preview["changes"]
    assert status(records) == "pending"
    assert records.ledger() == []


def test_preview_tells_a_refusal(records: SystemOfRecord) -> None:
    preview = records.preview("cancel_pending_order", {**CANCEL, "order_id": "#D"})

    assert (preview["refusal"], preview["before"], preview["after"], preview["changes"]) == (
        "Non-pending order cannot be cancelled",
        {},
        {},
        [],
    )


def test_preview_adds_the_facts_and_survives_their_failure(
    records: SystemOfRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_facts(function: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        monkeypatch.setattr("controltower.practice.world.facts.retail.facts", function)
        return records.preview("cancel_pending_order", CANCEL)

    known = set_facts(lambda world, tool, args: {"owner": world["orders"]["#G"]["user_id"]})
    failed = set_facts(lambda world, tool, args: {"owner": world["nowhere"]})

    assert known["facts"] == {"owner": "ada_byron_1"}
    assert (failed["facts"], failed["facts_error"]) == ({}, "KeyError: 'nowhere'")


def test_a_digest_ignores_order_and_whole_floats() -> None:
    assert args_digest({"a": 1, "b": [2.0, {"c": "é"}]}) == args_digest(
        {"b": [2, {"c": "é"}], "a": 1.0}
    )
    assert args_digest({"a": 1}) != args_digest({"a": "1"})


numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e-7, 5e-324, 1e21, 1e22, 1e23, 123456789012345680.0, 0.1 + 0.2, -0.0]),
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=4)
values = st.recursive(
    st.one_of(numbers, st.none(), st.booleans(), texts),
    lambda some: st.one_of(st.lists(some), st.dictionaries(texts, some)),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["a", "é", "\ufb33", "\U0001f600", "b"]), values))
def test_a_digest_is_the_one_that_the_tower_asks_for(args: dict[str, Any]) -> None:
    """The tower digests its own value, this service what it parsed from what was sent."""
    ours = exactjson.check(args)
    received = json.loads(exactjson.dumps(ours))
    answer = {"found": True, "tool": "t", "args_digest": args_digest(received)}

    assert read_answer(answer, tool="t", arguments=ours) is Looked.FOUND


def test_small_fractions_have_the_digest_of_rfc_8785() -> None:
    written = b'{"a":1e-7,"b":1e+21,"c":0.000001}'
    assert args_digest({"c": 0.000001, "a": 1e-7, "b": 1e21}) == hashlib.sha256(written).hexdigest()


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["k1", "k2", None]),
        st.sampled_from(["live", "other"]),
        st.sampled_from(["cancel_pending_order", "return_delivered_order_items"]),
        st.sampled_from(["#P", "#G", "#D"]),
    ),
    max_size=12,
)


@pytest.mark.usefixtures("fresh_retail")
def test_any_sequence_of_calls_has_at_most_one_effect_per_key() -> None:
    @settings(max_examples=60, deadline=None)
    @given(CALLS)
    def check(calls: list[tuple[str | None, str, str, str]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            records = SystemOfRecord("retail", Path(folder) / "r.sqlite")
            try:
                run_and_check(records, calls)
            finally:
                records.close()

    check()


def run_and_check(records: SystemOfRecord, calls: list[tuple[str | None, str, str, str]]) -> None:
    answers: dict[tuple[str, str], Any] = {}
    effects = 0
    for key, world, tool, order_id in calls:
        args: dict[str, Any] = {"order_id": order_id}
        if tool == "cancel_pending_order":
            args["reason"] = "no longer needed"
        else:
            args |= {"item_ids": ["red"], "payment_method_id": "gift"}
        try:
            answer = records.call(tool, args, Context(world=world, key=key))
        except (ToolRefusedError, IdempotencyConflictError):
            continue
        effects += not answer.replayed
        if key is not None:
            assert answers.setdefault((world, key), answer.result) == answer.result
            assert records.call(tool, args, Context(world=world, key=key)).replayed
    entries = records.ledger()
    spent = [(entry["world"], entry["key"]) for entry in entries if entry["key"] is not None]

    assert len(entries) == effects
    assert sorted(spent) == sorted(answers)
