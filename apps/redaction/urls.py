from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.redaction import views

app_name = "redaction"
urlpatterns: list[URLPattern | URLResolver] = [
    path("<uuid:run_id>/", views.hidden, name="hidden"),
]
