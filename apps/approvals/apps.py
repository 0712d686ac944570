from __future__ import annotations

from django.apps import AppConfig

from apps.audit.domain.duty import Duty
from apps.audit.registry import add_duties

DUTIES = (
    Duty(
        "expired_approvals",
        "questions stay open beyond their window",
        "apps.approvals.services.expire_due",
        aside="apps.approvals.services.UNENDABLE",
    ),
    Duty(
        "escalations",
        "nobody is called about questions that wait",
        "apps.approvals.services.escalate_due",
    ),
)


class ApprovalsConfig(AppConfig):
    name = "apps.approvals"
    label = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_duties(*DUTIES)
