from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.roles import Permission, Role
from apps.accounts.registry import add_permissions

# Whoever answers for the data or looks into what happened; who decides goes by the tokens.
PERMISSIONS = (Permission("values.unmask", frozenset({Role.ADMIN, Role.AUDITOR})),)


class RedactionConfig(AppConfig):
    name = "apps.redaction"
    label = "redaction"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
