"""The practice companies as Django sees them: their commands."""

from __future__ import annotations

from django.apps import AppConfig


class Practice(AppConfig):
    """Brings ``manage.py desk``, ``replay`` and ``measure``."""

    name = "controltower.practice"
    label = "practice"
