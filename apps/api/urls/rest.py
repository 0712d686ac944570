from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.api.rest import patterns
from apps.api.rest.errors import nowhere

urlpatterns: list[URLPattern | URLResolver] = [
    path("", patterns()),
    path("<path:rest>", nowhere, name="rest-nowhere"),
]
