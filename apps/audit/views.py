"""Between a request and its page: what happens meanwhile is said to be on it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, HttpResponse

from apps.audit.domain.caller import calling

HEADER = "X-Request-ID"


class CallerMiddleware:
    """Names each request, tells the name in the answer's ``X-Request-ID``, and lets events recorded
    meanwhile bear it with the address that it came from. The name is the tower's own: one that a
    caller brings could be somebody else's. Which proxies may say another address is the server's
    business, before anything of ours (``FORWARDED_ALLOW_IPS``)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = uuid4().hex
        with calling(request.META.get("REMOTE_ADDR") or "", name):
            response = self.get_response(request)
        response.headers[HEADER] = name
        return response
