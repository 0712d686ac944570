"""Parts of other floors' pages, fetched by URL."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.runs.selectors import runs
from apps.runs.views import stops

SLUGS_AT_ONCE = 200


@require_GET
@requires("runs.view")
def for_job(request: HttpRequest, slug: str) -> HttpResponse:
    """A job's latest runs, for its page in the catalog."""
    return render(request, "runs/_for_job.html", {"rows": runs.of_job(slug), "slug": slug})


@require_GET
@requires("runs.view")
def job_stats(request: HttpRequest) -> JsonResponse:
    """Numbers of the last seven days by job, for the catalog's table. The header ``Runs-Origin``
    says of which runs they are."""
    slugs = [s for s in request.GET.get("slugs", "").split(",") if s][:SLUGS_AT_ONCE]
    origin, found = runs.job_stats(slugs, now=timezone.now())
    return JsonResponse(
        {
            slug: {
                "runs": s.runs,
                "finished": s.finished,
                "succeeded": s.succeeded,
                "success": s.success,
                "waiting": s.waiting,
            }
            for slug, s in found.items()
        },
        headers={"Runs-Origin": origin},
    )


@require_GET
@requires("runs.view")
def tool_health(request: HttpRequest, domain: str, name: str) -> HttpResponse:
    """A tool's last day, for its page in the catalog."""
    found = runs.tool_health(domain, name)
    context = {"health": found, **stops.breaker_context(domain, name)}
    return render(request, "runs/_tool_health.html", context)
