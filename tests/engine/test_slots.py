"""Places for calls: bounded, in order, never leaked."""

from __future__ import annotations

import asyncio

import pytest

from apps.calls.domain.limiter import LoadSign
from apps.calls.executor.slots import Slots


async def hold(slots: Slots, name: str, ceiling: int, log: list[int], n: int) -> None:
    async with slots.of(name, ceiling) as slot:
        log.append(n)
        await asyncio.sleep(0.001)
        slot.ended(LoadSign.OK)


async def _most_at_once(ceiling: int, calls: int) -> tuple[int, list[int]]:
    slots, at_once, most, order = Slots(), 0, 0, []

    async def one(n: int) -> None:
        nonlocal at_once, most
        async with slots.of("t", ceiling):
            at_once += 1
            most = max(most, at_once)
            order.append(n)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(one(n) for n in range(calls)))
    assert slots.report()["t"]["in_use"] == 0
    return most, order


def test_no_more_at_once_than_the_ceiling_and_in_order() -> None:
    assert asyncio.run(_most_at_once(7, 100)) == (7, list(range(100)))


def test_a_drop_lowers_the_limit_and_the_others_wait() -> None:
    async def scene() -> dict[str, float]:
        slots = Slots({"t": 4.0})
        async with slots.of("t", 100) as slot:
            slot.ended(LoadSign.DROPPED)
        entered: list[int] = []
        waiting = [asyncio.create_task(hold(slots, "t", 100, entered, n)) for n in range(5)]
        await asyncio.sleep(0)
        report = slots.report()["t"]
        await asyncio.gather(*waiting)
        return report

    report = asyncio.run(scene())
    assert report == {"limit": 3.6, "ceiling": 100, "in_use": 3, "waiting": 2, "drops": 1}


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def scene() -> list[int]:
        slots, entered = Slots(), []
        async with slots.of("t", 1):
            first = asyncio.create_task(hold(slots, "t", 1, entered, 1))
            second = asyncio.create_task(hold(slots, "t", 1, entered, 2))
            await asyncio.sleep(0)
            first.cancel()
        # The place is handed over and given up in the same moment by a third.
        third = asyncio.create_task(hold(slots, "t", 1, entered, 3))
        with pytest.raises(asyncio.CancelledError):
            await first
        await second
        await third
        assert slots.report()["t"]["in_use"] == 0
        return entered

    assert asyncio.run(scene()) == [2, 3]


def test_a_place_that_comes_too_late_is_passed_on() -> None:
    async def scene() -> None:
        slots, entered = Slots(), []
        place = slots.of("t", 1)
        await place.__aenter__()
        late = asyncio.create_task(hold(slots, "t", 1, entered, 1))
        await asyncio.sleep(0)
        await place.__aexit__(None, None, None)  # hands over ...
        late.cancel()  # ... to one that is cancelled before it hears of it
        with pytest.raises(asyncio.CancelledError):
            await late
        await asyncio.wait_for(hold(slots, "t", 1, entered, 2), 5)
        assert entered == [2]

    asyncio.run(scene())
