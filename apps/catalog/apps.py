from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import EVERYONE, Permission, Role
from apps.accounts.registry import add_domains, add_entries, add_jobs, add_permissions
from apps.audit.domain.duty import Duty
from apps.audit.domain.guard import Guard
from apps.audit.domain.streams import Stream
from apps.audit.registry import add_duties, add_guards, add_streams
from apps.documents.selectors import declare
from apps.oversight.registry import add_grant_bars, add_parties

WATCHING = Duty(
    "watched_servers",
    "nobody sees that a tool server is silent or changed its tools",
    "apps.catalog.services.watch_servers",
    every_s=settings.SERVER_CHECK_SECONDS,
    waits=True,
)

GUARDS = (
    # What a tool's server said of it may still be added to its version.
    Guard("catalog_toolversion", changes=("served", "served_digest")),
    *(Guard(f"catalog_{kind}version") for kind in ("agent", "contract", "languagemodel")),
    *(Guard(f"catalog_{kind}version") for kind in ("prompt", "toolserver")),
)
PERMISSIONS = (
    Permission("catalog.view", EVERYONE),
    Permission("catalog.edit", frozenset({Role.ADMIN})),
)
STREAMS = (Stream("catalog", "catalog.view", kinds=("contract",)),)
PAGES = (NavigationEntry("Catalog", "catalog:index", "catalog", "c", "catalog.view", 40),)


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for kind in ("agent", "model", "prompt", "server", "tool"):
            declare(kind, f"apps.catalog.services.kinds.{kind.upper()}S")
        add_permissions(*PERMISSIONS)
        add_streams(*STREAMS)
        declare("contract", "apps.catalog.services.drafts.CONTRACTS")
        add_duties(WATCHING)
        add_guards(*GUARDS)
        add_entries(*PAGES)
        add_jobs("apps.catalog.selectors.entries.jobs_for_tokens")
        add_domains("apps.catalog.selectors.entries.domains_for_teams")
        add_parties("apps.catalog.selectors.contracts.contract_author")
        add_grant_bars("apps.catalog.selectors.contracts.critical_job")
