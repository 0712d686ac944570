"""No request is read beyond what any page or operation takes: Django would put all of it on the
disk first."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from apps.web.adapters.below import App, Scope

SAID = b"The request is too large. Send 1 MB at most.\n"
TOO_LARGE = [(b"content-type", b"text/plain"), (b"connection", b"close")]


class Bounded:
    """Answers 413 once more than ``most`` bytes of a body have come, whatever its headers said, and
    to a length that says so at once. The application hears that the client left."""

    def __init__(self, app: App, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request; what isn't HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _length(scope) > self._most:
            await _refuse(send)
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Any, send: Any) -> None:
        came, is_begun, is_refused = 0, False, False

        async def take() -> MutableMapping[str, Any]:
            nonlocal came, is_refused
            message: MutableMapping[str, Any] = await receive()
            came += len(message.get("body", b""))
            if came <= self._most:
                return message
            if not is_begun and not is_refused:
                await _refuse(send)
            is_refused = True
            return {"type": "http.disconnect"}

        async def give(message: MutableMapping[str, Any]) -> None:
            nonlocal is_begun
            is_begun = True
            if not is_refused:
                await send(message)

        await self._app(scope, take, give)


def _length(scope: Scope) -> int:
    """As the request states it; 0 where it states none that could be."""
    said = next((v for k, v in scope["headers"] if k.lower() == b"content-length"), b"")
    return int(said) if said.isdigit() and len(said) < 20 else 0


async def _refuse(send: Any) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": TOO_LARGE})
    await send({"type": "http.response.body", "body": SAID})
