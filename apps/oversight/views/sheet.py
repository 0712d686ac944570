"""The people's queue: what waits, what exactly is asked, and the answer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from apps.accounts.authn import requires, told_by_itself
from apps.accounts.models import User
from apps.audit.services.reading import read
from apps.kernel import exactjson
from apps.kernel.errors import InvalidInputError, NotFoundError, TowerError
from apps.oversight import forms, selectors, services
from apps.oversight.domain import editing, ladder, reading, rules, showing, snoozing, sorting
from apps.oversight.models import Approval, Vote
from apps.oversight.registry import outcomes_of
from apps.oversight.selectors import away, delegating, edits, grants, storms, turns
from apps.oversight.selectors import together as tables
from apps.oversight.selectors.scopes import (
    is_called_about,
    may_decide,
)
from apps.oversight.selectors.snoozing import snoozed_until
from apps.oversight.views.passkey import shown_in, why_not_signed, with_signatures
from apps.oversight.views.scopes import away_of, bounds_of, marked, scopes_of_sheet
from apps.oversight.views.second_look import asked_before, looked_at
from apps.policy import selectors as policy
from apps.web.domain.words import RISKS

BEING_JUDGED = ("queued", "running")  # an edited step


@require_GET
@requires("approvals.view")
def queue(request: HttpRequest) -> HttpResponse:
    """The list; with ``open`` in the address, one question beside it."""
    user, filters = cast(User, request.user), forms.filters_from(request.GET)
    folds = storms.storms(filters, user)
    rows, next_key = selectors.queue(filters, user, but=storms.these([f.key for f in folds]))
    context = {
        "filters": filters,
        "tabs": forms.TABS,
        "rows": marked(rows, user, _row),
        **bounds_of(user),
        "storms": [] if filters.after else folds,
        "opened_storm": storms.one(filters, user),
        "turns": turns.waiting_turns() if filters.tab == "waiting" else (),
        "next_key": forms.key_text(next_key),
        "drawn_at": timezone.now(),
        "page_size": selectors.PAGE,
        "risk_levels": sorted(RISKS.items()),
        "is_filtered": _is_filtered(filters),
        "pace": selectors.pace_of(user),
        "last": None if rows else selectors.last_decision(),
        "counts": selectors.counts(user, filters),
    }
    if getattr(request, "htmx", False):
        return render(request, "oversight/_list.html", context | {"is_part": True})
    context |= {"sorts": sorting.WORDS, "choices": selectors.choices(filters.tab)}
    context["is_hurried"] = rules.is_hurried(context["pace"].last_hour)
    opened = _opened(request)
    context |= _sheet(request, opened) if opened else {}
    return render(request, "oversight/queue.html", context)


def _row(row: Approval, user: User) -> dict[str, Any]:
    edited = ["edited"] if row.bound_to.get("edited") else []
    flags = [*edited, *showing.flags(row.arguments, row.preview)]
    words = delegating.words_of(row.delegation, user)  # type: ignore[attr-defined]  # by selectors
    return {"approval": row, "flags": flags, "delegated": words}


def _is_filtered(filters: selectors.Filters) -> bool:
    return filters != selectors.Filters(tab=filters.tab, sort=filters.sort)


def _opened(request: HttpRequest) -> Approval | None:
    try:
        return selectors.one(UUID(request.GET.get("open", "")))
    except ValueError:
        return None


@require_GET
@requires("approvals.view")
def detail(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """One question: a page of its own, or the panel beside the list. Whoever has edited it just now
    goes on to what is asked instead, once it is."""
    approval = _one(approval_id)
    if "edited" in request.GET and (now := _edited(approval)["asked_now"]):
        return redirect("approvals:detail", now.pk)
    return _drawn(request, approval)


def _note_reading(request: HttpRequest, approval: Approval) -> None:
    """Who was shown the evidence of High and Critical questions is kept."""
    if approval.risk >= rules.HIGH:
        read(cast(User, request.user).actor, "approval", approval.pk, run_id=approval.run_id)


@require_GET
@requires("approvals.view")
def arguments(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Exactly what would run, as a file: for what is more than a page can show."""
    text = exactjson.dumps(_one(approval_id).arguments, indent=True)
    response = HttpResponse(text, content_type="application/octet-stream")
    name = f"approval-{approval_id}-arguments.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _one(approval_id: UUID) -> Approval:
    approval = selectors.one(approval_id)
    if approval is None:
        raise NotFoundError("There is no such approval.")
    return approval


