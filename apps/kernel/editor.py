"""The requests of a draft's editor, the same for every kind of document that has drafts.

Each works as a plain form post, and as JSON for the page's script; neither loses what was typed.
The views of an app name the permission and the subject, and hand the rest over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse

from apps.kernel import fields
from apps.kernel.documents import load
from apps.kernel.errors import ConflictError, TowerError
from apps.kernel.models import Draft

STEPS = ("save", "check", "submit", "publish", "withdraw", "discard", "rebase")
FINDINGS = "catalog/_findings.html"
TEXT_DIFF = "catalog/_lines.html"


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has on the page, the form's changes written into the text."""

    text: str
    revision: int
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Editor:
    """The editor of one kind of document. ``services`` has the commands (save_draft, submit_draft,
    publish_draft, withdraw, discard, rebase); a subject has ``slug`` and ``current_number``."""

    draft_url: str
    done_url: str
    template: str
    permission: str
    services: Any
    draft_of: Callable[[Any], Any]
    published_text: Callable[[Any], str]
    findings: Callable[[Any, str], Any]
    sections: Callable[[Any, str], Sequence[fields.Section]]

    def show(
        self,
        request: HttpRequest,
        subject: Any,
        *,
        typed: Typed | None = None,
        error: TowerError | None = None,
        status: int = 200,
    ) -> HttpResponse:
        """The page: with what was typed, else the draft, else the published text."""
        draft = self.draft_of(subject)
        if typed is None:
            text = draft.text if draft else self.published_text(subject)
            typed = Typed(text, draft.revision if draft else 0, {})
        user: Any = request.user
        may_edit = user.may(self.permission)
        in_review = draft is not None and draft.state == Draft.State.IN_REVIEW
        sections = self.sections(subject, typed.text)
        context = {
            "subject": subject,
            "draft": draft,
            "text": typed.text,
            "revision": typed.revision,
            "findings": self.findings(subject, typed.text),
            "sections": fields.shown(sections, load(typed.text).value, typed.errors),
            "error": error,
            "may_edit": may_edit,
            "read_only": not may_edit or in_review,
            "mine": draft is not None and draft.author_id == user.pk,
            "behind": draft is not None and draft.base_number != subject.current_number,
            "urls": self._urls(subject),
            "next_number": subject.current_number + 1,
        }
        return render(request, self.template, context, status=status)

    def _urls(self, subject: Any) -> dict[str, str]:
        steps = {n: reverse(f"{self.draft_url}_{n}", args=[subject.slug]) for n in STEPS}
        return {**steps, "page": reverse(self.draft_url, args=[subject.slug])}

    def _typed(self, request: HttpRequest, subject: Any) -> Typed:
        text = request.POST.get("text", "").replace("\r\n", "\n")
        text, errors = fields.take(self.sections(subject, text), text, request.POST)
        return Typed(text, revision_of(request), errors)

    def save(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Keep what is on the page as the draft, right or wrong."""
        typed = self._typed(request, subject)
        try:
            draft = self.services.save_draft(
                subject, text=typed.text, revision=typed.revision, author=request.user
            )
        except ConflictError as error:
            if wants_json(request):
                return _conflict(error)
            return self.show(request, subject, typed=typed, error=error, status=409)
        if wants_json(request):
            return JsonResponse(
                {
                    "revision": draft.revision,
                    "saved_at": draft.updated_at.isoformat(),
                    "text": draft.text,
                }
            )
        if typed.errors:
            kept = Typed(typed.text, draft.revision, typed.errors)
            return self.show(request, subject, typed=kept, status=422)
        return redirect(self.draft_url, slug=subject.slug)

    def check(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """What is wrong with the text on the page and what it would change; nothing is stored."""
        typed = self._typed(request, subject)
        if not wants_json(request):
            return self.show(request, subject, typed=typed)
        findings = self.findings(subject, typed.text)
        shown = fields.shown(self.sections(subject, typed.text), load(typed.text).value)
        context = {"findings": findings, "subject": subject}
        return JsonResponse(
            {
                "text": typed.text,
                "fields": {f.name: f.value for s in shown for f in s.fields},
                "field_errors": dict(typed.errors),
                "problems": [
                    {"line": p.line, "column": p.column, "text": p.message, "severity": p.severity}
                    for p in findings.problems
                ],
                "html": render_to_string(FINDINGS, context, request),
                "lines": render_to_string(TEXT_DIFF, context, request),
            }
        )

    def submit(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Save what is on the page and put it up for review."""
        typed = self._typed(request, subject)
        note = request.POST.get("note", "")

        def act() -> None:
            draft = self.services.save_draft(
                subject, text=typed.text, revision=typed.revision, author=request.user
            )
            self.services.submit_draft(
                subject, revision=draft.revision, author=request.user, note=note
            )

        return self._acted(request, subject, act, typed=typed)

    def publish(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Publish what was reviewed: the second admin's step."""
        note = request.POST.get("note", "")
        return self._acted(
            request,
            subject,
            lambda: self.services.publish_draft(
                subject, revision=revision_of(request), approver=request.user, note=note
            ),
            done=self.done_url,
        )

    def step(self, request: HttpRequest, subject: Any, name: str) -> HttpResponse:
        """Withdraw, rebase or discard."""
        act = getattr(self.services, name)
        return self._acted(
            request,
            subject,
            lambda: act(subject, revision=revision_of(request), actor=request.user),
            done=self.done_url if name == "discard" else "",
        )

    def _acted(
        self,
        request: HttpRequest,
        subject: Any,
        act: Callable[[], object],
        *,
        done: str = "",
        typed: Typed | None = None,
    ) -> HttpResponse:
        """Do one step of the flow; what stands in its way is said above the text, which stays."""
        try:
            act()
        except ConflictError as error:
            return self.show(request, subject, typed=typed, error=error, status=error.status)
        except TowerError as error:
            # The text was saved before the step was refused, so the page shows the draft.
            return self.show(request, subject, error=error, status=error.status)
        return redirect(done or self.draft_url, slug=subject.slug)


def revision_of(request: HttpRequest) -> int:
    """The revision the person saw, or the one they chose to save over; 0 for none."""
    value = request.POST.get("over") or request.POST.get("revision", "")
    return int(value) if value.isdecimal() and len(value) < 9 else 0


def wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _conflict(error: ConflictError) -> JsonResponse:
    when = error.detail.get("when")
    body = {
        "message": str(error),
        "who": error.detail.get("who", ""),
        "when": when.isoformat() if when else "",
        "revision": error.detail.get("revision", 0),
    }
    return JsonResponse(body, status=409)
