"""Settings that come from the environment as more than text, with errors that name the variable."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


def seconds(
    name: str, default: float, *, least: float | None = None, most: float | None = None
) -> float:
    """A time in seconds, above 0 and within the bounds. Raises ``ImproperlyConfigured``."""
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9 or (least is not None and value < least):
        value = math.nan
    if math.isnan(value) or (most is not None and value > most):
        bounds = "above 0" if least is None else f"from {least:g} on"
        bounds = bounds if most is None else f"from {least or 0:g} to {most:g}"
        raise ImproperlyConfigured(
            f"{name} must be seconds {bounds}, like {default:g}; is {text!r}."
        )
    return value


def count(name: str, default: int, *, most: int = 10**18) -> int:
    """A whole number, at least 1. Raises ``ImproperlyConfigured``."""
    text = os.environ.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    if text and not (is_number and 0 < int(text) <= most):
        bounds = "above 0" if most == 10**18 else f"from 1 to {most}"
        raise ImproperlyConfigured(
            f"{name} must be a whole number {bounds}, like {default}; is {text!r}."
        )
    return int(text) if text else default


def flag(name: str, *, default: bool) -> bool:
    """``1`` or ``0``. Raises ``ImproperlyConfigured``: a word that is taken for no would switch
    something off unseen."""
    text = os.environ.get(name) or str(int(default))
    if text not in {"0", "1"}:
        raise ImproperlyConfigured(f"{name} must be 1 or 0; is {text!r}.")
    return text == "1"


def listed(name: str, default: str = "") -> list[str]:
    """Words separated by commas."""
    words = (word.strip() for word in (os.environ.get(name) or default).split(","))
    return [word for word in words if word]


def hosts(name: str, default: str, *, production: bool) -> list[str]:
    """Names of hosts, separated by commas. Raises ``ImproperlyConfigured`` for ``*`` in production:
    links in answers would lead to whatever host a request says."""
    found = listed(name, default)
    if production and any("*" in host for host in found):
        raise ImproperlyConfigured(
            f"{name} must be the names of your hosts, like tower.example.com, or .example.com for"
            " all below it; * would take any."
        )
    return found


def secret(name: str, file: str, *, least: int = 0) -> str:
    """A secret from a variable, or from the file that another one names; empty when neither is set.
    Raises ``ImproperlyConfigured``, with names and never with the secret."""
    found, where = os.environ.get(name, ""), name
    if not found and os.environ.get(file):
        found, where = _content(file), file
    if found and len(found) < least:
        raise ImproperlyConfigured(
            f"{where} holds a key of {len(found)} characters: make one of {least} or more, at"
            " random."
        )
    return found


def _content(name: str) -> str:
    path = os.environ[name]
    try:
        found = Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ImproperlyConfigured(
            f"{name} names a file that can't be read ({why}): {path!r}. Make it readable for the"
            " user that the tower runs as, or name another one."
        ) from error
    if not found:
        raise ImproperlyConfigured(f"{name} names a file that is empty: {path!r}. Put the key in.")
    return found


def web_address(name: str) -> str:
    """An address of http or https; empty when the variable is not set. Raises
    ``ImproperlyConfigured``."""
    text = os.environ.get(name, "")
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_one = False
    if text and not is_one:
        raise ImproperlyConfigured(
            f"{name} must be an address like https://api.example.com/v1; is {text!r}."
        )
    return text


def parsed(name: str, read: Callable[[str], T]) -> T:
    """What ``read`` makes of a variable's text, which is empty if it is not set. Raises
    ``ImproperlyConfigured`` with what ``read`` says is wrong."""
    try:
        return read(os.environ.get(name, ""))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}") from error


def choice(name: str, *known: str) -> str:
    """One of the known words, the first if the variable is not set. Raises
    ``ImproperlyConfigured``."""
    text = os.environ.get(name) or known[0]
    if text not in known:
        words = " or ".join(word or "empty" for word in known)
        raise ImproperlyConfigured(f"{name} must be {words}; is {text!r}.")
    return text


def origin(name: str, default: str) -> str:
    """Scheme, host and port as browsers see them. Raises ``ImproperlyConfigured``."""
    text = os.environ.get(name) or default
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in text
        _ = parts.port
    except ValueError:
        is_one = False
    if not is_one or parts.path.strip("/") or parts.query or parts.fragment:
        raise ImproperlyConfigured(
            f"{name} must be scheme, host and port alone, like {default}; is {text!r}."
            " What follows them is TOWER_PREFIX."
        )
    return f"{parts.scheme}://{parts.netloc}".lower()


def loopback_names(origin: str) -> list[str]:
    """The origin, and of this machine's own one its other name as well: both reach one tower."""
    parts = urlsplit(origin)
    names = ["127.0.0.1", "localhost"]
    if parts.hostname not in names:
        return [origin]
    port = f":{parts.port}" if parts.port else ""
    others = [f"{parts.scheme}://{name}{port}" for name in names]
    return [origin, *(other for other in others if other != origin)]


def live_origins(origin: str, *, production: bool) -> list[str]:
    """Pages of which origins may hold a live connection."""
    return [origin] if production else loopback_names(origin)


# First parts of the site's own addresses: a proxy that strips such a prefix could not be told from
# one that doesn't.
OWN_ADDRESSES = {
    *("accounts", "api", "approvals", "audit", "catalog", "events", "healthz", "hidden", "load"),
    *("objects", "policies", "practice", "readyz", "runs", "static", "stops", "system", "ws"),
}


def prefix(name: str) -> str:
    """The path below which the whole site lies, like ``/tower``; empty for none. Raises
    ``ImproperlyConfigured``."""
    text = os.environ.get(name, "").rstrip("/")
    if text and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", text):
        raise ImproperlyConfigured(
            f"{name} must be a path like /tower, of letters, digits and - . _ ~; is {text!r}."
        )
    if text.split("/")[1:2] and text.split("/")[1] in OWN_ADDRESSES:
        raise ImproperlyConfigured(
            f"{name} can't begin with {'/' + text.split('/')[1]}: the site has pages there. Choose"
            " another name."
        )
    return text


def counts(name: str, default: Mapping[str, int], example: str) -> dict[str, int]:
    """Whole numbers from 0 on by name, as a JSON object; what it doesn't name keeps its default.
    Raises ``ImproperlyConfigured``."""
    given = mapping(name, int, example)
    wrong = [key for key in given if key not in default or not 0 <= given[key] < 2**31]
    if wrong:
        raise ImproperlyConfigured(
            f"{name} must be whole numbers from 0 on, for {', '.join(default)} only, like"
            f" {example}; has {wrong[0]!r}: {given[wrong[0]]}."
        )
    return {**default, **given}


def mapping(name: str, kind: type, example: str) -> dict[str, Any]:
    """A JSON object whose values are all of ``kind``; empty when the variable is not set. Raises
    ``ImproperlyConfigured``."""
    text = os.environ.get(name, "")
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or not all(type(v) is kind for v in value.values()):
        raise ImproperlyConfigured(f"{name} must be a JSON object like {example}; is {text!r}.")
    return value
