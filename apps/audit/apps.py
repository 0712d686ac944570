from __future__ import annotations

from django.apps import AppConfig

from apps.audit.domain.subscriber import Subscriber
from apps.audit.registry import subscribe

SCREENS = Subscriber(
    name="audit.screens",
    words="open pages may show a change late",
    kinds=(),
    handler="apps.audit.reactions.tell_screens",
)


class AuditConfig(AppConfig):
    name = "apps.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        subscribe(SCREENS)
