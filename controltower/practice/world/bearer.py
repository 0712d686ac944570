"""Who may call a company's tools: whoever brings the secret that the service was started with."""

from __future__ import annotations

import hmac

from controltower.practice.world.fault_middleware import App, Receive, Scope, Send

OPEN = "/healthz"
REFUSAL = (
    b'{"error": "invalid_token", "error_description": "This tool server needs the token'
    b' of its tower: Authorization: Bearer ..."}'
)


class BearerMiddleware:
    """Answers 401 before anything of a request is read, unless it brings the token."""

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._wanted = b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of somebody who may."""
        if scope["type"] != "http" or scope["path"] == OPEN or self._is_welcome(scope):
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(REFUSAL)).encode()),
            (b"www-authenticate", b'Bearer error="invalid_token"'),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": REFUSAL})

    def _is_welcome(self, scope: Scope) -> bool:
        brought = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(brought) == 1 and hmac.compare_digest(brought[0], self._wanted)
