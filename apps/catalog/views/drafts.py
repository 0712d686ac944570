"""The editor of contracts: who may do what; how is in ``documents.views.editor``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires, told_by_itself
from apps.catalog.selectors import get_job as get
from apps.catalog.services import CONTRACTS
from apps.documents.views.editor import Editor

editor = Editor(CONTRACTS, "catalog:draft", "catalog:job", "catalog:index", "catalog/draft.html")


@require_GET
@requires("catalog.view")
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.show(request, get(slug))


@require_GET
@requires("catalog.view")
def download(request: HttpRequest, slug: str, number: int | None = None) -> HttpResponse:
    return editor.download(request, get(slug), number)


@require_POST
@requires("catalog.edit")
@told_by_itself
def save(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.save(request, get(slug))


@require_POST
@requires("catalog.edit")
@told_by_itself
def check(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.check(request, get(slug))


@require_POST
@requires("catalog.edit")
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.submit(request, get(slug))


@require_POST
@requires("catalog.edit")
def publish(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.publish(request, get(slug))


@require_POST
@requires("catalog.edit")
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.withdraw(request, get(slug))


@require_POST
@requires("catalog.edit")
def discard(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.discard(request, get(slug))


@require_POST
@requires("catalog.edit")
def rebase(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.rebase(request, get(slug))
