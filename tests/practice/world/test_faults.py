from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from controltower.practice.world.errors import BadArgumentsError
from controltower.practice.world.faults import Faults, called_tool
from tests.practice.world.conftest import RunningService

CANCEL = {"order_id": "#G", "reason": "no longer needed"}
TOOL = "cancel_pending_order"
worlds = (f"fault-{number}" for number in itertools.count())


@pytest.fixture
def world(faulty: RunningService) -> Iterator[str]:
    yield next(worlds)
    faulty.tower("tower_faults", faults=[])


def arm(service: RunningService, kind: str, **numbers: Any) -> None:
    service.tower("tower_faults", faults=[{"kind": kind, "tool": TOOL, "count": 1, **numbers}])


def effects(service: RunningService, world: str) -> int:
    return len(service.tower("tower_ledger", world=world)["entries"])


def cancel(service: RunningService, world: str, timeout: float = 10) -> httpx.Response:
    return service.post(TOOL, CANCEL, timeout, world=world, idempotency_key="k")


def test_a_reply_dropped_after_the_work_is_replayed_by_its_key(
    faulty: RunningService, world: str
) -> None:
    arm(faulty, "drop_reply")
    with pytest.raises(httpx.RemoteProtocolError):
        cancel(faulty, world)
    again = cancel(faulty, world).json()["result"]

    assert again["_meta"]["replayed"] is True
    assert effects(faulty, world) == 1


@pytest.mark.parametrize(("kind", "done"), [("error_before", 0), ("error_after", 1)])
def test_an_error_comes_before_or_after_the_work(
    faulty: RunningService, world: str, kind: str, done: int
) -> None:
    arm(faulty, kind, status=502)
    response = cancel(faulty, world)

    assert (response.status_code, effects(faulty, world)) == (502, done)
    assert cancel(faulty, world).status_code == 200
    assert effects(faulty, world) == 1


@pytest.mark.parametrize("told", ["7", "-1", "36000", None])
def test_a_rate_limit_tells_when_to_come_back(
    faulty: RunningService, world: str, told: str | None
) -> None:
    arm(faulty, "rate_limit", **({} if told is None else {"retry_after": told}))
    response = cancel(faulty, world)

    assert (response.status_code, response.headers.get("retry-after")) == (429, told)
    assert effects(faulty, world) == 0


def test_a_rate_limit_can_tell_a_date(faulty: RunningService, world: str) -> None:
    arm(faulty, "rate_limit", retry_after_date_s=60)
    told = parsedate_to_datetime(cancel(faulty, world).headers["retry-after"])

    assert 50 < (told - datetime.now(UTC)).total_seconds() <= 60


@pytest.mark.parametrize("kind", ["delay", "late_reply"])
def test_a_slow_answer_is_still_an_answer(faulty: RunningService, world: str, kind: str) -> None:
    arm(faulty, kind, seconds=0.3)
    started = time.monotonic()
    response = cancel(faulty, world)

    assert response.json()["result"]["isError"] is False
    assert time.monotonic() - started >= 0.3


def test_a_late_reply_has_worked_when_the_caller_gives_up(
    faulty: RunningService, world: str
) -> None:
    arm(faulty, "late_reply", seconds=5)
    with pytest.raises(httpx.ReadTimeout):
        cancel(faulty, world, timeout=0.3)

    assert effects(faulty, world) == 1


def test_a_hanging_call_does_nothing_and_blocks_nobody(faulty: RunningService, world: str) -> None:
    arm(faulty, "hang")
    with pytest.raises(httpx.ReadTimeout):
        cancel(faulty, world, timeout=0.3)

    assert effects(faulty, world) == 0
    assert cancel(faulty, world).status_code == 200


def test_garbage_is_not_json(faulty: RunningService, world: str) -> None:
    arm(faulty, "garbage")
    response = cancel(faulty, world)

    with pytest.raises(ValueError, match="decode"):
        response.json()
    assert (response.status_code, effects(faulty, world)) == (200, 1)


def test_a_slow_drip_never_goes_silent_long_enough_to_time_out(
    faulty: RunningService, world: str
) -> None:
    arm(faulty, "slow_drip", seconds=0.0005)
    response = cancel(faulty, world, timeout=5)

    assert response.json()["result"]["isError"] is False
    assert "content-length" not in response.headers


def test_a_huge_answer_is_as_huge_as_told(faulty: RunningService, world: str) -> None:
    arm(faulty, "huge", megabytes=3)

    assert len(cancel(faulty, world).content) == 3_000_000


def test_a_redirect_leads_where_told(faulty: RunningService, world: str) -> None:
    arm(faulty, "redirect", location="http://169.254.169.254/latest")
    response = cancel(faulty, world)

    assert response.status_code == 307
    assert response.headers["location"] == "http://169.254.169.254/latest"
    assert effects(faulty, world) == 0


def test_a_fault_keeps_to_its_tool_and_its_count(faulty: RunningService, world: str) -> None:
    arm(faulty, "error_before")
    other = faulty.post("get_order_details", {"order_id": "#G"}, world=world)
    codes = [cancel(faulty, world).status_code for _ in range(2)]

    assert (other.status_code, codes) == (200, [503, 200])
    assert faulty.tower("tower_faults")["faults"][0]["fired"] == 1


def test_chance_is_repeatable_and_spares_the_towers_own_tools() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults()
        faults.replace([{"kind": "hang", "probability": 0.5}], seed=seed)
        assert faults.strike("tower_lookup") is None
        return [faults.strike("think") is not None for _ in range(40)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 5 < sum(strikes(1)) < 35


def test_a_fault_can_be_meant_for_a_tower_tool_but_never_for_the_switch() -> None:
    faults = Faults()
    faults.replace([{"kind": "hang", "tool": "tower_lookup"}, {"kind": "hang", "tool": "x"}])

    assert faults.strike("tower_lookup") is not None
    assert faults.strike("tower_faults") is None
    assert faults.strike(None) is None


@pytest.mark.parametrize("spec", [{"kind": "meteor"}, {"kind": "hang", "colour": 1}, {}])
def test_a_senseless_fault_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(BadArgumentsError):
        Faults().replace([spec])


@pytest.mark.parametrize(
    ("body", "tool"),
    [
        (b'{"method": "tools/call", "params": {"name": "x"}}', "x"),
        (b'{"method": "tools/list"}', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_a_called_tool_is_read_from_the_body(body: bytes, tool: str | None) -> None:
    assert called_tool(body) == tool
