"""Panels of the home page that other apps bring (``apps.dashboards.registry``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HomePanel:
    """One card beside the product's own on the home page, drawn anew as things happen and every
    half a minute. ``read`` is the dotted name of a function that takes nothing and gives the
    template its context; the page shows it to whoever has ``permission``. Panels stand in the
    order of ``place``."""

    name: str
    title: str
    template: str
    read: str
    permission: str
    place: int
