"""The editor of policies: who may do what; how is in ``documents.views.editor``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires, told_by_itself
from apps.documents.views.editor import Editor
from apps.policy.services import POLICIES
from apps.policy.views.pages import get_set as get

editor = Editor(POLICIES, "policy:draft", "policy:detail", "policy:index", "policy/draft.html")


@require_GET
@requires("policy.view")
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.show(request, get(slug))


@require_GET
@requires("policy.view")
def download(request: HttpRequest, slug: str, number: int | None = None) -> HttpResponse:
    return editor.download(request, get(slug), number)


@require_POST
@requires("policy.edit")
@told_by_itself
def save(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.save(request, get(slug))


@require_POST
@requires("policy.edit")
@told_by_itself
def check(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.check(request, get(slug))


@require_POST
@requires("policy.edit")
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.submit(request, get(slug))


@require_POST
@requires("policy.edit")
def publish(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.publish(request, get(slug))


@require_POST
@requires("policy.edit")
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.withdraw(request, get(slug))


@require_POST
@requires("policy.edit")
def discard(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.discard(request, get(slug))


@require_POST
@requires("policy.edit")
def rebase(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.rebase(request, get(slug))
