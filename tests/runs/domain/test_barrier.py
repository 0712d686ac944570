from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.runs.domain.barrier import (
    STAGES,
    WAITS_LENGTH,
    Barriers,
    Block,
    Shut,
    StopInForce,
    StopScope,
    admits,
    blocked,
    next_stage,
)

RUN = uuid4()
MINE = {"tool": "shop/refund", "agent": "ida", "job": "refunds", "run_id": RUN}
TARGETS = {
    StopScope.TOOL: "shop/refund",
    StopScope.AGENT: "ida",
    StopScope.JOB: "refunds",
    StopScope.EVERYTHING: "",
}

scopes = st.sampled_from(list(StopScope))


def stopping(scope: StopScope, target: str, percent: int = 0) -> Barriers:
    return Barriers(stops=[StopInForce(1, scope, target, percent)])


@given(st.text(), st.text(), st.text(), st.booleans())
def test_nothing_in_force_blocks_nothing(tool: str, agent: str, job: str, undo: bool) -> None:
    assert Barriers().empty
    assert blocked(Barriers(), tool=tool, agent=agent, job=job, is_undoing=undo, run_id=RUN) is None


@given(scopes)
def test_a_stop_holds_its_target_until_it_is_lifted(scope: StopScope) -> None:
    block = blocked(stopping(scope, TARGETS[scope]), **MINE)

    assert block is not None
    assert block.retry_in_s is None
    assert TARGETS[scope] in block.waits_for


@given(scopes.filter(lambda s: s is not StopScope.EVERYTHING), st.text(min_size=1))
def test_a_stop_holds_nothing_but_its_target(scope: StopScope, other: str) -> None:
    if other != TARGETS[scope]:
        assert blocked(stopping(scope, other), **MINE) is None


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (StopScope.TOOL, True),
        (StopScope.EVERYTHING, True),
        (StopScope.AGENT, False),
        (StopScope.JOB, False),
    ],
)
def test_undoing_goes_on_unless_the_tool_itself_is_stopped(scope: StopScope, *, held: bool) -> None:
    block = blocked(stopping(scope, TARGETS[scope]), **MINE, is_undoing=True)

    assert (block is not None) is held


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (StopScope.TOOL, False),
        (StopScope.EVERYTHING, True),
        (StopScope.AGENT, True),
        (StopScope.JOB, True),
    ],
)
def test_an_agents_turn_is_no_call_of_a_tool(scope: StopScope, *, held: bool) -> None:
    turn = {**MINE, "tool": ""}

    assert (blocked(stopping(scope, TARGETS[scope]), **turn) is not None) is held


@given(scopes, st.uuids())
def test_who_is_let_go_on_stays_so_at_later_stages(scope: StopScope, run_id: UUID) -> None:
    stops = [StopInForce(1, scope, TARGETS[scope], percent) for percent in (*STAGES[:-1], 100)]
    found = [admits(stop, run_id) for stop in stops]

    assert found == sorted(found)
    assert (found[0], found[-1]) == (False, True)
    for stop in stops:
        block = blocked(Barriers(stops=[stop]), **{**MINE, "run_id": run_id})
        assert (block is None) is admits(stop, run_id)


@pytest.mark.parametrize("percent", [10, 50])
def test_a_stage_lets_about_its_share_of_the_runs_go_on(percent: int) -> None:
    stop = StopInForce(1, StopScope.EVERYTHING, "", percent)
    share = sum(admits(stop, UUID(int=n * 7919 + 1)) for n in range(2000)) / 20

    assert percent - 4 < share < percent + 4


def test_the_stages_end_in_lifting() -> None:
    assert [next_stage(p) for p in STAGES] == [10, 50, 100, 100]


@given(st.floats(0.1, 30) | st.none())
def test_an_open_breaker_blocks_for_as_long_as_it_is_open(opens_in_s: float | None) -> None:
    shut = {"shop/refund": [Shut("shop/refund", "a", opens_in_s)]}
    barriers = Barriers(shut=shut, hosts={"shop": "a"})

    assert blocked(barriers, **MINE) == Block("breaker of shop/refund is open", opens_in_s)
    assert blocked(barriers, **{**MINE, "tool": "shop/look"}) is None


def test_a_breaker_of_another_host_blocks_only_where_the_host_isnt_known() -> None:
    shut = {"shop/refund": [Shut("shop/refund", "a", 9.0)]}

    assert blocked(Barriers(shut=shut, hosts={"shop": "b"}), **MINE) is None
    assert blocked(Barriers(shut=shut), **MINE) is not None


def test_a_breaker_without_a_host_is_of_all_hosts_and_the_firmest_counts() -> None:
    shut = {"shop/refund": [Shut("shop/refund", "a", 0.0), Shut("shop/refund", "", None)]}

    for host in ("a", "b"):
        block = blocked(Barriers(shut=shut, hosts={"shop": host}), **MINE)
        assert block == Block("breaker of shop/refund is open", None)


@given(st.floats(-30, 0))
def test_a_breaker_that_wants_probes_is_no_block(opens_in_s: float) -> None:
    shut = {"shop/refund": [Shut("shop/refund", "a", opens_in_s)]}

    assert blocked(Barriers(shut=shut), **MINE) is None
    assert shut["shop/refund"][0].wants_probes


def test_a_paused_run_is_parked_and_its_undoing_is_not() -> None:
    barriers = Barriers(paused=frozenset({RUN}))

    assert blocked(barriers, **MINE) == Block("the run is paused", None)
    assert blocked(barriers, **MINE, is_undoing=True) is None
    assert blocked(barriers, **{**MINE, "run_id": uuid4()}) is None


@given(st.text(max_size=400))
def test_the_words_fit_where_they_are_kept(name: str) -> None:
    block = blocked(stopping(StopScope.JOB, name), **{**MINE, "job": name})

    assert block is not None
    assert len(block.waits_for) <= WAITS_LENGTH