def _drawn(
    request: HttpRequest, approval: Approval, *, status: int = 200, **more: Any
) -> HttpResponse:
    """The sheet, as a page of its own or as the panel beside the list."""
    name = "oversight/_review.html" if getattr(request, "htmx", False) else "oversight/detail.html"
    return render(request, name, _sheet(request, approval, **more), status=status)


def drawn(request: HttpRequest, approval_id: UUID, **more: Any) -> HttpResponse:
    """The sheet of a question, for pages that lead back to it."""
    return _drawn(request, _one(approval_id), **more)


def _sheet(request: HttpRequest, approval: Approval, **more: Any) -> dict[str, Any]:
    """What the sheet is drawn from, for a person who is given it now: the server notes when, and
    who was given one whose evidence matters, whichever page it stands on."""
    _note_reading(request, approval)
    found = _review(request, approval, **more)
    if not (found["is_open"] and found["can_decide"]):
        return found
    row = services.open_sheet(approval, cast(User, request.user))
    read = services.read_of(row)
    ready_at = read.opened_at + reading.least(approval.risk)
    return found | {
        "parts": [*reading.PARTS],
        "parts_seen": sorted(read.seen),
        "ready_at": ready_at,
        **looked_at(found["repeats"], row),
        "has_alike": tables.has_alike(approval),
    }


def _review(request: HttpRequest, approval: Approval, **more: Any) -> dict[str, Any]:
    user, roster = cast(User, request.user), away.roster_for(cast(User, request.user))
    votes = services.votes_that_count(approval, selectors.votes_of(approval))
    approval.votes_given = sum(vote.approve for vote in votes)  # type: ignore[attr-defined]
    return {
        "approval": approval,
        "listing": showing.listing(approval.arguments),
        "preview": showing.preview(approval.preview),
        "policy_version": policy.version_of_decision(approval.decision_id),
        "unknown": showing.unknown(approval.rules),
        "flags": showing.flags(approval.arguments, approval.preview),
        "votes": with_signatures(approval, votes),
        "reversals": selectors.reversals_of(approval),
        "edits": [(e, editing.differences(e.before, e.after)) for e in edits.edits_of(approval)],
        **_edited(approval),
        "can_undo": _can_undo(user, approval),
        **asked_before(approval),
        "needs_reason": rules.needs_reason(approve=True, risk=approval.risk),
        "offered": [(a, r) for a in ("approve", "reject") for r in approval.reasons_for(a)],
        "challenge": services.challenge_of(approval),
        "must_be_seen": approval.risk >= reading.MEDIUM,
        "approve_label": rules.approve_label(approval.sentence),
        "nonce": secrets.token_urlsafe(12),
        "seal": services.seal_of(approval),
        "digest_tail": approval.digest[-8:],
        "pace": selectors.pace_of(user),
        **_open_to(request, approval, votes, roster),
        **_passed_on(user, approval, roster),
        **more,
    }


def _grants(user: User, approval: Approval) -> dict[str, Any]:
    """The grant that answered it, and whether this person may propose one from it."""
    return {
        "grant_use": grants.use_of(approval) if approval.decided_at else None,
        "can_grant": user.may("approvals.decide") and not services.why_no_grant(approval, user),
    }


