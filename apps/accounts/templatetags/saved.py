"""The menu of saved views of a page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import template

from apps.accounts import selectors
from apps.accounts.domain import saved

register = template.Library()


@register.inclusion_tag("accounts/_views.html", takes_context=True)
def saved_views(context: template.Context, page: str, **unsaid: str) -> dict[str, Any]:
    """One's own views of this page and those that others share, and which of them is shown now.
    ``unsaid``: what the page shows where its address says nothing."""
    request = context["request"]
    views = selectors.saved_views(request.user, page)
    try:
        query = saved.normalised(request.GET.urlencode(), unsaid)
    except saved.FiltersTooLongError:
        query = ""
    # One's own first: somebody else's may have the same filters.
    shown = next((view for view in views if query and view.query == query), None)
    return {
        "views": views,
        "shown": shown,
        "query": query,
        "page": page,
        "unsaid": urlencode(unsaid),
        "user": request.user,
        "name_most": saved.NAME_MOST,
        "csrf_token": context.get("csrf_token"),
    }
