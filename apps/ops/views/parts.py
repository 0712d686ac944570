"""Parts of other floors' pages, fetched by URL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.ops.selectors import runs, turns
from apps.ops.views import stops
from apps.outcomes.domain.counting import FINISHED, VERDICTS, CountsAs
from apps.outcomes.selectors import outcomes
from apps.outcomes.selectors.outcomes import JobStats, RunsInScope
from apps.runs.domain.origin import WORDS, Origin

SLUGS_AT_ONCE = 200


@require_GET
@requires("runs.view")
def for_job(request: HttpRequest, slug: str) -> HttpResponse:
    """A job's last seven days and its latest runs, for its page in the catalog."""
    scope, found = outcomes.job_stats([slug], now=timezone.now())
    context = {"rows": runs.of_job(slug), "slug": slug, **_stats(scope, slug, found[slug])}
    return render(request, "ops/_for_job.html", {**context, "of": WORDS[Origin(scope.origin)]})


@require_GET
@requires("runs.view")
def job_stats(request: HttpRequest) -> JsonResponse:
    """Numbers of the last seven days by job, for the catalog's table. The header ``Runs-Origin``
    says of which runs they are."""
    slugs = [s for s in request.GET.get("slugs", "").split(",") if s][:SLUGS_AT_ONCE]
    scope, found = outcomes.job_stats(slugs, now=timezone.now())
    told = {slug: _told(**_stats(scope, slug, stats)) for slug, stats in found.items()}
    return JsonResponse(told, headers={"Runs-Origin": scope.origin})


def _stats(scope: RunsInScope, slug: str, stats: JobStats) -> dict[str, Any]:
    """A job's numbers, and the list of runs behind each."""
    of_job = replace(scope, job=slug)
    kinds = {"finished": FINISHED, "handed_over": (CountsAs.HANDED_OVER,)}
    address = reverse("runs:list")
    links = {
        name: f"{address}?{urlencode(of_job.listed(*of), doseq=True)}" for name, of in kinds.items()
    }
    words = VERDICTS[stats.verdict]
    return {"stats": stats, "links": links, "verdict_words": words}


def _told(stats: JobStats, links: Any, verdict_words: str) -> dict[str, Any]:
    return {
        "runs": stats.tally.runs,
        "finished": stats.tally.finished,
        "succeeded": stats.tally.succeeded,
        "success": stats.success.value,
        "words": stats.success.words,
        "verdict": stats.verdict,
        "verdict_words": verdict_words,
        "handed_over": stats.tally.handed_over,
        "waiting": stats.waiting,
        "links": links,
    }


@require_GET
@requires("runs.view")
def model_turns(request: HttpRequest, slug: str) -> HttpResponse:
    """The latest turns that a model of the catalog answered, for its page there."""
    context = {"turns": turns.of_model(slug), "looked_at": turns.LOOKED_AT}
    return render(request, "ops/_model_turns.html", context)


@require_GET
@requires("runs.view")
def tool_health(request: HttpRequest, domain: str, name: str) -> HttpResponse:
    """A tool's last day, for its page in the catalog."""
    found = runs.tool_health(domain, name)
    context = {"health": found, **stops.breaker_context(domain, name)}
    return render(request, "ops/_tool_health.html", context)
