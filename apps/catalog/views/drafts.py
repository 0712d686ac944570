"""The editor of contracts: who may do what; how is in ``kernel.editor``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.catalog import selectors, services
from apps.catalog.forms import contract_sections
from apps.catalog.models import Job
from apps.kernel.documents import load
from apps.kernel.editor import Editor
from apps.kernel.fields import Section


def _sections(job: Job, text: str) -> list[Section]:
    known = services.known_for(job)
    return contract_sections(
        load(text).value, agents=known.agents or frozenset(), policies=known.policies or frozenset()
    )


def _published(job: Job) -> str:
    version = selectors.current_version(job)
    return version.text if version else ""


editor = Editor(
    draft_url="catalog:draft",
    done_url="catalog:job",
    template="catalog/draft.html",
    permission="catalog.edit",
    services=services,
    draft_of=selectors.draft_of,
    published_text=_published,
    findings=services.check_text,
    sections=_sections,
)


@require_GET
@requires("catalog.view")
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.show(request, selectors.get_job(slug))


@require_POST
@requires("catalog.edit")
def save(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.save(request, selectors.get_job(slug))


@require_POST
@requires("catalog.edit")
def check(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.check(request, selectors.get_job(slug))


@require_POST
@requires("catalog.edit")
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.submit(request, selectors.get_job(slug))


@require_POST
@requires("catalog.edit")
def publish(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.publish(request, selectors.get_job(slug))


@require_POST
@requires("catalog.edit")
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.step(request, selectors.get_job(slug), "withdraw")


@require_POST
@requires("catalog.edit")
def discard(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.step(request, selectors.get_job(slug), "discard")


@require_POST
@requires("catalog.edit")
def rebase(request: HttpRequest, slug: str) -> HttpResponse:
    return editor.step(request, selectors.get_job(slug), "rebase")
