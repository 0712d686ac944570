"""What changes about people and about the machines that act for a company's systems."""

from __future__ import annotations

from apps.accounts.services.enrolment import confirm, enrol
from apps.accounts.services.people import (
    change_role,
    create_first_logins,
    create_user,
    disable_user,
    new_password,
    reset_access,
    save_preferences,
)
from apps.accounts.services.saved import delete_view, save_view
from apps.accounts.services.teams import change_team, hold_scopes, join, make_team, remove_team
from apps.accounts.services.tokens import (
    create_account,
    create_token,
    disable_account,
    misuse,
    present,
    revoke_token,
    spend_start,
)

__all__ = [
    "change_role",
    "change_team",
    "confirm",
    "create_account",
    "create_first_logins",
    "create_token",
    "create_user",
    "delete_view",
    "disable_account",
    "disable_user",
    "enrol",
    "hold_scopes",
    "join",
    "make_team",
    "misuse",
    "new_password",
    "present",
    "remove_team",
    "reset_access",
    "revoke_token",
    "save_preferences",
    "save_view",
    "spend_start",
]
