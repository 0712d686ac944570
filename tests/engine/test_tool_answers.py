"""Each line of the table in docs/tool-servers.md, through a whole drain and a real server.

Every line has tools of its own (a read, a change without key, a change with key), so that all lines
are tried in one drain and none trips another's breaker.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import django_rq
import pytest
from django.conf import settings as django_settings

from apps.catalog.models import Tool, ToolServer
from apps.catalog.selectors import pinned
from apps.runs.journal import breakers
from apps.runs.models import Breaker, Receipt, Run, Step
from tests.calls.executor.raw_server import Answer, RawServer, Request, http, rpc, serving, text
from tests.engine import raw_shop
from tests.engine.test_drain import drain

ATTEMPTS = 3
KINDS = ("read", "unkeyed", "keyed")
DOCS = Path(django_settings.BASE_DIR) / "docs" / "tool-servers.md"
SCHEMA = {"type": "object", "required": ["total"]}
Behaviour = Callable[[Request, asyncio.StreamWriter], Any]


def rows() -> list[list[str]]:
    """The table's lines: what the server does, and the four cells."""
    lines = DOCS.read_text().split("| the server |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# --- what the servers do --------------------------------------------------------------------------


def answers(request: Request, writer: Any) -> Answer:
    return http(rpc(request, result=text("done", structuredContent={"total": 1})))


def unlike(request: Request, writer: Any) -> Answer:
    return http(rpc(request, result=text("done", structuredContent={"sum": 1})))


def rubbish(request: Request, writer: Any) -> Answer:
    return http(rpc(request, result=text("done", structuredContent={"total": 1})) + "rubbish")


def error(code: int, status: str = "200 OK", **headers: str) -> Behaviour:
    def answer(request: Request, writer: Any) -> Answer:
        said = {"code": code, "message": "amount must be positive"}
        return http(rpc(request, error=said), status=status, **headers)

    return answer


def is_error(request: Request, writer: Any) -> Answer:
    return http(rpc(request, result=text("amount must be positive", isError=True)))


def wants(request: Request, writer: Any) -> Answer:
    said = {"resultType": "input_required", "inputRequests": {}, "requestState": "s"}
    return http(rpc(request, result=said))


def status(code: int, body: str = "", kind: str = "text/plain", **headers: str) -> Behaviour:
    def answer(request: Request, writer: Any) -> Answer:
        return http(body, status=f"{code} Said", kind=kind, **headers)

    return answer


async def hangs(request: Request, writer: Any) -> Answer:
    await asyncio.sleep(30)
    return None


async def cut(request: Request, writer: asyncio.StreamWriter) -> Answer:
    writer.write(http(rpc(request, result=text("done")))[:-10])
    await writer.drain()
    return None


def foreign(request: Request, writer: Any) -> Answer:
    return http(json.dumps({"jsonrpc": "2.0", "id": 9999, "result": text("done")}))


def huge(request: Request, writer: Any) -> Answer:
    return http(b" " * (4 * 2**20 + 1))


class Forgetful:
    """Forgets the session once for each tool."""

    def __init__(self) -> None:
        self.met: set[str] = set()

    def __call__(self, request: Request, writer: Any) -> Answer:
        name = request.message["params"]["name"]
        if name in self.met:
            return answers(request, writer)
        self.met.add(name)
        return http(b"", status="404 Not Found")


AWAY = "away"
BEHAVIOURS: list[Any] = [
    answers,
    unlike,
    rubbish,
    error(-32602, "400 Bad Request"),
    error(-32603, "500 Oops"),
    is_error,
    is_error,
    wants,
    Forgetful(),
    status(401),
    status(405),
    status(307, location="/elsewhere"),
    status(429, Retry_After="0"),
    status(409),
    status(502),
    hangs,
    cut,
    foreign,
    status(200, "<html>log in</html>", "text/html"),
    huge,
    AWAY,
]


# --- the tower ------------------------------------------------------------------------------------


def _tool(n: int, kind: str) -> dict[str, Any]:
    entry = {"name": f"{kind}_{n}", "title": f"T {n}", "input_schema": {"type": "object"}}
    if kind == "read":
        return {**entry, "effect": "read"}
    idempotency = "none" if kind == "unkeyed" else "keyed"
    return {**entry, "effect": "write", "idempotency": idempotency, "sentence": "Do it"}


def _use(n: int, kind: str) -> dict[str, Any]:
    retry = {"attempts": ATTEMPTS, "base_s": 0.01, "cap_s": 0.02}
    use: dict[str, Any] = {
        "name": f"{kind}_{n}",
        "timeout_s": 1.5 if BEHAVIOURS[n] is hangs else 10,
        "retry": retry,
    }
    return {**use, "errors": "unknown"} if "errors: unknown" in rows()[n][0] else use


async def route(request: Request, writer: asyncio.StreamWriter) -> Answer:
    _, _, n = request.message["params"]["name"].partition("_")
    behaviour = BEHAVIOURS[int(n)]
    found = behaviour(request, writer)
    return await found if asyncio.iscoroutine(found) else found


@pytest.fixture
def counted() -> set[str]:
    """The tools whose breaker has counted a failure."""
    return set()


@pytest.fixture
def runs(
    transactional_db: None, tmp_path: Path, settings: Any, counted: set[str]
) -> Iterator[dict[tuple[int, str], UUID]]:
    """A run for each line and kind, carried to its end."""
    tools = [
        {"name": f"{kind}_{n}", "inputSchema": {"type": "object"}, "outputSchema": SCHEMA}
        for n in range(2)
        for kind in KINDS
    ]
    with serving(RawServer(route, tools=tools)) as server:
        settings.TOOL_SERVERS = {"retail": raw_shop.AWAY}
        names = [(n, kind) for n in range(len(BEHAVIOURS)) for kind in KINDS]
        entries = [_tool(n, kind) for n, kind in names]
        raw_shop.apply(tmp_path, entries, [_use(n, kind) for n, kind in names])
        settings.TOOL_SERVERS = {"retail": server.url, "away": raw_shop.AWAY}
        django_rq.get_connection("normal").flushdb()
        found = _start()
        _send_away(found)
        end = time.monotonic() + 120  # a slow machine takes longer than the attempts do
        open_runs = Run.objects.filter(state__in=["accepted", "queued", "running"])
        rounds = 0
        while rounds < ATTEMPTS or (open_runs.exists() and time.monotonic() < end):
            rounds += 1
            drain(linger_s=1)
            counted.update(
                Breaker.objects.filter(failures__gt=0).values_list("tool_name", flat=True)
            )
            Breaker.objects.all().delete()  # nobody waits for one here
            breakers._memory.__init__()  # type: ignore[misc]
        yield found


def _send_away(found: dict[tuple[int, str], UUID]) -> None:
    """Let the last line's tools be of a server that isn't there."""
    pinned._tool.cache_clear()
    server = ToolServer.objects.create(slug="away")
    Tool.objects.filter(name__endswith=f"_{BEHAVIOURS.index(AWAY)}").update(server=server)


def _start() -> dict[tuple[int, str], UUID]:
    keys = [(n, kind) for n in range(len(BEHAVIOURS)) for kind in KINDS]
    started = raw_shop.start([f"{kind}_{n}" for n, kind in keys])
    return dict(zip(keys, started, strict=True))


def word(step: Step) -> str:
    """What became of a step, in the table's words."""
    all_tried = " after all attempts" if step.attempts_made == ATTEMPTS else ""
    if step.disposition == "executed":
        return "executed"
    if step.disposition == "refused_by_tool":
        return "refused" if step.attempts_made == 1 else f"refused{all_tried}"
    if step.disposition == "failed":
        return f"failed{all_tried or ' at once'}"
    return f"unknown{all_tried}" if step.disposition == "unknown" else step.state


def test_the_table_of_the_docs_is_true(
    runs: dict[tuple[int, str], UUID], counted: set[str]
) -> None:
    table = rows()
    assert len(table) == len(BEHAVIOURS)
    steps = {s.run_id: s for s in Step.objects.all()}

    seen = [[word(steps[runs[n, kind]]) for kind in KINDS] for n in range(len(table))]

    assert {r[0]: r[1:4] for r in table} == {r[0]: s for r, s in zip(table, seen, strict=True)}
    for (n, kind), run_id in runs.items():
        step = steps[run_id]
        assert table[n][4] == ("yes" if f"retail/{kind}_{n}" in counted else "no")
        if step.disposition != "executed":
            assert step.error
            assert "TaskGroup" not in step.error
    for n, kind in ((1, "keyed"), (2, "read")):
        assert Receipt.objects.get(step=steps[runs[n, kind]]).note
    assert set(Run.objects.filter(state__in=["queued", "running"])) == set()