def _edited(approval: Approval) -> dict[str, Any]:
    """What took a question's place that a person edited, and how the step ended where nothing did:
    what was made already, say, is asked of nobody. See ``after``."""
    ended = edits.edit_that_ended(approval)
    word = outcomes_of([approval.step_id] if ended else ()).get(approval.step_id, "")
    now = edits.asked_after(approval) if ended else None  # there, once the step waits for it
    return {"edited": ended, "asked_now": now, "became": "" if word in BEING_JUDGED else word}


def _can_undo(user: User, approval: Approval) -> bool:
    """Whether this person may take the approval back, while there is time; see ``undo``."""
    is_theirs = user.may("approvals.decide") and may_decide(user, approval)
    return bool(approval.undo_left_s) and is_theirs


def _open_to(
    request: HttpRequest, approval: Approval, votes: Sequence[Vote], roster: away.Roster
) -> dict[str, Any]:
    """What this person may do about it now."""
    user = cast(User, request.user)
    is_claimed = bool(approval.claimed_until and approval.claimed_until > timezone.now())
    is_open = approval.state == Approval.State.PENDING
    is_anothers = is_claimed and approval.claimed_by_id != user.pk
    is_absents = is_anothers and approval.claimed_by in roster.stood_in_for(user)
    has_voted = any(vote.user_id == user.pk for vote in votes)
    theirs = scopes_of_sheet(user, approval)
    is_theirs = theirs["is_theirs"]
    had = services.parties_for(approval, user, votes) if is_open and is_theirs else {}
    return {
        "is_open": is_open,
        "claim_is_mine": is_claimed and approval.claimed_by_id == user.pk,
        "claim_is_anothers": is_anothers and not is_absents,
        "claim_is_absents": is_absents,
        "can_decide": is_theirs and not has_voted,
        **theirs,
        "has_voted": has_voted,
        "answered_with": tables.answered_with(votes),
        "why_not_approve": _why_not_approve(approval, had.get(user.pk, "")),
        "why_not_signed": why_not_signed(request, approval),
        **_grants(user, approval),
    }


def _why_not_approve(approval: Approval, had: str) -> str:
    if approval.bound_to.get("denied"):
        return rules.DENIED
    return rules.party_words(had) if had else ""


def _escalation(user: User, approval: Approval, roster: away.Roster) -> dict[str, Any]:
    """Who was called about it, and whom this person may call next."""
    calls = selectors.escalations_of(approval)
    is_asked = user.may("approvals.decide") and rules.may_decide(user.role, approval.asked_roles)
    climbed, roles = {call.rung for call in calls}, {call.role for call in calls}
    following = ladder.next_by_hand(approval.ladder, climbed, roles)
    return {
        "calls": calls,
        "last_call": calls[-1] if calls else None,
        "earlier_calls": calls[:-1][::-1],
        "is_called": is_called_about(user, approval, roles),
        "called_away": away_of(calls[-1], roster) if calls else None,
        "next_away": away.called_away(following.role, roster) if following else None,
        "can_escalate": is_asked and approval.state == Approval.State.PENDING,
        "next_rung": following,
        "is_late": approval.until <= timezone.now(),
    }


def _passed_on(user: User, approval: Approval, roster: away.Roster) -> dict[str, Any]:
    """Who was called or asked about it, and how this person may pass it on or put it off."""
    delegation = _delegation(user, approval, roster)
    return {**_escalation(user, approval, roster), **delegation, **_snoozing(user, approval)}


def _delegation(user: User, approval: Approval, roster: away.Roster) -> dict[str, Any]:
    """Who was asked by name, and whom this person may ask."""
    is_open = approval.state == Approval.State.PENDING
    may = user.may("approvals.decide") and may_decide(user, approval)
    return {
        "delegation": delegating.delegation_of(approval) if is_open else None,
        "colleagues": delegating.colleagues(approval, user, roster) if is_open and may else (),
    }


