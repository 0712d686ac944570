"""How far an account has come: who has one may not yet be somebody who acts. Pure."""

from __future__ import annotations

from enum import StrEnum


class Standing(StrEnum):
    """What an account counts for. Only an active one acts."""

    DISABLED = "disabled"
    INVITED = "invited"  # made or reset, and its person has set no password of their own yet
    UNCONFIRMED = "unconfirmed"  # an admin's that one admin alone vouches for
    ACTIVE = "active"


HINDRANCES = {
    Standing.DISABLED: "This account is disabled. An admin can enable it.",
    Standing.INVITED: "This account was made or reset, and nobody has enrolled with its link yet.",
    Standing.UNCONFIRMED: "Another admin has to confirm this admin account before it can act.",
    Standing.ACTIVE: "",
}

NEEDS_SECOND_FACTOR = (
    "Add a second factor (a passkey or an authenticator app) under You → Security before you act."
)


def standing(*, is_active: bool, is_enrolled: bool, is_vouched_for: bool) -> Standing:
    """Where an account stands; ``is_vouched_for`` is false of an admin's that another admin has to
    confirm."""
    if not is_active:
        return Standing.DISABLED
    if not is_enrolled:
        return Standing.INVITED
    return Standing.ACTIVE if is_vouched_for else Standing.UNCONFIRMED


def confirming(*, granted_by: int | None, person: int, by: int | None, is_enrolled: bool) -> str:
    """Why ``by`` can't confirm the account of ``person`` now; nothing if they can. ``by`` is
    ``None`` for a command on the server, and ``granted_by`` for an account that needs nobody."""
    if granted_by is None:
        return "This account needs no confirmation."
    if by == person:
        return "This is your own account: another admin confirms it."
    if by == granted_by:
        return "You made, reset or promoted this account yourself: another admin confirms it."
    if not is_enrolled:
        return "Nobody has enrolled with its link yet: confirm it when its person has."
    return ""
