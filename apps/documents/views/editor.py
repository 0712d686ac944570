"""The requests of a draft's editor, the same for every kind of document.

Each works as a plain form post, and as JSON for the page's script; neither loses what was typed.
The views of an app name the permission and the subject, and hand the rest over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse

from apps.documents import selectors, services
from apps.documents.domain.kinds import DocumentKind
from apps.documents.domain.life import NEEDED_IF_WEAKER, DraftState, needed
from apps.documents.domain.merging import Merged
from apps.documents.views.typed import Typed, as_json, placed, typed_on, why_no_json, with_json
from apps.kernel import fields
from apps.kernel.documents import Problem, load
from apps.kernel.errors import ConflictError, InvalidInputError, TowerError
from apps.kernel.moments import moment
from apps.kernel.textdiff import side_by_side

STEPS = ("save", "check", "submit", "publish", "withdraw", "discard", "rebase", "download")
FINDINGS = "documents/_findings.html"
LINES = "documents/_lines.html"
TEXT_DIFF = "documents/_text_diff.html"


def by_slug(subject: Any) -> list[str]:
    """How most subjects are named in an address."""
    return [subject.slug]


@dataclass(frozen=True, slots=True)
class Editor:
    """The editor of one kind of document: its page, and where one goes from there."""

    kind: DocumentKind
    draft_url: str
    done_url: str
    index_url: str
    template: str
    args: Callable[[Any], Sequence[str]] = by_slug  # of a subject's addresses

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
        draft = selectors.draft_of(self.kind, subject)
        typed = typed or self._kept(subject, draft)
        findings = self._findings(subject, typed)
        context = {
            "subject": subject,
            "draft": draft,
            "text": typed.text,
            "revision": typed.revision,
            "findings": findings,
            "sections": self._shown(subject, typed),
            "typed": typed,
            "as_json": as_json(typed.text),
            "why_no_json": why_no_json(typed.text),
            "error": error,
            "theirs": self._theirs(error, typed),
            "urls": self._urls(subject),
            **self._standing(request, subject, draft, findings),
        }
        return render(request, self.template, context, status=status)

    def _kept(self, subject: Any, draft: Any) -> Typed:
        """What the page begins with."""
        if draft is None:
            published = self.kind.current(subject)
            return Typed(published.text if published else "", 0)
        kept = Typed(draft.text, draft.revision)
        return with_json(kept, draft.unread_json) if draft.unread_json else kept

    def _findings(self, subject: Any, typed: Typed) -> services.Findings:
        """What is to be said about what is typed, with the lines of the view that it is typed
        in."""
        if typed.problems:
            published = self.kind.current(subject)
            return services.Findings(problems=typed.problems, published=published)
        findings = services.look(self.kind, subject, typed.text)
        return replace(findings, problems=tuple(placed(findings.problems, typed)))

    def _weakens(self, subject: Any, draft: Any, findings: services.Findings) -> bool:
        """As it will be judged when it is published; of a draft that nobody has submitted, as far
        as it is known."""
        if draft is None or draft.state == DraftState.DRAFT or findings.has_errors:
            return bool(findings.weaker)
        return services.weakens(self.kind, subject, draft.text)

    def _standing(
        self, request: HttpRequest, subject: Any, draft: Any, findings: services.Findings
    ) -> dict[str, Any]:
        """What this person may do with the draft as it stands."""
        is_weaker = self._weakens(subject, draft, findings)
        user: Any = request.user
        may_edit = user.may(self.kind.permission)
        state = draft.state if draft else DraftState.DRAFT
        return {
            "kind_name": self.kind.name,
            "is_prose": self.kind.format == "text",
            "may_edit": may_edit,
            "read_only": not may_edit or state != DraftState.DRAFT,
            "mine": draft is not None and draft.author_id == user.pk,
            "gave": draft is not None and any(a["person"] == user.pk for a in draft.approvals),
            "behind": draft is not None and draft.base_number != subject.current_number,
            "needed": needed(is_weaker=is_weaker),
            "lacking": needed(is_weaker=is_weaker) - len(draft.approvals if draft else ()),
            "two": NEEDED_IF_WEAKER,
            "next_number": subject.current_number + 1,
        }

    def _shown(self, subject: Any, typed: Typed) -> list[fields.Section]:
        sections = self.kind.sections(subject, typed.text)
        if not sections:
            return []
        return fields.shown(sections, load(typed.text, exact=True).value, typed.errors)

    def _theirs(self, error: TowerError | None, typed: Typed | None) -> list[Any]:
        """Line by line, the text that somebody saved first against the one on the page."""
        saved = error.detail.get("text") if error else None
        return side_by_side(saved, typed.mine) if typed and saved is not None else []

    def _urls(self, subject: Any) -> dict[str, str]:
        steps = {n: self._to(f"{self.draft_url}_{n}", subject) for n in STEPS}
        pages = {
            "page": self._to(self.draft_url, subject),
            "subject": self._to(self.done_url, subject),
            "index": reverse(self.index_url),
        }
        return {**steps, **pages}

    def _to(self, name: str, subject: Any) -> str:
        return reverse(name, args=self.args(subject))

    def _typed(self, request: HttpRequest, subject: Any) -> Typed:
        return typed_on(self.kind, subject, request.POST, revision=revision_of(request))

    def _save(self, request: HttpRequest, subject: Any, typed: Typed) -> Any:
        return services.save_draft(
            self.kind,
            subject,
            text=typed.text,
            unread_json=typed.unread_json,
            revision=typed.revision,
            author=request.user,
        )

    def save(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Keep what is on the page as the draft, right or wrong."""
        typed = self._typed(request, subject)
        try:
            draft = self._save(request, subject, typed)
        except (ConflictError, InvalidInputError) as error:
            return self._refused(request, subject, error, typed)
        if wants_json(request):
            saved_at = draft.updated_at.isoformat()
            return JsonResponse(
                {"revision": draft.revision, "saved_at": saved_at, "text": draft.text}
            )
        if typed.errors:
            kept = replace(typed, revision=draft.revision)
            return self.show(request, subject, typed=kept, status=422)
        return redirect(self._to(self.draft_url, subject))

    def check(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """What is wrong with the text on the page and what it would change; nothing is stored."""
        typed = self._typed(request, subject)
        if not wants_json(request):
            typed = typed.shown_as(request.POST.get("show", ""))
            return self.show(request, subject, typed=typed)
        findings = self._findings(subject, typed)
        context = {"findings": findings, "subject": subject}
        return JsonResponse(
            {
                "text": typed.text,
                "json": as_json(typed.text) if typed.json is None else typed.json,
                "why_no_json": why_no_json(typed.text),
                "unread": [_place(p) for p in typed.problems],
                "lost": typed.lost,
                "fields": {f.name: f.value for s in self._shown(subject, typed) for f in s.fields},
                "field_errors": dict(typed.errors),
                "problems": [_place(p) for p in findings.problems],
                "html": render_to_string(FINDINGS, context, request),
                "lines": render_to_string(LINES, context, request),
            }
        )

    def submit(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Save what is on the page and put it up for review."""
        typed = self._typed(request, subject)
        note = request.POST.get("note", "")
        try:
            draft = self._save(request, subject, typed)
        except TowerError as error:
            return self._refused(request, subject, error, typed)
        typed = replace(typed, revision=draft.revision)
        if typed.errors:
            refused = InvalidInputError("A field can't be written into the text: see there.")
            return self._refused(request, subject, refused, typed)
        self._find_out(subject, draft.text)
        return self._acted(
            request,
            subject,
            lambda: services.submit_draft(
                self.kind, subject, revision=draft.revision, author=request.user, note=note
            ),
            typed=typed,
        )

    def _find_out(self, subject: Any, text: str) -> None:
        """What may take long is found out before the transaction that needs it."""
        if not any(p.is_error for p in self.kind.problems(subject, text)):
            self.kind.broken(subject, text)

    def publish(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Approve what was reviewed; with the last approval it is published, now or at a time."""
        note = request.POST.get("note", "")
        if (draft := selectors.draft_of(self.kind, subject)) is not None:
            self._find_out(subject, draft.text)

        def act() -> str:
            version = services.publish_draft(
                self.kind,
                subject,
                revision=revision_of(request),
                approver=request.user,
                note=note,
                at=time_of(request),
            )
            return self.done_url if version else self.draft_url

        return self._acted(request, subject, act)

    def withdraw(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Take it out of review."""
        return self._step(request, subject, services.withdraw)

    def rebase(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Go on from the version published meanwhile; ``take``: with what it changed."""
        if not request.POST.get("take"):
            return self._step(request, subject, services.rebase)

        def act() -> None:
            merged = services.take_over(
                self.kind, subject, revision=revision_of(request), actor=request.user
            )
            if merged.conflicts:
                messages.warning(request, both_changed(merged))

        return self._acted(request, subject, act)

    def discard(self, request: HttpRequest, subject: Any) -> HttpResponse:
        """Throw it away; what was never published is gone with it."""
        if subject.current_number == 0:
            return self._discard_all(request, subject)
        return self._step(request, subject, services.discard, done=self.done_url)

    def _discard_all(self, request: HttpRequest, subject: Any) -> HttpResponse:
        try:
            services.discard(self.kind, subject, revision=revision_of(request), actor=request.user)
        except TowerError as error:
            return self._refused(request, subject, error, None)
        return redirect(self.index_url)

    def _step(
        self, request: HttpRequest, subject: Any, command: Callable[..., Any], *, done: str = ""
    ) -> HttpResponse:
        def act() -> str:
            command(self.kind, subject, revision=revision_of(request), actor=request.user)
            return done or self.draft_url

        return self._acted(request, subject, act)

    def _acted(
        self,
        request: HttpRequest,
        subject: Any,
        act: Callable[[], object],
        *,
        typed: Typed | None = None,
    ) -> HttpResponse:
        """Do one step of the flow; what stands in its way is said above the text, which stays."""
        try:
            to = act()
        except TowerError as error:
            return self._refused(request, subject, error, typed)
        address = self._to(to if isinstance(to, str) else self.draft_url, subject)
        return JsonResponse({"to": address}) if wants_json(request) else redirect(address)

    def _refused(
        self, request: HttpRequest, subject: Any, error: TowerError, typed: Typed | None
    ) -> HttpResponse:
        if wants_json(request):
            return JsonResponse(_error(request, error, typed), status=error.status)
        return self.show(request, subject, typed=typed, error=error, status=error.status)

    def roll_back(self, request: HttpRequest, subject: Any, number: int) -> HttpResponse:
        """Put an older version's text up for review as the next one."""
        note = request.POST.get("note", "")
        services.roll_back(self.kind, subject, number=number, actor=request.user, note=note)
        return redirect(self._to(self.draft_url, subject))

    def download(
        self, request: HttpRequest, subject: Any, number: int | None = None
    ) -> HttpResponse:
        """The draft, a version, or without either the version in force: YAML, or the same as
        JSON."""
        if number is None:
            found = selectors.draft_of(self.kind, subject) or self.kind.current(subject)
        else:
            found = self.kind.version(subject, number)
        slug = subject.slug.replace("/", "-")
        if self.kind.format == "text":
            return file_of(slug, found, number, ("text/markdown", "md"))
        return file_of(slug, found, number, JSON if request.GET.get("as") == "json" else YAML)


YAML, JSON = ("application/yaml", "yaml"), ("application/json", "json")


def file_of(
    slug: str, found: Any | None, number: int | None, form: tuple[str, str]
) -> HttpResponse:
    """A text as a file; 404 where there is none, 422 for JSON of what can't be read."""
    is_json = form == JSON
    if found is None:
        return HttpResponse("There is no such text.", status=404, content_type="text/plain")
    body = as_json(found.text) if is_json else found.text
    if is_json and not body:
        words = f"It has no JSON: {why_no_json(found.text)} Download it as YAML."
        return HttpResponse(words, status=422, content_type="text/plain; charset=utf-8")
    kind, ending = form
    response = HttpResponse(body, content_type=f"{kind}; charset=utf-8")
    name = f"{slug}-v{number}" if number else f"{slug}-draft" if hasattr(found, "state") else slug
    response["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    return response


def both_changed(merged: Merged) -> str:
    """Where two changed the same lines."""
    lines = ", ".join(str(line) for line, _ in merged.conflicts[:10])
    noun = "line" if len(merged.conflicts) == 1 else "lines"
    return f"Both changed the text at {noun} {lines}: yours stays there. See the difference below."


def revision_of(request: HttpRequest) -> int:
    """The revision the person saw, or the one they chose to save over; 0 for none."""
    value = request.POST.get("over") or request.POST.get("revision", "")
    return int(value) if value.isdecimal() and len(value) < 9 else 0


def time_of(request: HttpRequest) -> datetime | None:
    """When it is to be published; None for now. Raises InvalidInputError."""
    written = request.POST.get("at", "").strip()
    at = moment(written) if written else None
    if written and at is None:
        raise InvalidInputError("That is no time: write it as 2026-03-01T09:00.", field="at")
    return at


def wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _place(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line,
        "column": problem.column,
        "text": problem.message,
        "fix": problem.fix,
        "severity": problem.severity,
    }


def _error(request: HttpRequest, error: TowerError, typed: Typed | None) -> dict[str, Any]:
    """What stood in the way, for the page's script: both texts line by line in a conflict."""
    detail = error.detail
    when, theirs = detail.get("when"), detail.get("text")
    rows = side_by_side(theirs, typed.mine) if theirs is not None and typed else []
    context = {"rows": rows, "left": "Theirs", "right": "Yours"}
    problems = detail.get("problems", ())
    return {
        "message": str(error),
        "code": error.code,
        "who": detail.get("who", ""),
        "when": when.isoformat() if when else "",
        "revision": detail.get("revision", 0),
        "saved": typed.revision if typed else 0,
        "problems": [_place(p) for p in (placed(problems, typed) if typed else problems)],
        "theirs": render_to_string(TEXT_DIFF, context, request) if rows else "",
    }
