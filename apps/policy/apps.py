from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import EVERYONE, Permission, Role
from apps.accounts.registry import add_entries, add_permissions
from apps.audit.domain.duty import Duty
from apps.audit.domain.guard import Guard
from apps.audit.domain.streams import Stream
from apps.audit.registry import add_duties, add_guards, add_streams
from apps.documents.selectors import declare

PERMISSIONS = (
    Permission("policy.view", EVERYONE),
    Permission("policy.edit", frozenset({Role.ADMIN})),
)
STREAMS = (Stream("policies", "policy.view", kinds=("policy",)),)
BACKTESTS = Duty(
    "backtests",
    "backtests of policy drafts stand still",
    "apps.policy.services.backtesting.go_on",
)
PAGES = (NavigationEntry("Policies", "policy:index", "policies", "p", "policy.view", 50),)


class PolicyConfig(AppConfig):
    name = "apps.policy"
    label = "policy"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_streams(*STREAMS)
        add_duties(BACKTESTS)
        add_guards(Guard("policy_decision"), Guard("policy_policyversion"))
        declare("policy", "apps.policy.services.drafting.POLICIES")
        add_entries(*PAGES)
