from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.runs.views import control, listing, pages, parts

app_name = "runs"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", listing.index, name="list"),
    path("news/", listing.news, name="news"),
    path("export.csv", listing.export_csv, name="export_csv"),
    path("for-job/<slug:slug>/", parts.for_job, name="for_job"),
    path("job-stats/", parts.job_stats, name="job_stats"),
    path("tool-health/<slug:domain>/<slug:name>/", parts.tool_health, name="tool_health"),
    path("<uuid:run_id>/", pages.show, name="detail"),
    path("<uuid:run_id>/state/", pages.state, name="state"),
    path("<uuid:run_id>/conversation/", pages.conversation, name="conversation"),
    path("<uuid:run_id>/steps/<int:seq>/", pages.step, name="step"),
    path("<uuid:run_id>/steps/<int:seq>/look-up/", control.look_up, name="look_up"),
    path("<uuid:run_id>/steps/<int:seq>/resolve/", control.resolve, name="resolve"),
    path("<uuid:run_id>/export.json", pages.export_json, name="export_json"),
    path("<uuid:run_id>/cancel/", control.cancel, name="cancel"),
    path("<uuid:run_id>/pause/", control.pause, name="pause"),
    path("<uuid:run_id>/resume/", control.resume, name="resume"),
    path("<uuid:run_id>/steps/<int:seq>/try-again/", control.try_again, name="try_again"),
]
