from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.oversight.views import (
    away,
    delegating,
    grants,
    passkey,
    second_look,
    snoozing,
    storms,
    together,
)
from apps.oversight.views import sheet as views

app_name = "approvals"
# Pages of one's own, to which the frame leads.
OFFERED = frozenset({"approvals:away"})
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.queue, name="queue"),
    path("count/", views.count, name="count"),
    path("counts/", views.counts, name="counts"),
    path("changes/", views.changes, name="changes"),
    path("storm/", storms.figures, name="storm"),
    path("away/", away.page, name="away"),
    path("away/set/", away.set_one, name="away_set"),
    path("away/<int:absence_id>/end/", away.end, name="away_end"),
    path("grants/", grants.page, name="grants"),
    path("grants/<uuid:grant_id>/", grants.one, name="grant"),
    path("grants/<uuid:grant_id>/confirm/", grants.confirm, name="grant_confirm"),
    path("grants/<uuid:grant_id>/decline/", grants.decline, name="grant_decline"),
    path("grants/<uuid:grant_id>/revoke/", grants.revoke, name="grant_revoke"),
    path("<uuid:approval_id>/grant/", grants.propose, name="grant_propose"),
    path("<uuid:approval_id>/grant/covers/", grants.covers, name="grant_covers"),
    path("<uuid:approval_id>/", views.detail, name="detail"),
    path("<uuid:approval_id>/arguments.json", views.arguments, name="arguments"),
    path("<uuid:approval_id>/decide/", views.decide, name="decide"),
    path("<uuid:approval_id>/passkey/", passkey.ask, name="passkey"),
    path("<uuid:approval_id>/undo/", views.undo, name="undo"),
    path("<uuid:approval_id>/seen/", views.seen, name="seen"),
    path("<uuid:approval_id>/look-again/", second_look.look_again, name="look_again"),
    path("<uuid:approval_id>/claim/", views.claim, name="claim"),
    path("<uuid:approval_id>/release/", views.release, name="release"),
    path("<uuid:approval_id>/escalate/", views.escalate, name="escalate"),
    path("<uuid:approval_id>/delegate/", delegating.delegate, name="delegate"),
    path("<uuid:approval_id>/give-back/", delegating.give_back, name="give_back"),
    path("<uuid:approval_id>/snooze/", snoozing.snooze, name="snooze"),
    path("<uuid:approval_id>/wake/", snoozing.wake, name="wake"),
    path("<uuid:approval_id>/after/", views.after, name="after"),
    path("<uuid:approval_id>/together/", together.begin, name="together"),
    path("together/<uuid:table_id>/", together.table, name="table"),
    path("together/<uuid:table_id>/seen/", together.seen, name="table_seen"),
    path("together/<uuid:table_id>/answer/", together.answer, name="table_answer"),
    path("together/<uuid:table_id>/undo/", together.undo, name="table_undo"),
]
