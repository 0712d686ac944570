"""What a person does to a run: cancel it, say what became of a lost call."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from apps.accounts.authn import requires
from apps.kernel.errors import InvalidInputError
from apps.runs import reconcile, services
from apps.runs.domain.finding import LOOKED_WORDS, VERDICT_WORDS, Looked, Verdict
from apps.runs.forms import CancelForm, ReconcileForm
from apps.runs.selectors import unknown


@require_POST
@requires("runs.control")
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Stop a run. A run that has ended meanwhile is a conflict, told with how it ended."""
    form = CancelForm(request.POST)
    if not form.is_valid():
        raise InvalidInputError(form.errors["reason"][0], field="reason")
    services.cancel_run(run_id, actor=request.user, reason=form.cleaned_data["reason"])
    return redirect("runs:detail", run_id)


@require_POST
@requires("runs.reconcile")
def look_up(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """Ask the tool whether a call whose answer was lost happened."""
    looked = reconcile.look_up(unknown.step_id_of(run_id, seq), person=request.user)
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
    verdict = Verdict(form.cleaned_data["verdict"])
    settles = reconcile.resolve(
        unknown.step_id_of(run_id, seq),
        round_number=form.cleaned_data["round"],
        verdict=verdict,
        evidence=form.cleaned_data["evidence"],
        person=request.user,
    )
    after = "" if settles else " Noted: a second person has to say the same."
    messages.success(request, f"Step {seq}: {VERDICT_WORDS[verdict]}.{after}")
    return _to_step(request, run_id, seq)


def _to_step(request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
    """The run's page with the step open; htmx is told to load it as a whole."""
    url = f"{reverse('runs:detail', args=[run_id])}?step={seq}"
    is_htmx = request.htmx  # type: ignore[attr-defined]  # django-htmx
    return HttpResponseClientRedirect(url) if is_htmx else redirect(url)
