"""The panels that other apps put on the home page: each names its own when it is ready."""

from __future__ import annotations

from apps.dashboards.domain.panel import HomePanel

_panels: dict[str, HomePanel] = {}


def add_panels(*some: HomePanel) -> None:
    """Have the home page show these from now on. Raises ``ValueError`` if another one has the name
    or the place of one."""
    for one in some:
        for other in _panels.values():
            if one != other and (one.name == other.name or one.place == other.place):
                raise ValueError(f"{one.title!r} and {other.title!r} share name or place")
        _panels[one.name] = one


def panels() -> list[HomePanel]:
    """All of them, in their order."""
    return sorted(_panels.values(), key=lambda panel: panel.place)
