from __future__ import annotations

from django.apps import AppConfig

from apps.audit.domain.duty import Duty
from apps.audit.registry import add_duties

PUBLISHING = Duty(
    "scheduled_documents",
    "contracts and policies are not published at their time",
    "apps.documents.services.publish_due",
    aside="apps.documents.services.UNPUBLISHED",
)


class DocumentsConfig(AppConfig):
    name = "apps.documents"
    label = "documents"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_duties(PUBLISHING)
