from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
from pathlib import Path
from typing import Any

import httpx
from mcp import Client

from controltower.practice.world.loading import load_tool_schemas
from tests.practice.world.conftest import RunningService, Starter

CANCEL = {"order_id": "#G", "reason": "no longer needed"}


def address(number: int) -> dict[str, Any]:
    return {
        "user_id": "ada_byron_1",
        "address1": f"{number} Main St",
        "address2": "",
        "city": "Boston",
        "state": "MA",
        "country": "USA",
        "zip": "02101",
    }


def test_an_mcp_client_lists_and_calls_the_tools(start: Starter) -> None:
    service = start()

    async def talk() -> tuple[Any, Any, Any, Any]:
        async with Client(service.url) as client:
            tools = (await client.list_tools()).tools
            read = await client.call_tool("get_order_details", {"order_id": "#G"})
            first = await client.call_tool(
                "cancel_pending_order", CANCEL, meta={"idempotency_key": "k", "run": "r"}
            )
            again = await client.call_tool(
                "cancel_pending_order", CANCEL, meta={"idempotency_key": "k", "run": "r"}
            )
            return tools, read, first, again

    tools, read, first, again = asyncio.run(talk())
    listed = {tool.name: tool.input_schema for tool in tools if not tool.name.startswith("tower_")}
    extra = {tool.name for tool in tools} - set(listed)

    assert listed == {tool["name"]: tool["parameters"] for tool in load_tool_schemas("retail")}
    assert extra == {"tower_preview", "tower_lookup", "tower_ledger", "tower_reset"}
    assert '"status": "pending"' in read.content[0].text
    assert (first.meta["replayed"], again.meta["replayed"]) == (False, True)
    assert first.content == again.content
    assert not first.is_error


def test_failures_are_results_with_a_code(start: Starter) -> None:
    service = start()
    service.call("cancel_pending_order", CANCEL, idempotency_key="k")

    def failure(tool: str, args: dict[str, Any], **meta: Any) -> tuple[bool, str, str]:
        result = service.call(tool, args, **meta)
        return result["isError"], result["_meta"]["code"], result["content"][0]["text"]

    assert failure("cancel_pending_order", CANCEL, idempotency_key="k2") == (
        True,
        "refused",
        "Error: Non-pending order cannot be cancelled",
    )
    assert failure("cancel_pending_order", {}, idempotency_key="k3")[1] == "bad_arguments"
    assert failure("nothing", {})[1] == "unknown_tool"
    assert failure("tower_faults", {})[1] == "unknown_tool"
    assert failure("cancel_pending_order", {**CANCEL, "order_id": "#P"}, idempotency_key="k") == (
        True,
        "idempotency_conflict",
        "Error: idempotency key 'k' was used for a different call",
    )
    assert failure("get_order_details", {"order_id": "#G"}, world=7)[1] == "bad_arguments"
    assert failure("get_order_details", {"order_id": "#G"}, dialect="tau9")[1] == "bad_arguments"


def test_the_tower_previews_looks_up_and_resets(start: Starter) -> None:
    service = start()

    preview = service.tower("tower_preview", tool="cancel_pending_order", args=CANCEL)
    before = service.tower("tower_lookup", idempotency_key="k")
    service.call("cancel_pending_order", CANCEL, idempotency_key="k")
    after = service.tower("tower_lookup", idempotency_key="k")
    service.tower("tower_reset", world="live")
    entries = service.tower("tower_ledger", world="live")["entries"]
    read = service.call("get_order_details", {"order_id": "#G"}, dialect="tau1")

    assert preview["after"]["orders"]["#G"]["status"] == "cancelled"
    assert (before["found"], after["found"]) == (False, True)
    assert after["result"]["status"] == "cancelled"
    assert [entry["tool"] for entry in entries] == ["cancel_pending_order", "tower_reset"]
    assert '"status": "pending"' in read["content"][0]["text"]
    assert "return_items" not in read["content"][0]["text"]


