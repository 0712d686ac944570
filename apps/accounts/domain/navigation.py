"""The pages that the navigation leads to. Each app names its own when it is ready
(``apps.accounts.registry``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """``name`` is the name of the page's address; whoever lacks ``permission`` doesn't see it.
    Entries stand in the order of ``place``. ``key`` opens the page after G; ``first`` entries fit
    on a phone, the others stand in its menu. ``count`` is the template of a number beside the
    label."""

    label: str
    name: str
    icon: str
    key: str
    permission: str
    place: int
    first: bool = False
    starts_group: bool = False
    count: str = ""


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """An entry as one person sees it: where it leads, and whether we are there."""

    entry: NavigationEntry
    url: str
    current: bool
