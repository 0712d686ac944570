from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.api.rest import api
from apps.api.rest.errors import nowhere

urlpatterns: list[URLPattern | URLResolver] = [
    path("", api.urls),
    path("<path:rest>", nowhere, name="rest-nowhere"),
]
