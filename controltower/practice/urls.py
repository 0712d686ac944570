from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from controltower.practice import views

app_name = "practice"
urlpatterns: list[URLPattern | URLResolver] = [
    path("desk/<slug:domain>/", views.desk, name="desk"),
]