def _snoozing(user: User, approval: Approval) -> dict[str, Any]:
    """Whether this person has snoozed it, and for how long they may."""
    may = user.may("approvals.decide") and rules.may_decide(user.role, approval.asked_roles)
    if approval.state != Approval.State.PENDING or not may:
        return {}
    fit = snoozing.choices(timezone.now(), approval.expires_at)
    return {
        "snoozed_until": snoozed_until(approval, user),
        "snooze_choices": [(minutes, snoozing.words(minutes)) for minutes in fit],
    }


@require_POST
@requires("approvals.decide")
def decide(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """One person's answer. Whatever goes wrong, the typed reason comes back with the panel."""
    form = forms.DecideForm(request.POST)
    typed = request.POST.get("reason", "")[: rules.REASON_MOST]
    if not form.is_valid():
        error = {
            "error": "That answer was incomplete: reload the page and try again.",
            "fields": form.errors,
        }
        return _drawn(request, _one(approval_id), status=422, typed=typed, **error)
    given = form.cleaned_data
    try:
        approval = services.decide(
            approval_id=approval_id,
            user=cast(User, request.user),
            approve=given["answer"] == "approve",
            reason=given["reason"],
            digest=given["digest"],
            nonce=given["nonce"],
            dwell_ms=given["dwell_ms"],
            page=services.PageAnswer(given["confirm"], shown_in(request, given["passkey"])),
        )
    except TowerError as refused:
        more = {"error": refused, "detail": refused.detail, "step": given["answer"]}
        return _drawn(request, _one(approval_id), status=refused.status, typed=typed, **more)
    if not getattr(request, "htmx", False):
        return redirect("approvals:detail", approval_id)
    response = _drawn(request, _one(approval_id), just_decided=True)
    return trigger_client_event(response, "approval:decided", _told(approval))


def _told(approval: Approval) -> dict[str, str]:
    """What the page hears of an answer that counted."""
    told = {"id": str(approval.pk), "state": rules.word_of(approval.state)}
    if approval.state == Approval.State.GRANTED:
        told["undo"] = reverse("approvals:undo", args=[approval.pk])
    return told


@require_POST
@requires("approvals.decide")
def undo(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Take an approval back while it can be."""
    try:
        services.undo(approval_id=approval_id, user=cast(User, request.user))
    except NotFoundError:
        raise
    except TowerError as refused:
        return _drawn(request, _one(approval_id), status=refused.status, error=refused)
    if not getattr(request, "htmx", False):
        return redirect("approvals:detail", approval_id)
    response = _drawn(request, _one(approval_id), just_undone=True)
    return trigger_client_event(response, "approval:undone", {"id": str(approval_id)})


@require_POST
@requires("approvals.decide")
@told_by_itself
def seen(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Parts of the sheet were on this person's screen. Without script it is said with a button."""
    form = forms.SeenForm(request.POST)
    if not form.is_valid():
        raise InvalidInputError("That names no part of a request.", field="parts")
    user = cast(User, request.user)
    found = services.see(approval_id=approval_id, user=user, **form.cleaned_data)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"seen": sorted(found)})
    return redirect("approvals:detail", approval_id)


