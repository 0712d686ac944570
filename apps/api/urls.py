from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.api import views

app_name = "api"
urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", views.alive, name="health"),
    path("readyz", views.ready, name="ready"),
    path("events/head/", views.heads, name="heads"),
    path("events/", views.events, name="events"),
    path("system/", views.system, name="system"),
]
