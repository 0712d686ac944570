from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.approvals import views

app_name = "approvals"
urlpatterns: list[URLPattern | URLResolver] = [
    path("count/", views.count, name="count"),
]