@require_POST
@requires("approvals.decide")
def claim(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Take a question, renew it, or take it over with a reason."""
    form = forms.ClaimForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    more: dict[str, Any] = {}
    try:
        services.claim(approval_id=approval_id, user=cast(User, request.user), reason=reason)
    except NotFoundError:
        raise
    except TowerError as refused:
        more = {"claim_error": refused}
    return _claimed(request, approval_id, **more)


@require_POST
@requires("approvals.decide")
def release(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Give a question back."""
    services.release(approval_id=approval_id, user=cast(User, request.user))
    return _claimed(request, approval_id)


def _claimed(request: HttpRequest, approval_id: UUID, **more: Any) -> HttpResponse:
    status = more["claim_error"].status if more else 200
    if not getattr(request, "htmx", False):
        return _drawn(request, _one(approval_id), status=status, **more)
    context = _review(request, _one(approval_id), **more)
    return render(request, "oversight/_claim.html", context, status=status)


@require_POST
@requires("approvals.decide")
def escalate(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Call the next on the ladder. Whatever goes wrong, the typed note comes back."""
    form = forms.EscalateForm(request.POST)
    user, more, status = cast(User, request.user), dict[str, Any](), 200
    try:
        if not form.is_valid():
            raise InvalidInputError(
                "That was incomplete: reload the page and try again.", field="note"
            )
        services.escalate(approval_id=approval_id, user=user, **form.cleaned_data)
    except NotFoundError:
        raise
    except TowerError as refused:
        note = request.POST.get("note", "")[: ladder.NOTE_MOST]
        more, status = {"escalate_error": refused, "note": note}, refused.status
    if not getattr(request, "htmx", False):
        if not more:
            return redirect("approvals:detail", approval_id)
        return _drawn(request, _one(approval_id), status=status, **more)
    context = _review(request, _one(approval_id), just_escalated=not more, **more)
    return render(request, "oversight/_escalate.html", context, status=status)


@require_GET
@requires("approvals.view")
def after(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """What became of an answer: the run takes it up by itself. Whoever edited it goes on to what is
    asked instead; for others, who may be typing beside it, that is a link."""
    approval, user = _one(approval_id), cast(User, request.user)
    found = _edited(approval)
    context = {"approval": approval, "can_undo": _can_undo(user, approval), **found}
    response = render(request, "oversight/_after.html", context)
    if (now := found["asked_now"]) and found["edited"].by_id == user.pk:
        response["HX-Redirect"] = reverse("approvals:detail", args=[now.pk])
    return response


@require_GET
@requires("approvals.view")
def changes(request: HttpRequest) -> HttpResponse:
    """What happened to a drawn list since: how many are new, and how its rows stand now."""
    user = cast(User, request.user)
    shown, since = forms.since_from(request.GET)
    found = selectors.changes(
        forms.filters_from(request.GET), user, shown=shown, since=since or timezone.now()
    )
    return JsonResponse(
        {
            "new": found.new,
            "critical": found.critical,
            "called": found.called,
            "wakes": found.wakes.isoformat() if found.wakes else "",
            "rows": [_row_now(row, user) for row in found.rows],
        }
    )


def _row_now(row: Approval, user: User) -> dict[str, Any]:
    claimed = row.claimed_by if row.claimed_until and row.claimed_until > timezone.now() else None
    claimed_words = "you" if claimed == user else claimed.display_name if claimed else ""
    decided_by = row.decided_by.display_name if row.decided_by else ""
    call = row.escalation  # type: ignore[attr-defined]
    delegation = row.delegation  # type: ignore[attr-defined]
    told = {"to": call.words, "at": call.at.isoformat(), "why": call.why} if call else None
    return {
        "id": str(row.pk),
        "state": rules.word_of(row.state),
        "calls": row.calls,  # type: ignore[attr-defined]
        "escalated": told,
        "claimed": claimed_words,
        "delegation": delegation.pk if delegation else 0,
        "delegated": delegating.words_of(delegation, user),
        "votes": f"{row.votes_given}/{row.votes_wanted}",  # type: ignore[attr-defined]
        "by": "you" if row.decided_by == user else decided_by,
        "at": row.decided_at.isoformat() if row.decided_at else "",
    }


@require_GET
@requires("approvals.view")
def counts(request: HttpRequest) -> HttpResponse:
    """The line of numbers above the list, of the filters in the address."""
    user, filters = cast(User, request.user), forms.filters_from(request.GET)
    context = {"counts": selectors.counts(user, filters), "filters": filters}
    return render(request, "oversight/_counts.html", context)


@require_GET
@requires("approvals.view")
def count(request: HttpRequest) -> HttpResponse:
    """The numbers on the navigation, which every page knows."""
    return render(request, "oversight/_count.html")
