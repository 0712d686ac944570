"""Undoing a run: what would be undone, the word to begin, and what becomes of one that failed."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import reswap, retarget

from apps.accounts.authn import requires
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.ops.forms import UndoAgainForm, UndoForm, UndoneForm
from apps.ops.selectors import detail as details
from apps.ops.selectors.undoing import heirs
from apps.runs import services
from apps.runs.domain.finding import FindingVerdict
from apps.runs.selectors import undo_plans
from apps.web.adapters.landing import land


@require_GET
@requires("runs.undo")
def preview(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """What undoing this run would do, effect by effect, and the button that begins it."""
    return _preview(request, run_id)


@require_POST
@requires("runs.undo")
def begin(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Begin to undo a run. What would be undone having changed meanwhile is a conflict: it is
    shown anew, with the reason as it was typed."""
    form = UndoForm(request.POST)
    if not form.is_valid():
        raise _wrong(form)
    said = form.cleaned_data
    reason, plan, ticket = said["reason"], said["plan"], said["ticket"]
    try:
        services.undo_run(
            run_id, actor=request.user, reason=reason, plan_digest=plan, ticket=ticket
        )
    except ConflictError as error:
        anew = _preview(request, run_id, conflict=str(error), reason=reason, status=409)
        return reswap(retarget(anew, "#undo-preview"), "outerHTML")
    messages.success(request, "Undoing has begun: each step appears under the one it undoes.")
    return land(request, "runs:detail", run_id)


@require_POST
@requires("runs.undo")
def again(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Try an undoing again that failed."""
    form = UndoAgainForm(request.POST)
    if not form.is_valid():
        raise _wrong(form)
    said = form.cleaned_data
    services.try_undoing_again(
        run_id, seq, actor=request.user, reason=said["reason"], ticket=said["ticket"]
    )
    messages.success(request, "It is tried again as a step of its own.")
    return land(request, "runs:detail", run_id)


@require_POST
@requires("runs.undo")
def settle(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Say that what could not be undone is undone by other means, or stays."""
    form = UndoneForm(request.POST)
    if not form.is_valid():
        raise _wrong(form)
    settles = services.settle_failed_undoing(
        run_id,
        seq,
        verdict=FindingVerdict(form.cleaned_data["verdict"]),
        evidence=form.cleaned_data["evidence"],
        person=request.user,
        ticket=form.cleaned_data["ticket"],
    )
    after = "The rest goes on." if settles else "A second person has to say the same."
    messages.success(request, f"Recorded. {after}")
    return land(request, f"{reverse('runs:detail', args=[run_id])}?step={seq}")


def _preview(
    request: HttpRequest, run_id: UUID, *, conflict: str = "", reason: str = "", status: int = 200
) -> HttpResponse:
    run = details.run_by_id(run_id)
    plan = undo_plans.plan_of(run)
    can_begin = undo_plans.can_begin(run, plan)
    context = {
        "run": run,
        "plan": plan,
        "can_undo": can_begin,
        "foreseen": services.foresee(run, plan) if can_begin else [],
        "heirs": heirs(run),
        "conflict": conflict,
        "reason": reason,
    }
    in_dialog = request.htmx  # type: ignore[attr-defined]  # django-htmx
    return render(request, f"ops/{'_undo' if in_dialog else 'undo'}.html", context, status=status)


def _wrong(form: UndoForm | UndoAgainForm | UndoneForm) -> InvalidInputError:
    name, told = next(iter(form.errors.items()))
    return InvalidInputError(told[0], field=name)
