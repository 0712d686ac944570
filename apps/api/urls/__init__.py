from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.api.views import doors
from apps.ops.views import deliveries

app_name = "api"
# Pages of floors below lead here by these names: they and what they take stay.
OFFERED = frozenset({"api:deliver_again", "api:system", "rest:openapi-json"})
urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", doors.alive, name="health"),
    path("readyz", doors.ready, name="ready"),
    path("events/head/", doors.heads, name="heads"),
    path("events/", doors.events, name="events"),
    path("system/", doors.system, name="system"),
    path("system/drain/", doors.drain, name="drain"),
    path("system/let-work/", doors.let_work, name="let_work"),
    path("system/dead-letters/", deliveries.dead_letters, name="dead_letters"),
    path(
        "system/dead-letters/<int:letter_id>/deliver/",
        deliveries.deliver_again,
        name="deliver_again",
    ),
]
