from __future__ import annotations

from django.apps import AppConfig

from apps.documents.selectors import declare


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for kind in ("agent", "prompt", "tool"):
            declare(kind, f"apps.catalog.services.kinds.{kind.upper()}S")
        declare("contract", "apps.catalog.services.drafts.CONTRACTS")
