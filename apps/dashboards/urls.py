from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.dashboards import views

app_name = "dashboards"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("home/<slug:part>/", views.part, name="part"),
    path("outcomes/", views.outcomes, name="outcomes"),
    path("outcomes/<slug:chart>.csv", views.csv, name="csv"),
]
