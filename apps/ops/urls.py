from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.ops.views import (
    answers,
    audit,
    control,
    editing,
    forking,
    listing,
    load,
    objects,
    pages,
    parts,
    stops,
    undoing,
)

app_name = "runs"
# Pages of floors below lead here by these names: they and what they take stay.
OFFERED = frozenset(
    {
        "held:edit",
        "objects:show",
        "runs:conversation",
        "runs:detail",
        "runs:for_job",
        "runs:held",
        "runs:job_stats",
        "runs:model_turns",
        "runs:tool_health",
        "runs:undo",
    }
)
urlpatterns: list[URLPattern | URLResolver] = [
    path("", listing.index, name="list"),
    path("news/", listing.news, name="news"),
    path("export.csv", listing.export_csv, name="export_csv"),
    path("compare/", forking.compare, name="compare"),
    path("for-job/<slug:slug>/", parts.for_job, name="for_job"),
    path("job-stats/", parts.job_stats, name="job_stats"),
    path("model-turns/<slug:slug>/", parts.model_turns, name="model_turns"),
    path("tool-health/<slug:domain>/<str:name>/", parts.tool_health, name="tool_health"),
    path("breaker/<slug:domain>/<str:name>/", stops.breaker, name="breaker"),
    path("breaker/<slug:domain>/<str:name>/move/", stops.move_breaker, name="move_breaker"),
    path("held/<uuid:approval_id>/", pages.held, name="held"),
    path("<uuid:run_id>/", pages.show, name="detail"),
    path("<uuid:run_id>/state/", pages.state, name="state"),
    path("<uuid:run_id>/conversation/", pages.conversation, name="conversation"),
    path("<uuid:run_id>/steps/<int:seq>/", pages.step, name="step"),
    path("<uuid:run_id>/steps/<int:seq>/answer.json", answers.whole, name="answer"),
    path("<uuid:run_id>/steps/<int:seq>/parts/<int:number>/", answers.part, name="answer_part"),
    path("<uuid:run_id>/steps/<int:seq>/look-up/", control.look_up, name="look_up"),
    path("<uuid:run_id>/steps/<int:seq>/resolve/", control.resolve, name="resolve"),
    path("<uuid:run_id>/export.json", pages.export_json, name="export_json"),
    path("<uuid:run_id>/fork/", forking.fork, name="fork"),
    path("<uuid:run_id>/fork/start/", forking.start_fork, name="start_fork"),
    path("<uuid:run_id>/cancel/", control.cancel, name="cancel"),
    path("<uuid:run_id>/undo/", undoing.preview, name="undo"),
    path("<uuid:run_id>/undo/begin/", undoing.begin, name="undo_begin"),
    path("<uuid:run_id>/undo/<int:seq>/again/", undoing.again, name="undo_again"),
    path("<uuid:run_id>/undo/<int:seq>/settle/", undoing.settle, name="undo_settle"),
    path("<uuid:run_id>/pause/", control.pause, name="pause"),
    path("<uuid:run_id>/resume/", control.resume, name="resume"),
    path("<uuid:run_id>/steps/<int:seq>/try-again/", control.try_again, name="try_again"),
]

# A held call is edited below the queue that it stands in: /approvals/, names "held:…".
held_patterns: list[URLPattern | URLResolver] = [
    path("<uuid:approval_id>/edit/", editing.edit_held, name="edit"),
]

# Stops have an address of their own beside the runs: /stops/, names "stops:…".
stop_patterns: list[URLPattern | URLResolver] = [
    path("", stops.index, name="index"),
    path("place/", stops.place, name="place"),
    path("<int:stop_id>/", stops.figures, name="figures"),
    path("<int:stop_id>/stage/", stops.stage, name="stage"),
    path("<int:stop_id>/lift/", stops.lift, name="lift"),
]

# Everything agents did to one object: /objects/, names "objects:…".
object_patterns: list[URLPattern | URLResolver] = [
    path("", objects.show, name="show"),
    path("export.csv", objects.export_csv, name="export_csv"),
]

# The load page: /load/, names "load:…".
load_patterns: list[URLPattern | URLResolver] = [
    path("", load.index, name="index"),
    path("charts/", load.charts, name="charts"),
    path("caps/set/", load.set_cap, name="set_cap"),
    path("caps/remove/", load.remove_cap, name="remove_cap"),
]

# The audit log: /audit/, names "audit:…".
audit_patterns: list[URLPattern | URLResolver] = [
    path("", audit.index, name="list"),
    path("verify/", audit.verify, name="verify"),
    path("verified/", audit.verified, name="verified"),
    path("export.ndjson", audit.export, name="export"),
    path("bundle/", audit.bundle, name="bundle"),
    path("verify.py", audit.verifier, name="verifier"),
]
