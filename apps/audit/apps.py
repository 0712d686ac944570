from __future__ import annotations

from django.apps import AppConfig

from apps.audit.domain.duty import Duty
from apps.audit.domain.subscriber import Subscriber
from apps.audit.registry import add_duties, subscribe

SCREENS = Subscriber(
    name="audit.screens",
    words="open pages may show a change late",
    kinds=(),
    handler="apps.audit.reactions.tell_screens",
)

DUTIES = (
    Duty(
        "sealed",
        "the audit log is not linked into its chain",
        "apps.audit.services.seal",
        aside="apps.audit.services.UNSEALABLE",
    ),
    Duty("delivered", "events may not reach who reacts to them", "apps.audit.services.deliver_all"),
)


class AuditConfig(AppConfig):
    name = "apps.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        subscribe(SCREENS)
        add_duties(*DUTIES)
