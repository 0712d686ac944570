from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import EVERYONE, Permission
from apps.accounts.registry import add_entries, add_pages_with_views, add_permissions
from apps.audit.domain.streams import HOME, Stream
from apps.audit.registry import add_streams

PERMISSIONS = (Permission("outcomes.view", EVERYONE),)
STREAMS = (Stream(HOME, "tower.view"),)
PAGES = (
    NavigationEntry("Tower", "dashboards:home", "tower", "h", "tower.view", 10, first=True),
    NavigationEntry(
        "Outcomes", "dashboards:outcomes", "outcomes", "o", "outcomes.view", 60, first=True
    ),
)


class DashboardsConfig(AppConfig):
    name = "apps.dashboards"
    label = "dashboards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_streams(*STREAMS)
        add_entries(*PAGES)
        add_pages_with_views({"dashboards:outcomes": "outcomes.view"})
