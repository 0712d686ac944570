"""A small, complete tool server: refunds of a shop, with everything that docs/tool-servers.md asks.

    DESK_TOKEN=secret python docs/examples/tool_server.py --port 9000 --database desk.sqlite
    DESK_TOKEN=secret manage.py tools check http://127.0.0.1:9000/mcp --token-env DESK_TOKEN

It uses the official SDK, which serves both kinds of revision, with and without sessions.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import sqlite3
from typing import Annotated, Any

import rfc8785
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

TABLES = """
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, owner TEXT, paid INTEGER, refunded INTEGER);
CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, tool TEXT, args_digest TEXT, answer TEXT);
INSERT OR IGNORE INTO orders VALUES ('A1', 'Ada', 12000, 0), ('B2', 'Bela', 80000, 0);
"""
READS = ToolAnnotations(read_only_hint=True)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
OrderId = Annotated[str, Field(description="Number of the order, like A1")]
Cents = Annotated[int, Field(description="Amount in cents", gt=0)]

server = MCPServer("shop-desk")
database = sqlite3.connect(":memory:", isolation_level=None)  # opened anew by main()


class Order(BaseModel):
    order_id: str
    owner: str
    paid_cents: int
    refunded_cents: int


class Refund(BaseModel):
    order_id: str
    refunded_cents: int


class Later(BaseModel):
    """A call that stands behind another one in an agent's plan."""

    tool: str
    args: dict[str, Any]


class Said(BaseModel):
    refusal: str | None


class Preview(BaseModel):
    """What a call would change; ``refusal`` if it would be refused. ``then``: of each later call
    whether it would be refused, were all before it made."""

    changes: list[dict[str, Any]]
    facts: dict[str, Any]
    refusal: str | None = None
    then: list[Said] = []


class Found(BaseModel):
    found: bool
    tool: str | None = None
    args_digest: str | None = None
    result: Any = None


def row_of(order_id: str) -> Order:
    row = database.execute("SELECT * FROM orders WHERE id = ?", [order_id]).fetchone()
    if row is None:
        raise ValueError(f"there is no order {order_id}")  # told to the agent, as isError
    return Order(order_id=row[0], owner=row[1], paid_cents=row[2], refunded_cents=row[3])


def refusal_of(order: Order, cents: int) -> str | None:
    left = order.paid_cents - order.refunded_cents
    return None if cents <= left else f"only {left} cents of {order.order_id} are left"


@server.tool(annotations=READS)
def find_order(order_id: OrderId) -> Order:
    """Look an order up: who bought it, what was paid and what was given back."""
    return row_of(order_id)


@server.tool(annotations=CHANGES)
def refund_order(
    order_id: OrderId, cents: Cents, ctx: Context
) -> Annotated[CallToolResult, Refund]:
    """Give money of an order back. The same idempotency key is carried out once."""
    told = ctx.request_context.meta or {}  # the run's context too: told.get("branch"), say
    key = str(told.get("idempotency_key", ""))
    database.execute("BEGIN IMMEDIATE")  # the effect and its key become durable together
    try:
        known = database.execute("SELECT answer FROM done WHERE key = ?", [key]).fetchone()
        if key and known:
            return answered(json.loads(known[0]), replayed=True)
        order = row_of(order_id)
        if refusal := refusal_of(order, cents):
            raise ValueError(refusal)
        total = order.refunded_cents + cents
        database.execute("UPDATE orders SET refunded = ? WHERE id = ?", [total, order_id])
        answer = Refund(order_id=order_id, refunded_cents=total).model_dump()
        if key:
            digest = hashlib.sha256(rfc8785.dumps({"order_id": order_id, "cents": cents}))
            done = [key, "refund_order", digest.hexdigest(), json.dumps(answer)]
            database.execute("INSERT INTO done VALUES (?, ?, ?, ?)", done)
    except BaseException:
        database.execute("ROLLBACK")
        raise
    finally:
        if database.in_transaction:
            database.execute("COMMIT")
    return answered(answer, replayed=False)


def answered(answer: dict[str, Any], *, replayed: bool) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(text=json.dumps(answer))],
        structured_content=answer,
        _meta={"replayed": replayed},
    )


@server.tool(annotations=READS)
def tower_preview(
    tool: Annotated[str, Field(description="The tool that would be called")],
    args: Annotated[dict[str, Any], Field(description="Its arguments")],
    then: Annotated[tuple[Later, ...], Field(description="The calls behind it in its plan")] = (),
) -> Preview:
    """Say what a call would change, and which later calls would then be refused; make none."""
    if tool != "refund_order":
        raise ValueError(f"{tool} has no dry run")
    order, cents = row_of(str(args["order_id"])), int(args["cents"])
    path, before = f"/orders/{order.order_id}/refunded_cents", order.refunded_cents
    plan: dict[str, Order] = {}  # orders as they would be by then
    refusal = tried(args, plan)
    return Preview(
        changes=[{"path": path, "before": before, "after": before + cents}],
        facts={"owner": order.owner, "amount_cents": cents},
        refusal=refusal,
        then=[Said(refusal=tried(later.args, plan)) for later in then],
    )


def tried(args: dict[str, Any], plan: dict[str, Order]) -> str | None:
    """Refund on the copy in ``plan``; why not, if that would be refused."""
    try:
        order_id, cents = str(args["order_id"]), int(args["cents"])
        order = plan.get(order_id) or row_of(order_id)
    except (KeyError, TypeError, ValueError) as error:
        return f"it can't be made: {error}"
    if refusal := refusal_of(order, cents):
        return refusal
    total = order.refunded_cents + cents
    plan[order_id] = order.model_copy(update={"refunded_cents": total})
    return None


@server.tool(annotations=READS)
def tower_lookup(
    idempotency_key: Annotated[str, Field(description="The key that the call was sent with")],
) -> Found:
    """Say whether a call with this key was carried out, and what it answered."""
    asked = "SELECT tool, args_digest, answer FROM done WHERE key = ?"
    row = database.execute(asked, [idempotency_key]).fetchone()
    if row is None:
        return Found(found=False)
    return Found(found=True, tool=row[0], args_digest=row[1], result=json.loads(row[2]))


def guarded(app: Any, token: str) -> Any:
    """The server behind a bearer token; without one it answers everybody on this machine."""

    async def ask(scope: Any, receive: Any, send: Any) -> None:
        sent = dict(scope.get("headers") or ()).get(b"authorization", b"")
        if (
            scope["type"] != "http"
            or not token
            or hmac.compare_digest(sent, f"Bearer {token}".encode())
        ):
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"a bearer token is needed"})

    return ask


def main() -> None:
    global database
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--database", default="desk.sqlite")
    options = parser.parse_args()
    database = sqlite3.connect(options.database, isolation_level=None, check_same_thread=False)
    database.executescript(TABLES)
    app = server.streamable_http_app(json_response=True)
    uvicorn.run(guarded(app, os.environ.get("DESK_TOKEN", "")), port=options.port)


if __name__ == "__main__":
    main()
