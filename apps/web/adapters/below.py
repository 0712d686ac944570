"""The whole site below a path of its host (``TOWER_PREFIX``), whatever the proxy before it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[Any]
]


class Below:
    """Takes a request with the prefix as it is, and gives it to one whose proxy has stripped it, so
    that all that follows sees the address that the browser sees."""

    def __init__(self, app: App, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request, HTTP or WebSocket."""
        if scope["type"] in {"http", "websocket"}:
            scope = {**scope, "path": self._full(scope["path"]), "root_path": self._prefix}
            if (raw := scope.get("raw_path")) is not None:
                scope["raw_path"] = self._full(raw.decode("latin-1")).encode("latin-1")
        await self._app(scope, receive, send)

    def _full(self, path: str) -> str:
        if path == self._prefix:
            return f"{path}/"
        return path if path.startswith(f"{self._prefix}/") else f"{self._prefix}{path}"
