"""Every address of the site; each app owns what stands below its prefix."""

from __future__ import annotations

from django.apps import apps
from django.urls import include, path

from apps.ops.urls import (
    audit_patterns,
    held_patterns,
    load_patterns,
    object_patterns,
    stop_patterns,
)

handler500 = "apps.api.views.outages.broken"
urlpatterns = [
    path("", include("apps.dashboards.urls")),
    path("accounts/", include("apps.accounts.urls")),
    path("approvals/", include("apps.oversight.urls")),
    path("approvals/", include((held_patterns, "held"))),
    path("runs/", include("apps.ops.urls")),
    path("objects/", include((object_patterns, "objects"))),
    path("hidden/", include("apps.redaction.urls")),
    path("stops/", include((stop_patterns, "stops"))),
    path("load/", include((load_patterns, "load"))),
    path("catalog/", include("apps.catalog.urls")),
    path("policies/", include("apps.policy.urls")),
    path("audit/", include((audit_patterns, "audit"))),
    path("api/v1/", include("apps.api.urls.rest")),
    path("", include("apps.api.urls")),
]
if apps.is_installed("controltower.practice"):
    urlpatterns.append(path("practice/", include("controltower.practice.urls")))
