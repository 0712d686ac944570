"""How values of a run are printed."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html

from apps.kernel import exactjson
from apps.kernel.ids import new_id

register = template.Library()


@register.filter
def json(value: Any, indent: int | None = None) -> str:
    """A value as JSON text, every character of it: numbers keep their digits, strings their
    quotes. Pipe it through ``exact`` or ``visible``."""
    try:
        return exactjson.dumps(value, indent=indent is not None)
    except TypeError:  # no JSON value, so it isn't from outside either
        return str(value)


@register.simple_tag
def ticket() -> str:
    """The hidden field by which a form that is sent twice is carried out once."""
    return format_html('<input type="hidden" name="ticket" value="{}">', new_id())
