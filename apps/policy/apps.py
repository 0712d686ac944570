from __future__ import annotations

from django.apps import AppConfig

from apps.documents.selectors import declare


class PolicyConfig(AppConfig):
    name = "apps.policy"
    label = "policy"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        declare("policy", "apps.policy.services.drafting.POLICIES")
