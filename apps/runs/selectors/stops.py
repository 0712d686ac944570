"""What is stopped: by name, and for the banner on every page."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from apps.runs.domain.barrier import StopScope
from apps.runs.models import Stop

BANNER_S = 2.0  # how old the banner's knowledge may be

_banner: tuple[float, list[Stop]] = (0.0, [])


def what_words(scope: StopScope, target: str) -> str:
    """What is stopped, as a sentence's subject."""
    return "Everything" if scope is StopScope.EVERYTHING else f"{scope.value.capitalize()} {target}"


def placed_by(scope: StopScope, target: str) -> Stop | None:
    """The stop of this that is in force."""
    return Stop.objects.filter(scope=scope, target=target, lifted_at=None).first()


def stops_context(request: HttpRequest) -> dict[str, Any]:
    """The stops in force, for the banner on every page; asked for only where it is shown, and at
    most every two seconds."""
    return {"stops_in_force": SimpleLazyObject(_for_banner)}


def _for_banner() -> list[Stop]:
    global _banner  # a small cache of the process
    until, known = _banner
    if time.monotonic() >= until:
        known = list(Stop.objects.filter(lifted_at=None).order_by("placed_at"))
        for stop in known:
            stop.what = what_words(StopScope(stop.scope), stop.target)  # type: ignore[attr-defined]  # for the page
            stop.held_percent = 100 - stop.percent  # type: ignore[attr-defined]  # likewise
        _banner = (time.monotonic() + BANNER_S, known)
    return known


def forget_banner() -> None:
    """Something changed in this process: the next page asks anew."""
    global _banner  # a small cache of the process
    _banner = (0.0, [])
