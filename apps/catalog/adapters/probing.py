"""Try a tool server against the protocol: what is asked of it over the network, and what came."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from apps.catalog.adapters.addresses import ServerAccess
from apps.catalog.adapters.asking import (
    ASK_SECONDS,
    AskingTransport,
    ask_now,
    connected,
    reason_of,
)
from apps.catalog.adapters.transport import http_client
from apps.catalog.domain import conformance
from apps.catalog.domain.checks import takes_plan
from apps.catalog.domain.conformance import ADVICE, OK, SERVER, SKIPPED, WRONG, Line
from apps.catalog.domain.served import ServedTools

if TYPE_CHECKING:
    from mcp import Client

NOBODY = "tower-check.no-such-tool"
SESSION = "mcp-session-id"


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try. ``helpers``: the preview's and the look-up's names. ``tool``: a tool that may
    really be called, with ``arguments``; without one nothing that changes anything is called."""

    helpers: Mapping[str, str] = field(default_factory=dict)
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answer:
    data: Any = None
    text: str = ""
    is_error: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


def probe(connection: ServerAccess, trial: Trial) -> tuple[ServedTools, list[Line]]:
    """Everything that was found, in the order in which it was tried. Raises ``UnavailableError``
    when the server can't be asked at all."""
    return asyncio.run(_probe(connection, trial))


async def _probe(connection: ServerAccess, trial: Trial) -> tuple[ServedTools, list[Line]]:
    found = await ask_now(connection)
    lines = conformance.judged(found, trial.helpers)
    transport = AskingTransport(connection)
    try:
        async with asyncio.timeout(ASK_SECONDS * 4), connected(connection, transport) as client:
            lines += await _errors(client, found)
            lines += await _look_up(client, found, trial.helpers)
            lines += await _called(client, found, trial)
    except Exception as error:
        why = connection.redacted(reason_of(error, ASK_SECONDS))
        lines.append(Line(SERVER, "calls", WRONG, f"It broke off while it was tried: {why}."))
    return found, [*lines, *await _session(connection)]


async def _errors(client: Client, found: ServedTools) -> list[Line]:
    """Errors that cost nothing: a tool that isn't there, and a read without what it needs."""
    answer = await _call(client, NOBODY, {})
    fix = "Answer error -32602, or isError with words."
    if answer.is_error:
        lines = [Line(SERVER, "errors", OK, "An unknown tool is answered with an error.")]
    else:
        lines = [Line(SERVER, "errors", WRONG, "An unknown tool is answered as if it did.", fix)]
    reads = (
        t
        for t in found.tools.values()
        if t.hints.get("readOnlyHint") and t.input_schema.get("required")
    )
    tool = next(reads, None)
    if tool is not None and not (await _call(client, tool.name, {})).is_error:
        message = "A call without a required argument is answered as if it had it."
        lines.append(Line(tool.name, "errors", WRONG, message, fix))
    elif tool is not None:
        message = "A call without a required argument is answered with an error."
        lines.append(Line(tool.name, "errors", OK, message))
    return lines


async def _look_up(client: Client, found: ServedTools, helpers: Mapping[str, str]) -> list[Line]:
    name = helpers.get("lookup", "")
    if name not in found.tools:
        return []
    answer = await _call(client, name, {"idempotency_key": secrets.token_hex(32)})
    return [conformance.absent_line(name, answer.data)]


async def _called(client: Client, found: ServedTools, trial: Trial) -> list[Line]:
    """The one tool that may be called: its dry run, the call, the same call again, its look-up."""
    name = trial.tool
    if not name:
        message = "Key, dry run and look-up of a change were not tried."
        return [
            Line(SERVER, "calls", SKIPPED, message, "Name a harmless call: --try TOOL ARGS.json.")
        ]
    if name not in found.tools:
        return [Line(name, "call", WRONG, "There is no such tool to try.")]
    lines: list[Line] = []
    preview, lookup = trial.helpers.get("preview", ""), trial.helpers.get("lookup", "")
    if preview in found.tools:
        asked = {"tool": name, "args": dict(trial.arguments)}
        lines += conformance.preview_lines(preview, (await _call(client, preview, asked)).data)
        if takes_plan(found.tools[preview].input_schema):
            said = (await _call(client, preview, {**asked, "then": [asked]})).data
            lines.append(conformance.ahead_line(preview, said))
    key = secrets.token_hex(32)
    first = await _call(client, name, trial.arguments, key=key)
    if first.is_error:
        message = f"The call was refused: {first.text[:200]}"
        return [*lines, Line(name, "call", WRONG, message, "Try it with arguments that it takes.")]
    lines.append(Line(name, "call", OK, "The call was answered."))
    again = await _call(client, name, trial.arguments, key=key)
    lines.append(_keyed(name, first, again))
    if lookup in found.tools:
        looked = await _call(client, lookup, {"idempotency_key": key})
        lines.append(conformance.found_line(lookup, looked.data, name))
    return lines


def _keyed(name: str, first: _Answer, again: _Answer) -> Line:
    item = "idempotency_key"
    if again.meta.get("replayed") is True:
        return Line(name, item, OK, "The same key again is answered with the first answer.")
    if again.is_error or (again.text, again.data) != (first.text, first.data):
        fix = "Keep _meta.idempotency_key with its answer, and answer a known key with that."
        return Line(name, item, WRONG, "The same key again is answered otherwise.", fix)
    fix = "Say _meta.replayed: true in an answer that was given before; then it is known for sure."
    message = "The same key again is answered alike, but not marked as an answer of before."
    return Line(name, item, ADVICE, message, fix)


async def _call(
    client: Client, name: str, arguments: Mapping[str, Any], *, key: str = ""
) -> _Answer:
    meta: dict[str, Any] = {
        "run": "tools-check",
        "tower/call": secrets.token_hex(8),
    }
    if key:
        meta["idempotency_key"] = key
    try:
        async with asyncio.timeout(ASK_SECONDS):
            answer = await client.call_tool(name, dict(arguments), meta=meta)
    except Exception as error:
        return _Answer(text=reason_of(error, ASK_SECONDS), is_error=True)
    text = "\n".join(part.text for part in answer.content if getattr(part, "text", None))
    data = answer.structured_content
    return _Answer(
        data if data is not None else _json(text),
        text,
        bool(answer.is_error),
        dict(answer.meta or {}),
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


async def _session(connection: ServerAccess) -> list[Line]:
    """What becomes of a session that the server doesn't know: it must say 404, so that the tower
    begins a new one."""
    transport = AskingTransport(connection)
    try:
        async with asyncio.timeout(ASK_SECONDS), connected(connection, transport, mode="legacy"):
            has_sessions = transport.session != ""
        if not has_sessions:
            return [Line(SERVER, "sessions", OK, "It keeps no sessions, so none can be lost.")]
        status = await _with_unknown_session(connection)
    except Exception as error:
        why = connection.redacted(reason_of(error, ASK_SECONDS))
        return [Line(SERVER, "sessions", SKIPPED, f"Sessions could not be tried: {why}.")]
    if status == 404:
        return [Line(SERVER, "sessions", OK, "An unknown session is answered with 404.")]
    message = f"An unknown session is answered with {status}."
    return [Line(SERVER, "sessions", WRONG, message, "Answer 404, so that a new one is begun.")]


async def _with_unknown_session(connection: ServerAccess) -> int:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {
        SESSION: secrets.token_hex(16),
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-06-18",
    }
    async with http_client(connection, timeout_s=ASK_SECONDS) as http:
        answer: httpx2.Response = await http.post(connection.url, json=body, headers=headers)
        return answer.status_code
