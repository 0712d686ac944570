"""The practice companies as Django sees them: their commands, their desks, how they speak."""

from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.roles import Permission, Role
from apps.accounts.registry import add_permissions
from apps.dashboards.domain.panel import HomePanel
from apps.dashboards.registry import add_panels
from apps.evidence.domain.readers import add_reader
from controltower.practice.speech import READER

PERMISSIONS = (Permission("desk.control", frozenset({Role.OPERATOR, Role.ADMIN})),)
PANELS = (
    HomePanel(
        name="desk",
        title="Desks",
        template="practice/_desk.html",
        read="controltower.practice.desks.panel",
        permission="tower.view",
        place=10,
    ),
)


class Practice(AppConfig):
    """Brings ``manage.py desk``, ``replay`` and ``measure``, and the desks on the home page."""

    name = "controltower.practice"
    label = "practice"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_panels(*PANELS)
        add_reader(READER)
