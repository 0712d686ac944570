"""Branches: fork a run from one of its steps, and lay two runs side by side."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.ops.forms import ForkForm
from apps.ops.selectors import comparing
from apps.ops.selectors import detail as details
from apps.ops.selectors.lineage import proposals, versions_of
from apps.runs import services
from apps.runs.selectors import lineage
from apps.web.adapters.landing import land


@require_GET
@requires("runs.fork")
def fork(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """What a fork after the chosen step would take over and propose, and the form that does it."""
    asked = request.GET.get("after", "0")
    after = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    plan = lineage.plan(run_id, after)
    context = {
        "plan": plan,
        "run": plan.run,
        "proposals": proposals(plan),
        "versions": versions_of(plan.run),
    }
    only_plan = request.htmx and request.htmx.target == "fork-plan"  # type: ignore[attr-defined]  # django-htmx
    return render(request, "ops/_fork_plan.html" if only_plan else "ops/fork.html", context)


@require_POST
@requires("runs.fork")
def start_fork(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Fork the run. A step that can't be taken over is a conflict, told with the reason."""
    form = ForkForm(request.POST)
    if not form.is_valid():
        name, told = next(iter(form.errors.items()))
        raise InvalidInputError(told[0], field=name)
    said = form.cleaned_data
    branch = services.fork_run(
        run_id,
        said["after"],
        said["contract"],
        actor=request.user.actor,
        reason=said["reason"],
        label=said["label"],
        ticket=said["ticket"],
    )
    messages.success(request, f"Forked after step {said['after']}: this is the branch.")
    return land(request, "runs:detail", branch)


@require_GET
@requires("runs.view")
def compare(request: HttpRequest) -> HttpResponse:
    """Two runs side by side (``a`` and ``b``: run or trace ids); with fewer, the choice of them."""
    left, right = _run(request, "a"), _run(request, "b")
    if left is None or right is None:
        known = details.run_by_id(left or right) if left or right else None  # type: ignore[arg-type]  # one is
        near = comparing.suggestions(known) if known else ()
        context = {"known": known, "suggestions": near, "side": "a" if left else "b"}
        return render(request, "ops/compare_choose.html", context)
    context = {"found": comparing.compare(left, right), "a": left, "b": right}
    return render(request, "ops/compare.html", context)


def _run(request: HttpRequest, name: str) -> UUID | None:
    text = request.GET.get(name, "").strip()
    if not text:
        return None
    try:
        UUID(text)
    except ValueError:
        raise InvalidInputError(
            f"“{text[:60]}” is not a run id. Copy the whole id from the run's page.", field=name
        ) from None
    found = details.find_run(text)
    if found is None:
        raise NotFoundError(f"There is no run {text}.")
    return found
