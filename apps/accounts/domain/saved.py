"""Saved views: a name for what a page is filtered by."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

MOST_CHARACTERS = 2_000
MOST_FIELDS = 60
NAME_MOST = 60
MOST = 50  # a person's, over all pages

# Where somebody stood in a list, or what lay open beside it: of no use to whoever comes later.
PASSING = frozenset({"before", "after", "open", "page", "view"})


class FiltersTooLongError(ValueError):
    """An address that can't be kept as a view."""


def normalised(query: str, unsaid: Mapping[str, str] | None = None) -> str:
    """What a query string filters by, always written alike: fields in order, none that is empty,
    that says what goes without saying (``unsaid``), or that only says where somebody stood. Raises
    ``FiltersTooLongError`` for more than a page has."""
    if len(query) > 2 * MOST_CHARACTERS:
        raise FiltersTooLongError
    try:
        found = parse_qsl(query.removeprefix("?"), max_num_fields=MOST_FIELDS, errors="replace")
    except ValueError as error:
        raise FiltersTooLongError from error
    said = [pair for pair in found if pair[0] not in PASSING and pair not in (unsaid or {}).items()]
    kept = urlencode(sorted(said))
    if len(kept) > MOST_CHARACTERS:
        raise FiltersTooLongError
    return kept
