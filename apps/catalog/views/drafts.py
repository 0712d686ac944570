"""The editor of contracts. Each request works as a plain form post, and as JSON for the page's
script; neither ever loses what was typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.catalog import selectors, services
from apps.catalog.forms import contract_sections
from apps.catalog.models import Job
from apps.kernel import fields
from apps.kernel.documents import load
from apps.kernel.errors import ConflictError, TowerError


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has on the page, the form's changes written into the text."""

    text: str
    revision: int
    errors: dict[str, str]


def _sections(job: Job, text: str) -> list[fields.Section]:
    known = services.known_for(job)
    return contract_sections(
        load(text).value, agents=known.agents or frozenset(), policies=known.policies or frozenset()
    )


def _typed(request: HttpRequest, job: Job) -> Typed:
    text = request.POST.get("text", "").replace("\r\n", "\n")
    text, errors = fields.take(_sections(job, text), text, request.POST)
    return Typed(text, _revision(request), errors)


def _revision(request: HttpRequest) -> int:
    value = request.POST.get("over") or request.POST.get("revision", "")
    return int(value) if value.isdecimal() and len(value) < 9 else 0


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _editor(
    request: HttpRequest,
    job: Job,
    *,
    text: str,
    revision: int | None = None,
    errors: dict[str, str] | None = None,
    error: TowerError | None = None,
    status: int = 200,
) -> HttpResponse:
    draft = selectors.draft_of(job)
    seen = revision if revision is not None else (draft.revision if draft else 0)
    context = {
        "job": job,
        "draft": draft,
        "text": text,
        "revision": seen,
        "findings": services.check_text(job, text),
        "sections": fields.shown(_sections(job, text), load(text).value, errors),
        "error": error,
        "read_only": _read_only(request, draft),
        "mine": draft is not None and draft.author_id == request.user.pk,
        "behind": draft is not None and draft.base_number != job.current_number,
        "urls": _urls(job),
        "next_number": job.current_number + 1,
    }
    return render(request, "catalog/draft.html", context, status=status)


def _read_only(request: HttpRequest, draft: Any) -> bool:
    user: Any = request.user
    return not user.may("catalog.edit") or (draft is not None and draft.state == "in_review")


def _urls(job: Job) -> dict[str, str]:
    names = ("save", "check", "submit", "publish", "withdraw", "discard", "rebase")
    found = {n: reverse(f"catalog:draft_{n}", args=[job.slug]) for n in names}
    return {**found, "page": reverse("catalog:draft", args=[job.slug])}


@require_GET
@requires("catalog.view")
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    job = selectors.get_job(slug)
    found = selectors.draft_of(job)
    published = selectors.current_version(job)
    text = found.text if found else published.text if published else ""
    return _editor(request, job, text=text)


@require_POST
@requires("catalog.edit")
def save(request: HttpRequest, slug: str) -> HttpResponse:
    job = selectors.get_job(slug)
    typed = _typed(request, job)
    try:
        found = services.save_draft(
            job, text=typed.text, revision=typed.revision, author=request.user
        )
    except ConflictError as error:
        if _wants_json(request):
            return _conflict_json(error)
        return _editor(
            request, job, text=typed.text, revision=typed.revision, error=error, status=409
        )
    if _wants_json(request):
        saved_at = found.updated_at.isoformat()
        return JsonResponse({"revision": found.revision, "saved_at": saved_at, "text": found.text})
    if typed.errors:
        return _editor(request, job, text=typed.text, errors=typed.errors, status=422)
    return redirect("catalog:draft", slug=slug)


def _conflict_json(error: ConflictError) -> JsonResponse:
    when = error.detail.get("when")
    body = {
        "message": str(error),
        "who": error.detail.get("who", ""),
        "when": when.isoformat() if when else "",
        "revision": error.detail.get("revision", 0),
    }
    return JsonResponse(body, status=409)


@require_POST
@requires("catalog.edit")
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """What is wrong with the text on the page and what it would change; nothing is stored."""
    job = selectors.get_job(slug)
    typed = _typed(request, job)
    if not _wants_json(request):
        return _editor(request, job, text=typed.text, revision=typed.revision, errors=typed.errors)
    findings = services.check_text(job, typed.text)
    shown = fields.shown(_sections(job, typed.text), load(typed.text).value)
    context = {"findings": findings, "job": job, "now": timezone.now()}
    return JsonResponse(
        {
            "text": typed.text,
            "fields": {f.name: f.value for s in shown for f in s.fields},
            "field_errors": typed.errors,
            "problems": [
                {"line": p.line, "column": p.column, "text": p.message, "severity": p.severity}
                for p in findings.problems
            ],
            "html": render_to_string("catalog/_findings.html", context, request),
        }
    )


def _acted(request: HttpRequest, job: Job, act: Any, *, done: str) -> HttpResponse:
    """Do one step of the flow; what stands in its way is said above the text, which stays."""
    try:
        act()
    except TowerError as error:
        found = selectors.draft_of(job)
        text = request.POST.get("text") or (found.text if found else "")
        return _editor(request, job, text=text, error=error, status=error.status)
    return redirect(done, slug=job.slug)


@require_POST
@requires("catalog.edit")
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    """Save what is on the page and put it up for review."""
    job = selectors.get_job(slug)
    typed = _typed(request, job)

    def act() -> None:
        found = services.save_draft(
            job, text=typed.text, revision=typed.revision, author=request.user
        )
        note = request.POST.get("note", "")
        services.submit_draft(job, revision=found.revision, author=request.user, note=note)

    return _acted(request, job, act, done="catalog:draft")


@require_POST
@requires("catalog.edit")
def publish(request: HttpRequest, slug: str) -> HttpResponse:
    job = selectors.get_job(slug)

    def act() -> None:
        services.publish_draft(
            job,
            revision=_revision(request),
            approver=request.user,
            note=request.POST.get("note", ""),
        )

    return _acted(request, job, act, done="catalog:job")


@require_POST
@requires("catalog.edit")
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    job = selectors.get_job(slug)
    revision = _revision(request)
    return _acted(
        request,
        job,
        lambda: services.withdraw(job, revision=revision, actor=request.user),
        done="catalog:draft",
    )


@require_POST
@requires("catalog.edit")
def discard(request: HttpRequest, slug: str) -> HttpResponse:
    job = selectors.get_job(slug)
    revision = _revision(request)
    return _acted(
        request,
        job,
        lambda: services.discard(job, revision=revision, actor=request.user),
        done="catalog:job",
    )


@require_POST
@requires("catalog.edit")
def rebase(request: HttpRequest, slug: str) -> HttpResponse:
    job = selectors.get_job(slug)
    revision = _revision(request)
    return _acted(
        request,
        job,
        lambda: services.rebase(job, revision=revision, actor=request.user),
        done="catalog:draft",
    )
