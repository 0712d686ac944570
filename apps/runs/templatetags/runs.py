"""How values of a run are printed."""

from __future__ import annotations

import json as _json
from typing import Any

from django import template

register = template.Library()


@register.filter
def json(value: Any, indent: int | None = None) -> str:
    """A value as JSON text, every character of it: numbers keep their digits, strings their
    quotes. Pipe it through ``exact`` or ``visible``."""
    return _json.dumps(value, ensure_ascii=False, indent=indent, default=str)
