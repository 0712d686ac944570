"""Reads about people and what the frame of every page shows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.domain.roles import Permission


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What ``base.html`` needs on every page: who may see which door, and where we are."""
    user = getattr(request, "user", None)
    may = {
        p.value.replace(".", "_"): bool(user and user.is_authenticated and user.may(p))
        for p in Permission
    }
    theme = request.COOKIES.get("theme", "auto")
    return {"may": may, "theme": theme, "environment": settings.ENV}
