from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.runs import views

app_name = "runs"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.index, name="list"),
    path("news/", views.news, name="news"),
    path("export.csv", views.export_csv, name="export_csv"),
    path("for-job/<slug:slug>/", views.for_job, name="for_job"),
    path("job-stats/", views.job_stats, name="job_stats"),
    path("tool-health/<slug:domain>/<slug:name>/", views.tool_health, name="tool_health"),
    path("<uuid:run_id>/", views.show, name="detail"),
    path("<uuid:run_id>/state/", views.state, name="state"),
    path("<uuid:run_id>/conversation/", views.conversation, name="conversation"),
    path("<uuid:run_id>/steps/<int:seq>/", views.step, name="step"),
    path("<uuid:run_id>/steps/<int:seq>/look-up/", views.look_up, name="look_up"),
    path("<uuid:run_id>/steps/<int:seq>/resolve/", views.resolve, name="resolve"),
    path("<uuid:run_id>/export.json", views.export_json, name="export_json"),
    path("<uuid:run_id>/cancel/", views.cancel, name="cancel"),
]
