"""The addresses of a kind's editor: who may do what; how is in ``editor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.documents.views.editor import Editor

POSTED = ("save", "check", "submit", "publish", "withdraw", "discard", "rebase")

Get = Callable[..., Any]


def routes(
    prefix: str, stem: str, editor: Editor, get: Get, *, view: str, edit: str
) -> list[URLPattern]:
    """Each step of an editor under ``prefix``, which names the subject: ``get`` is told what it
    says. ``stem`` begins the addresses' names. ``view`` and ``edit`` are the permissions of those
    who look and of those who act."""
    draft, name = f"{prefix}draft/", f"{stem}draft"
    looking = [
        path(draft, _looked(editor.show, get, view), name=name),
        path(f"{draft}download/", _looked(editor.download, get, view), name=f"{name}_download"),
        path(
            f"{prefix}versions/<int:number>/download/",
            _downloaded(editor, get, view),
            name=f"{stem}download",
        ),
    ]
    rolling = path(
        f"{prefix}versions/<int:number>/roll-back/",
        _rolled_back(editor, get, edit),
        name=f"{stem}roll_back",
    )
    acting = [
        path(f"{draft}{step}/", _acted(getattr(editor, step), get, edit), name=f"{name}_{step}")
        for step in POSTED
    ]
    return [*looking, rolling, *acting]


def _looked(shown: Callable[..., HttpResponse], get: Get, permission: str) -> Get:
    @require_GET
    @requires(permission)
    def look(request: HttpRequest, **which: Any) -> HttpResponse:
        return shown(request, get(**which))

    return look


def _downloaded(editor: Editor, get: Get, permission: str) -> Get:
    @require_GET
    @requires(permission)
    def download(request: HttpRequest, number: int, **which: Any) -> HttpResponse:
        return editor.download(request, get(**which), number)

    return download


def _rolled_back(editor: Editor, get: Get, permission: str) -> Get:
    @require_POST
    @requires(permission)
    def roll_back(request: HttpRequest, number: int, **which: Any) -> HttpResponse:
        return editor.roll_back(request, get(**which), number)

    return roll_back


def _acted(step: Callable[..., HttpResponse], get: Get, permission: str) -> Get:
    @require_POST
    @requires(permission)
    def act(request: HttpRequest, **which: Any) -> HttpResponse:
        return step(request, get(**which))

    return act
