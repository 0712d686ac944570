"""What a person does to a run: pause, resume or cancel it, say what became of a lost call, have a
poison step tried again."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from apps.accounts.authn import requires
from apps.calls.domain.lookup import LOOKED_WORDS, Looked
from apps.kernel.errors import InvalidInputError
from apps.ops.forms import AgainForm, CancelForm, PauseForm, ReconcileForm
from apps.ops.selectors.findings import step_id_of
from apps.runs import reconcile, services
from apps.runs.domain.finding import VERDICT_WORDS, FindingVerdict
from apps.web.adapters.landing import land


@require_POST
@requires("runs.control")
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Stop a run. A run that has ended meanwhile is a conflict, told with how it ended."""
    services.cancel_run(run_id, actor=request.user.actor, reason=_reason(CancelForm(request.POST)))
    return land(request, "runs:detail", run_id)


@require_POST
@requires("runs.control")
def pause(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Let nothing further of a run begin until it is resumed."""
    services.pause_run(run_id, actor=request.user.actor, reason=_reason(PauseForm(request.POST)))
    messages.success(request, "Paused: nothing further of this run begins until it is resumed.")
    return land(request, "runs:detail", run_id)


@require_POST
@requires("runs.control")
def resume(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Let a paused run go on."""
    services.resume_run(run_id, actor=request.user.actor)
    messages.success(request, "Resumed: the run goes on where it stopped.")
    return land(request, "runs:detail", run_id)


@require_POST
@requires("runs.control")
def try_again(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Have a step tried again that took several workers with it."""
    reason = _reason(AgainForm(request.POST))
    services.try_poison_again(run_id, seq, actor=request.user.actor, reason=reason)
    messages.success(request, f"Step {seq} is tried again, alone in a worker of its own.")
    return _to_step(request, run_id, seq)


def _reason(form: CancelForm) -> str:
    if not form.is_valid():
        raise InvalidInputError(form.errors["reason"][0], field="reason")
    return str(form.cleaned_data["reason"])


@require_POST
@requires("runs.reconcile")
def look_up(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Ask the tool whether a call whose answer was lost happened."""
    looked = reconcile.look_up(step_id_of(run_id, seq), person=request.user)
    words = f"Step {seq}: {LOOKED_WORDS[looked]}."
    (messages.success if looked is Looked.FOUND else messages.info)(request, words)
    return _to_step(request, run_id, seq)


@require_POST
@requires("runs.reconcile")
def resolve(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Say what was found out about a call whose answer was lost."""
    form = ReconcileForm(request.POST)
    if not form.is_valid():
        name, told = next(iter(form.errors.items()))
        raise InvalidInputError(told[0], field=name)
    verdict = FindingVerdict(form.cleaned_data["verdict"])
    settles = reconcile.resolve(
        step_id_of(run_id, seq),
        round_number=form.cleaned_data["round"],
        verdict=verdict,
        evidence=form.cleaned_data["evidence"],
        person=request.user,
        ticket=form.cleaned_data["ticket"],
    )
    after = "" if settles else " Noted: a second person has to say the same."
    messages.success(request, f"Step {seq}: {VERDICT_WORDS[verdict]}.{after}")
    return _to_step(request, run_id, seq)


def _to_step(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """The run's page with the step open."""
    return land(request, f"{reverse('runs:detail', args=[run_id])}?step={seq}")
