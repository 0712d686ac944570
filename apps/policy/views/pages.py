"""Pages that show which rules are in force, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.kernel.errors import NotFoundError
from apps.kernel.textdiff import side_by_side
from apps.policy import selectors, services
from apps.policy.domain.highlight import pieces
from apps.policy.models import PolicySet

HITS_DAYS = 7


@dataclass(frozen=True, slots=True)
class ShownRule:
    row: services.RuleRow
    pieces: list[tuple[str, str]]

    @property
    def hits(self) -> int:
        return (
            self.row.hold + self.row.deny if self.row.rule.effect == "forbid" else (self.row.permit)
        )


def get_set(slug: str) -> PolicySet:
    found = selectors.policy_set(slug)
    if found is None:
        raise NotFoundError(f"There is no policy set “{slug}”.", policy=slug)
    return found


def _since() -> datetime:
    return timezone.now() - timedelta(days=HITS_DAYS)


@require_GET
@requires("policy.view")
def index(request: HttpRequest) -> HttpResponse:
    sets = selectors.policy_sets()
    current = selectors.published(s.slug for s in sets)
    rows = []
    for found in sets:
        version = current.get(found.slug)
        rules = services.rules(version, since=_since()) if version else []
        rows.append(
            {
                "set": found,
                "version": version,
                "draft": selectors.draft_of(found),
                "is_unread": version is not None and not rules,
                "holds": sum(r.rule.is_hold for r in rules),
                "hard": sum(r.rule.effect == "forbid" and not r.rule.is_hold for r in rules),
                "held": sum(r.hold for r in rules),
                "denied": sum(r.deny for r in rules),
            }
        )
    return render(request, "policy/index.html", {"rows": rows})


@require_GET
@requires("policy.view")
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_set(slug)
    version = selectors.current_version(slug)
    if version is None:  # its first draft is all there is
        return redirect("policy:draft", slug=slug)
    rules = [ShownRule(r, pieces(r.source)) for r in services.rules(version, since=_since())]
    context = {
        "set": found,
        "version": version,
        "rules": rules,
        "why_no_rules": "" if rules else services.why_no_rules(version),
        "exemptions": services.exemptions(version),
        "versions": selectors.versions(found)[:20],
        "draft": selectors.draft_of(found),
        "days": HITS_DAYS,
    }
    return render(request, "policy/detail.html", context)


@require_GET
@requires("policy.view")
def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    found = get_set(slug)
    by_number = {v.number: v for v in selectors.versions(found)}
    shown, older = by_number.get(number), by_number.get(number - 1)
    if shown is None:
        raise NotFoundError(f"“{slug}” has no v{number}.")
    context = {
        "set": found,
        "version": shown,
        "older": older,
        "changes": services.compare_texts(older.text, shown.text) if older else [],
        "rows": side_by_side(older.text, shown.text) if older else [],
        "draft": selectors.draft_of(found),
        "rules": [ShownRule(r, pieces(r.source)) for r in services.rules(shown)],
        "pieces": pieces(shown.text),
    }
    return render(request, "policy/version.html", context)


@require_POST
@requires("policy.edit")
def roll_back(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    note = request.POST.get("note", "")
    services.roll_back(get_set(slug), number=number, actor=request.user, note=note)
    return redirect("policy:draft", slug=slug)
