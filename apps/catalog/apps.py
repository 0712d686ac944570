from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from apps.audit.domain.duty import Duty
from apps.audit.registry import add_duties
from apps.documents.selectors import declare

WATCHING = Duty(
    "watched_servers",
    "nobody sees that a tool server is silent or changed its tools",
    "apps.catalog.services.watch_servers",
    every_s=settings.SERVER_CHECK_SECONDS,
    waits=True,
)


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for kind in ("agent", "prompt", "tool"):
            declare(kind, f"apps.catalog.services.kinds.{kind.upper()}S")
        declare("contract", "apps.catalog.services.drafts.CONTRACTS")
        add_duties(WATCHING)
