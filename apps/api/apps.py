from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.registry import add_entries

PAGES = (
    NavigationEntry("System", "api:system", "system", "y", "tower.view", 80, starts_group=True),
)


class ApiConfig(AppConfig):
    name = "apps.api"
    label = "api"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_entries(*PAGES)
