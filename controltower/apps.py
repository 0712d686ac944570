"""The composition root as Django sees it."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import Tags, register
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string

from apps.evidence.domain.readers import add_reader


class ControlTower(AppConfig):
    """Has the way to the database looked at when tables are made, and by ``check --database``."""

    name = "controltower"

    def ready(self) -> None:
        from controltower import pooling  # noqa: PLC0415  # asks for settings that load first

        for name in settings.EVIDENCE_READERS:
            add_reader(import_string(name))
        register(Tags.database)(pooling.examine)
        # Of an app with tables, since only those are told.
        post_migrate.connect(pooling.keep_limits, sender=apps.get_app_config("audit"))
