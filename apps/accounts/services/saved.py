"""Saved views: kept, replaced and thrown away by whoever made them."""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction

from apps.accounts import registry
from apps.accounts.domain import saved
from apps.accounts.models import SavedView, User
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError


class SavedAs(NamedTuple):
    """A view as it is now, and whether it took the place of another."""

    view: SavedView
    is_new: bool


@transaction.atomic
def save_view(*, by: User, page: str, name: str, query: str, shared: bool) -> SavedAs:
    """Keep what a page is filtered by under a name. One of the same name, page and person is
    replaced. Raises ``NotFoundError`` for a page that has no views or that ``by`` may not open,
    ``InvalidInputError`` for a query that is too long, ``ConflictError`` where there are too many.
    """
    _require_open(by, page)
    try:
        kept = saved.normalised(query)
    except saved.FiltersTooLongError:
        fix = "Take some of the filters away and save it again."
        raise InvalidInputError(
            f"The filters are too long to be kept. {fix}", field="query"
        ) from None
    User.objects.select_for_update().get(pk=by.pk)  # one's own are counted one after the other
    named = SavedView.objects.filter(owner=by, page=page, name=name)
    if not named.exists() and SavedView.objects.filter(owner=by).count() >= saved.MOST:
        raise ConflictError(
            f"You have {saved.MOST} views, which is the most: delete one that you no longer use.",
            code="too_many_views",
        )
    view, is_new = SavedView.objects.update_or_create(
        owner=by, page=page, name=name, defaults={"query": kept, "shared": shared}
    )
    return SavedAs(view, is_new)


@transaction.atomic
def delete_view(*, by: User, view_id: int) -> SavedView:
    """Throw one's own view away. Raises ``NotFoundError`` for anybody else's."""
    view = SavedView.objects.select_for_update().filter(pk=view_id, owner=by).first()
    if view is None:
        raise NotFoundError("You have no such view: it may be deleted already.")
    view.delete()
    return view


def _require_open(by: User, page: str) -> None:
    permission = registry.page_with_views(page)
    if permission is None or not by.may(permission):
        raise NotFoundError("This page keeps no views.")
