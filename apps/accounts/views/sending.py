"""Whoever sends too much is told when to go on, and loses nothing of what they typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.accounts.authn import UNSAFE, in_place, kept_of, page_of, say_in_place
from apps.accounts.domain.keeping import KEPT
from apps.accounts.services.sending import spend
from apps.kernel.errors import TowerError


class SendingMiddleware:
    """Takes what each form costs from the bucket of the person who sent it; 429 where there is too
    little in it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: Any
    ) -> HttpResponse | None:
        user: Any = request.user
        if request.method not in UNSAFE or not user.is_authenticated:
            return None
        wait_s = spend(user, getattr(view, "cost", 1.0))
        return _sent_too_much(request, wait_s) if wait_s else None


def _sent_too_much(request: HttpRequest, wait_s: int) -> HttpResponse:
    """Nothing is done, what was typed is kept, and it is said when to go on."""
    seconds = f"{wait_s} second{'' if wait_s == 1 else 's'}"
    sentence = f"Not done: you sent too much within a minute. Go on in {seconds}."
    if in_place(request):
        response = say_in_place(request, f"{sentence} What you typed is kept.", status=429)
    else:
        detail = {"hint": "Go back in your browser for what you typed."}
        if kept := kept_of(request):
            request.session[KEPT] = kept.to_json()
            detail = {"hint": "What you typed is kept: it is in its form when you go back."}
        error = TowerError(sentence, code="too_many")
        context = {"error": error, "detail": detail, "page": page_of(request)}
        response = render(request, "error.html", context, status=429)
    response.headers["Retry-After"] = str(wait_s)
    return response
