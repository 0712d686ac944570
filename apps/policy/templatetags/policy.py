"""How what policy said is printed."""

from __future__ import annotations

from typing import Any

from django import template

from apps.policy.domain import told

register = template.Library()


@register.filter
def reasons(stored: Any) -> list[told.Reason]:
    """The rules of a decision or a question (``decision.rules|reasons``), whatever is kept."""
    return told.reasons(stored)
