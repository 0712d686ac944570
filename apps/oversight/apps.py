from __future__ import annotations

from django.apps import AppConfig

from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.domain.roles import EVERYONE, Permission, Role
from apps.accounts.registry import add_entries, add_pages_with_views, add_permissions
from apps.audit.domain.duty import Duty
from apps.audit.domain.guard import Guard
from apps.audit.domain.streams import Stream
from apps.audit.registry import (
    BundlePart,
    Signer,
    add_bundle_parts,
    add_duties,
    add_guards,
    add_streams,
    sign_by,
)
from apps.oversight.registry import add_parties

DUTIES = (
    Duty(
        "expired_approvals",
        "questions stay open beyond their window",
        "apps.oversight.services.expire_due",
        aside="apps.oversight.services.UNENDABLE",
    ),
    Duty(
        "granted_approvals",
        "approved steps are not carried out once they can't be taken back any more",
        "apps.oversight.services.release_due",
        aside="apps.oversight.services.UNRELEASED",
    ),
    Duty(
        "escalations",
        "nobody is called about questions that wait",
        "apps.oversight.services.escalate_due",
    ),
    Duty(
        "grants",
        "grants whose time is over stand among those that count, though they cover nothing",
        "apps.oversight.services.end_grants_due",
        aside="apps.oversight.services.UNENDABLE_GRANTS",
    ),
    Duty(
        "undecidable_approvals",
        "admins are not told of questions that nobody may decide",
        "apps.oversight.services.call_about_undecidable",
        every_s=30.0,
    ),
)

# What was asked stays as it was asked; its signature covers the rest (decision 0049).
ASKED = ("id", "run_id", "step_id", "decision_id", "digest", "binding", "sentence", "arguments")
TERMS = ("undo_s", "reasons")
# A grant is confirmed once and ended once; what was proposed, and each use, stays.
GRANT_CHANGES = (
    *("used", "state", "confirmed_by_id", "confirmed_at", "confirm_reason", "signature", "key_id"),
    *("ends_at", "ended_by_id", "ended_at", "ended_why"),
)
GUARDS = (
    Guard("approvals_approval", fixed=(*ASKED, *TERMS, "created_at")),
    Guard("approvals_vote", deletes=True),  # one that nobody signed, while its question is open
    Guard("approvals_escalation"),
    Guard("approvals_reversal"),
    Guard("approvals_edit"),
    Guard("approvals_table", fixed=("id", "user_id", "opened_at")),
    Guard("approvals_tablerow", changes=("result", "words")),
    Guard("approvals_delegation", changes=("over_at",)),
    Guard("approvals_grant", changes=GRANT_CHANGES),
    Guard("approvals_grantuse"),
    Guard("approvals_absence", changes=("ended_at", "ended_by_id")),
)

SIGNER = Signer("apps.oversight.adapters.sign_as_a_machine", "apps.oversight.adapters.verify")
IN_BUNDLES = BundlePart(
    "apps.oversight.services.bundled.keys", "apps.oversight.services.bundled.answers"
)

PERMISSIONS = (
    Permission("approvals.view", EVERYONE),
    Permission("approvals.decide", frozenset({Role.OPERATOR})),
    # One's own, of whoever decides or is called; and everybody's, for somebody who is ill.
    Permission("absences.set", frozenset({Role.OPERATOR, Role.PRODUCT_MANAGER, Role.ADMIN})),
    Permission("absences.manage", frozenset({Role.ADMIN})),
)
STREAMS = (Stream("approvals", "approvals.view", kinds=("approval", "absence", "grant")),)
PAGES = (
    NavigationEntry(
        "Approvals",
        "approvals:queue",
        "approvals",
        "a",
        "approvals.view",
        20,
        first=True,
        count="oversight/_count.html",
    ),
)


class OversightConfig(AppConfig):
    name = "apps.oversight"
    # The label of its first name: tables, migrations and permissions are called by it.
    label = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_streams(*STREAMS)
        add_duties(*DUTIES)
        add_guards(*GUARDS)
        sign_by(SIGNER)
        add_bundle_parts(IN_BUNDLES)
        add_entries(*PAGES)
        add_pages_with_views({"approvals:queue": "approvals.view"})
        add_parties(
            "apps.oversight.services.parties.policy_author",
            "apps.oversight.services.parties.editors",
        )