def test_a_service_announces_itself_answers_health_and_stops(start: Starter) -> None:
    service = start()
    health = httpx.get(service.url.replace("/mcp", "/healthz")).json()

    assert health == {"ok": True, "domain": "retail", "pid": service.process.pid}
    assert service.announcement["pid"] == service.process.pid
    assert service.stop() == 0


def test_hundreds_of_calls_at_once_all_get_their_own_answer(start: Starter) -> None:
    service = start()

    async def load() -> list[bool]:
        async with Client(service.url) as client:
            results = await asyncio.gather(
                *(
                    client.call_tool(
                        "modify_user_address",
                        address(number),
                        meta={"idempotency_key": f"k{number}", "world": f"w{number}"},
                    )
                    for number in range(300)
                )
            )
        return [
            f"{number} Main St" in result.content[0].text for number, result in enumerate(results)
        ]

    assert asyncio.run(load()) == [True] * 300
    assert len(service.tower("tower_ledger")["entries"]) == 300


async def send_until_killed(
    service: RunningService, keys: range, *, kill_after: int
) -> dict[int, dict[str, Any]]:
    """Send every key's call at once, kill the service midway, return what was answered."""
    answered: dict[int, dict[str, Any]] = {}

    async def send(client: httpx.AsyncClient, number: int) -> None:
        meta = {"idempotency_key": f"k{number}", "world": f"w{number % 7}", "run": "r"}
        params = {"name": "modify_user_address", "arguments": address(number), "_meta": meta}
        with contextlib.suppress(httpx.TransportError):
            response = await client.post(
                service.url,
                json={"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params},
                headers={"accept": "application/json, text/event-stream"},
            )
            answered[number] = response.json()["result"]
            if len(answered) == kill_after:
                service.kill()

    async with httpx.AsyncClient(timeout=10) as client:
        await asyncio.gather(*(send(client, number) for number in keys))
    return answered


def test_kill_9_in_mid_load_loses_no_effect_and_doubles_none(start: Starter) -> None:
    service = start()
    keys = range(120)
    answered = asyncio.run(send_until_killed(service, keys, kill_after=40))
    restarted = start(db=service.db)

    after_kill = restarted.tower("tower_ledger")["entries"]
    retried = {
        number: restarted.call(
            "modify_user_address",
            address(number),
            idempotency_key=f"k{number}",
            world=f"w{number % 7}",
        )
        for number in keys
    }
    with contextlib.closing(sqlite3.connect(service.db)) as witness:
        ledger = [key for (key,) in witness.execute("SELECT key FROM ledger ORDER BY seq")]

    assert 40 <= len(answered) < len(keys)
    assert {f"k{number}" for number in answered} <= {entry["key"] for entry in after_kill}
    assert ledger[: len(after_kill)] == [entry["key"] for entry in after_kill]
    assert sorted(ledger) == sorted(f"k{number}" for number in keys)
    assert all(retried[number]["_meta"]["replayed"] for number in answered)
    assert all(
        retried[number]["content"] == result["content"] for number, result in answered.items()
    )


def test_a_service_with_a_token_answers_those_who_bring_it(start: Starter, tmp_path: Path) -> None:
    secret = tmp_path / "tools.key"
    secret.write_text("s3cret\n")
    service = start("--token-file", str(secret))
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    for brought in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "Basic s3cret"}):
        refused = httpx.post(service.url, json=ask, headers={**accept, **brought})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert "needs the token" in refused.json()["error_description"]
    told = httpx.post(service.url, json=ask, headers={**accept, "Authorization": "Bearer s3cret"})
    assert told.status_code == 200
    assert httpx.get(service.url.replace("/mcp", "/healthz")).status_code == 200


def test_records_are_readable_by_their_owner_alone(start: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    db = folder / "retail.sqlite"
    db.touch(mode=0o644)
    start(db=db)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
