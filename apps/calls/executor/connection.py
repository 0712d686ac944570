"""Connections to tool servers: one MCP client a server, shared by all concurrent calls of a drain.

Each is kept by a task of its own: the SDK's scopes have to be left by the task that entered them,
and no call that times out may take the shared connection with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apps.calls.executor.result import CallResult, ConnectingError, Trace, words_of
from apps.calls.executor.wire import Wire
from apps.catalog import adapters as servers
from apps.catalog.adapters import sdk
from apps.kernel import schemas
from apps.kernel.errors import TowerError

if TYPE_CHECKING:
    from mcp import Client

logger = logging.getLogger(__name__)
GREET_S = 20.0  # the SDK asks which revision is spoken first, and may wait ten seconds for that
LIST_S = 2.0  # a call's answer waits so long for the list of what answers should look like
PAGES = 50
GOODBYE_S = 5.0


@dataclass(eq=False)
class Connection:
    """A client that is connected, and the tools of its server as far as they are known."""

    client: Client
    wire: Wire
    over: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0
    is_retired: bool = False
    _listing: asyncio.Task[dict[str, Any]] | None = None
    _is_listing_awaited: bool = True

    def list_tools(self) -> None:
        """Ask for what the tools' answers should look like, beside the first calls."""
        self._listing = asyncio.create_task(self._list())

    def close(self) -> None:
        if self._listing is not None:
            self._listing.cancel()

    def retire(self) -> None:
        """Use it no more; it is closed once those who use it have finished."""
        self.is_retired = True
        self.leave(0)

    def leave(self, count: int = 1) -> None:
        self.users -= count
        if self.is_retired and self.users <= 0:
            self.over.set()

    async def mismatch(self, tool: str, result: CallResult) -> str:
        """What is wrong with an answer by the server's own output schema; empty when nothing is, or
        the server doesn't say soon how its answers look."""
        listing = self._listing
        if listing is None:
            return ""
        if not listing.done() and self._is_listing_awaited:
            await asyncio.wait({listing}, timeout=LIST_S)
            self._is_listing_awaited = False  # one that is slow holds nobody up again
        is_known = listing.done() and not listing.cancelled()
        schema = listing.result().get(tool) if is_known else None
        return _misfit(schema, result.data) if schema is not None else ""

    async def _list(self) -> dict[str, Any]:
        """The output schemas that the server states; none where it can't be asked."""
        found: dict[str, Any] = {}
        cursor: str | None = None
        try:
            for _ in range(PAGES):
                page = await self.client.list_tools(cursor=cursor)
                found |= {t.name: t.output_schema for t in page.tools if t.output_schema}
                cursor = page.next_cursor
                if not cursor:
                    break
        except Exception:
            logger.debug("the tools of a server can't be listed", exc_info=True)
        return found


def _misfit(schema: Any, data: Any) -> str:
    made = schemas.compiled(schema)
    if made.problems:  # a schema that can't be used says nothing about an answer
        return ""
    if data is None:
        return "The answer lacks the structured value that the tool's output schema promises."
    said = made.misfit(data)
    return f"The answer does not fit the tool's output schema: {said}"[:500] if said else ""


class Connections:
    """The connections of one drain, made when they are first needed."""

    def __init__(self) -> None:
        self._keepers: dict[asyncio.Task[None], asyncio.Future[Connection]] = {}
        self._ready: dict[str, asyncio.Future[Connection]] = {}

    async def close(self) -> None:
        """Say goodbye to all servers, and wait a little for that."""
        for task, ready in self._keepers.items():
            if ready.done() and not ready.cancelled() and not ready.exception():
                ready.result().over.set()
            else:
                task.cancel()
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=GOODBYE_S)
            for task in late:
                task.cancel()

    async def of(self, server: str) -> Connection:
        """The connection to a server. Raises ``ConnectingError``, or ``UnavailableError`` where no
        address is known."""
        ready = self._ready.get(server)
        if ready is not None and ready.done() and _is_sound(ready) and _has_moved(server, ready):
            self.drop(server, ready.result())  # calls that are on their way end there
        ready = self._ready.get(server)
        if ready is None or (ready.done() and not _is_sound(ready)):
            ready = self._ready[server] = asyncio.get_running_loop().create_future()
            # In a context of its own: this one may be that of a call.
            task = asyncio.create_task(self._keep(server, ready), context=contextvars.Context())
            self._keepers[task] = ready
            task.add_done_callback(self._keepers.pop)
        return await asyncio.shield(ready)

    def drop(self, server: str, connection: Connection) -> None:
        """Make a new connection for the next call, unless somebody has already."""
        connection.retire()
        ready = self._ready.get(server)
        if ready is not None and ready.done() and not _is_sound(ready):
            del self._ready[server]

    async def _keep(self, server: str, ready: asyncio.Future[Connection]) -> None:
        last, connection = Trace(), None
        try:
            found = servers.resolve(server)
            wire = Wire(found)
            last = wire.last
            async with servers.http_client(found, wire, timeout_s=None) as http:
                client = sdk.client(found.url, http)
                async with asyncio.timeout(GREET_S) as patience:
                    await client.__aenter__()
                    patience.reschedule(None)
                try:
                    connection = Connection(client, wire)
                    connection.list_tools()
                    ready.set_result(connection)
                    await connection.over.wait()
                finally:
                    if connection is not None:
                        connection.close()
                    await client.__aexit__(None, None, None)
        except Exception as error:
            if not ready.done():
                ready.set_exception(_refused(last, error))
                ready.exception()  # told to whoever waits; not an unretrieved one
            else:
                logger.warning("a tool client broke down", exc_info=True)
        finally:
            if not ready.done():
                ready.cancel()
            if connection is not None:
                self.drop(server, connection)


def _is_sound(ready: asyncio.Future[Connection]) -> bool:
    return not ready.cancelled() and not ready.exception() and not ready.result().is_retired


def _has_moved(server: str, ready: asyncio.Future[Connection]) -> bool:
    """Whether calls go elsewhere now: approvals are bound to where."""
    try:
        return servers.look_up(server) != ready.result().wire.address
    except TowerError:  # nobody says where any more, or what they say is wrong
        return True


def _refused(trace: Trace, error: Exception) -> Exception:
    if isinstance(error, TowerError):  # its words say what to set
        return error
    return ConnectingError(trace, words_of(error))
