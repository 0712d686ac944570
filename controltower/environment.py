"""Settings that come from the environment as more than text, with errors that name the variable."""

from __future__ import annotations

import json
import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from apps.catalog.domain.servers import read_entries


def seconds(name: str, default: float) -> float:
    """A time in seconds, above 0. Raises ``ImproperlyConfigured``."""
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ImproperlyConfigured(
            f"{name} must be seconds above 0, like {default:g}; is {text!r}."
        )
    return value


def count(name: str, default: int) -> int:
    """A whole number, at least 1. Raises ``ImproperlyConfigured``."""
    text = os.environ.get(name, "")
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ImproperlyConfigured(
            f"{name} must be a whole number above 0, like {default}; is {text!r}."
        )
    return int(text) if text else default


def servers(name: str) -> tuple[dict[str, Any], str]:
    """The tool servers that a variable names, each to be read when it is called, and what is wrong
    with the variable as a whole. It may hold secrets, so no message shows it, and one that can't be
    read doesn't keep the tower from starting: other sources may know the servers."""
    text = os.environ.get(name, "")
    return read_entries(text) if text.strip() else ({}, "")


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
