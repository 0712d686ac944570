from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.ops.views import audit

app_name = "audit"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", audit.index, name="list"),
    path("verify/", audit.verify, name="verify"),
    path("export.ndjson", audit.export, name="export"),
]
