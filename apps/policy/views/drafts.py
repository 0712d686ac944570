"""The editor of policies: who may do what; how is in ``kernel.editor``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.kernel.documents import load
from apps.kernel.editor import Editor
from apps.kernel.fields import Section
from apps.policy import selectors, services
from apps.policy.forms import policy_sections
from apps.policy.models import PolicySet
from apps.policy.views.pages import get_set


def _sections(policy_set: PolicySet, text: str) -> list[Section]:
    return policy_sections(load(text).value)


def _published(policy_set: PolicySet) -> str:
    version = selectors.current_version(policy_set.slug)
    return version.text if version else ""


editor = Editor(
    draft_url="policy:draft",
    done_url="policy:detail",
    template="policy/draft.html",
    permission="policy.edit",
    services=services,
    draft_of=selectors.draft_of,
    published_text=_published,
    findings=services.review_text,
    sections=_sections,
)


@require_GET
@requires("policy.view")
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.show(request, get_set(slug))


@require_POST
@requires("policy.edit")
def save(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.save(request, get_set(slug))


@require_POST
@requires("policy.edit")
def check(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.check(request, get_set(slug))


@require_POST
@requires("policy.edit")
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.submit(request, get_set(slug))


@require_POST
@requires("policy.edit")
def publish(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.publish(request, get_set(slug))


@require_POST
@requires("policy.edit")
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.step(request, get_set(slug), "withdraw")


@require_POST
@requires("policy.edit")
def discard(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.step(request, get_set(slug), "discard")


@require_POST
@requires("policy.edit")
def rebase(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.step(request, get_set(slug), "rebase")
