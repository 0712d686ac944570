from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.roles import Permission, Role
from apps.accounts.registry import add_permissions
from apps.audit.domain.duty import Duty
from apps.audit.registry import add_duties

# The bell comes after whatever may make steps due, the engine's own duties among it.
DUTIES = (
    Duty(
        "expired_leases",
        "steps of lost workers are not taken back",
        "apps.workers.recovery.take_back_leases",
        aside="apps.workers.recovery.NOT_TAKEN_BACK",
    ),
    Duty(
        "overdue_runs",
        "runs go on beyond their deadline",
        "apps.workers.recovery.end_overdue_runs",
        aside="apps.workers.recovery.NOT_ENDED",
    ),
    Duty(
        "undoing",
        "the undoing of runs may stand still",
        "apps.workers.recovery.carry_on_undoing",
    ),
    Duty("breakers", "breakers stay open", "apps.workers.recovery.half_open_breakers"),
    Duty("rung", "due steps may wait for a bell", "apps.workers.recovery.ring_due"),
)
PERMISSIONS = (Permission("workers.control", frozenset({Role.ADMIN})),)


class WorkersConfig(AppConfig):
    name = "apps.workers"
    label = "workers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_duties(*DUTIES)
