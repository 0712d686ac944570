from __future__ import annotations

from django.apps import AppConfig

from apps.audit.domain.subscriber import Subscriber
from apps.audit.registry import subscribe

# The kinds are ``reactions.DECIDED``, which can't be imported before the models are there.
DECISIONS = Subscriber(
    name="runs.decisions",
    words="steps whose question was answered may sleep on",
    kinds=("approval.approved", "approval.rejected", "approval.expired", "approval.void"),
    handler="apps.runs.reactions.approval_changed",
    hint=True,
)


class RunsConfig(AppConfig):
    name = "apps.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        subscribe(DECISIONS)
