"""What an identity provider says of a person, once its signature was verified. Pure.

Who somebody is, is the issuer with its subject: names and addresses are given to others again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.accounts.domain.provider import LogInError, LogInProblem

MOST_NAME = 60
MOST_VALUES = 2000  # of one claim; what stands behind gives nothing
_NAME = re.compile(r"[\w.@+-]+")  # as user names are typed
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # what can't be seen, or turns a line round


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """Which claims are read. ``roles`` says which value of ``role_claim`` gives which role, and the
    first of them that somebody has wins; ``second_factors`` are the values of ``amr`` and ``acr``
    that stand for a second factor."""

    role_claim: str
    roles: Mapping[str, str]
    name_claim: str
    second_factors: frozenset[str]


@dataclass(frozen=True, slots=True)
class Told:
    """Who somebody is at the provider, whether or not they may use the tower; ``username`` is empty
    if it can't be used."""

    issuer: str
    subject: str
    username: str
    full_name: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the provider vouches for: with this role, and with a second factor or not.
    ``proved_at``: when they last proved it there, in seconds since 1970; 0 if it doesn't say."""

    identity: Told
    role: str
    has_second_factor: bool
    proved_at: float


def identity_of(claims: Mapping[str, Any], terms: ClaimTerms) -> Told:
    """Raises ``LogInError`` where nobody is named."""
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not _is_identifier(issuer) or not _is_identifier(subject):
        raise LogInError(LogInProblem.NOBODY, "iss or sub is missing, too long or no text")
    given = _value(claims, terms.name_claim)
    return Told(str(issuer), str(subject), _username(given), _full_name(claims.get("name")))


def person_of(claims: Mapping[str, Any], terms: ClaimTerms) -> Person:
    """Raises ``LogInError`` for somebody without a role, or without a name that can be used."""
    identity = identity_of(claims, terms)
    if not identity.username:
        raise LogInError(LogInProblem.NO_NAME, f"claim {terms.name_claim!r}")
    has = _texts(_value(claims, terms.role_claim))
    role = next((role for value, role in terms.roles.items() if value in has), None)
    if role is None:
        raise LogInError(
            LogInProblem.NO_ROLE, f"claim {terms.role_claim!r} has none that is mapped"
        )
    proofs = _texts(claims.get("amr")) | _texts(claims.get("acr"))
    return Person(
        identity, role, bool(proofs & terms.second_factors), _moment(claims.get("auth_time"))
    )


def _value(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of this name; one that begins with / leads into it (RFC 6901), as Keycloak's
    ``/realm_access/roles``."""
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for part in name[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> set[str]:
    """The texts of a claim that is one, or a list of them; anything else gives nothing."""
    values = value[:MOST_VALUES] if isinstance(value, list) else [value]
    return {one for one in values if isinstance(one, str)}


def _is_identifier(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _username(value: Any) -> str:
    """In one form, so that no two people have names that differ by case or width only."""
    if not isinstance(value, str) or len(value) > 4 * MOST_NAME:
        return ""
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value.strip()).casefold())
    return name if len(name) <= MOST_NAME and _NAME.fullmatch(name) else ""


def _full_name(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    seen = "".join(one for one in value[:400] if unicodedata.category(one) not in _UNSEEN)
    return " ".join(seen.split())[:120]


def _moment(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 2**53 else 0.0
