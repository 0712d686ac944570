from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import EVERYONE, Permission, Role
from apps.accounts.registry import add_entries, add_notices, add_permissions
from apps.audit.domain.duty import Duty
from apps.audit.registry import add_duties

PERMISSIONS = (
    Permission("tower.view", EVERYONE),
    Permission("users.manage", frozenset({Role.ADMIN})),
)
PAGES = (NavigationEntry("Users", "accounts:users", "users", "s", "users.manage", 110),)
DUTIES = (
    Duty(
        "sessions_cleared",
        "sessions that are over stay in the database",
        "apps.accounts.services.sessions.clear_ended",
        every_s=60.0,
    ),
)
NOTICES = ("accounts/_standing.html",)


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_entries(*PAGES)
        add_notices(*NOTICES)
        add_duties(*DUTIES)
