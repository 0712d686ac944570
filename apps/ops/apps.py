from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import Permission, Role
from apps.accounts.registry import add_entries, add_notices, add_pages_with_views, add_permissions
from apps.audit.domain.streams import Stream
from apps.audit.domain.subscriber import Subscriber
from apps.audit.registry import add_streams, subscribe
from apps.oversight.registry import add_outcomes

PERMISSIONS = (Permission("audit.view", frozenset({Role.ADMIN, Role.AUDITOR})),)
STREAMS = (Stream("audit", "audit.view"),)
PAGES = (
    NavigationEntry("Runs", "runs:list", "runs", "r", "runs.view", 30, first=True),
    NavigationEntry("Stops", "stops:index", "stop", "x", "tower.view", 70),
    NavigationEntry("Load", "load:index", "load", "l", "runs.view", 90),
    NavigationEntry("Audit", "audit:list", "audit", "u", "audit.view", 100),
)
OBJECTS = Subscriber(
    "ops.objects",
    "pages of objects and the search by ids lack the newest steps",
    # A run that waits: its step is noted before it ends. A branch begins with steps.
    ("run.accepted", "run.deferred", "run.shed", "run.waiting_approval", "step."),
    "apps.ops.reactions.note_objects",
)
NOTICES = ("ops/_stop_banner.html",)


class OpsConfig(AppConfig):
    name = "apps.ops"
    label = "ops"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_streams(*STREAMS)
        add_entries(*PAGES)
        add_pages_with_views({"runs:list": "runs.view", "audit:list": "audit.view"})
        add_notices(*NOTICES)
        subscribe(OBJECTS)
        add_outcomes("apps.ops.selectors.decided.outcomes_of")
