"""How a person comes to an account: a link that an admin hands over, a password that only its
person knows, and for admins a second admin who confirms."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.accounts.domain import enrolment
from apps.accounts.domain.roles import Role
from apps.accounts.domain.standing import confirming
from apps.accounts.models import Enrolment, User
from apps.accounts.selectors import is_of_provider, provider_name
from apps.accounts.services.doors import forget
from apps.accounts.services.factors import take_away
from apps.accounts.services.rows import actor_of, other, record
from apps.accounts.services.sessions import check_password, end_all
from apps.audit.domain.actors import PROVIDER
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.transactions import command, participant

NO_PASSWORDS = (
    "Nobody logs in with a password of the tower's own (TOWER_PASSWORDS): people log in with {}."
)
NO_CODE = "This code was used, replaced or has run out. Ask an admin for a new one."


@participant
def invite(by: User | None, user: User) -> str:
    """Take the account from whoever has it (its password, second factors and sessions end) until
    its person enrols with the code that is returned, or by a log-in at the identity provider if
    that says who they are (no code then); an admin's then waits for another admin as well. Raises
    ConflictError where nobody logs in with a password."""
    is_theirs = is_of_provider(user)
    if not is_theirs and not settings.PASSWORDS:
        raise ConflictError(NO_PASSWORDS.format(provider_name()))
    end_all(user)
    take_away(user)
    forget(user.username)
    user.is_active = True
    user.enrolled_at = None
    user.set_unusable_password()
    if user.role == Role.ADMIN:
        user.granted_by = by
    user.save(update_fields=["is_active", "enrolled_at", "password", "granted_by"])
    if is_theirs:
        return ""
    code = enrolment.mint(secrets.token_bytes(enrolment.RANDOM_BYTES))
    expires = Now() + timedelta(hours=settings.ENROLMENT_HOURS)
    made = {"digest": enrolment.digest_of(code), "created_at": Now(), "expires_at": expires}
    Enrolment.objects.update_or_create(user=user, defaults=made)
    return code


def enrol(*, code: str, password: str) -> User:
    """Set the password of the account that the code is for, once. Raises InvalidInputError with the
    field for a code that doesn't count and a password that others would guess."""
    if not settings.PASSWORDS:
        raise InvalidInputError(NO_PASSWORDS.format(provider_name()), field="token")
    live = Enrolment.objects.filter(digest=enrolment.digest_of(code), expires_at__gt=Now())
    # Only whoever brings a code that counts has their password looked at.
    check_password(password, _enrolling(User.objects.all(), live))
    return _enrol(live, password)


@command
def _enrol(live: QuerySet[Enrolment], password: str) -> User:
    user = _enrolling(User.objects.select_for_update(of=("self",)), live)
    # The guarded delete decides between two who bring one code: the second finds nothing.
    if not live.delete()[0]:
        raise InvalidInputError(NO_CODE, field="token")
    user.set_password(password)
    user.enrolled_at = Now()
    user.save(update_fields=["password", "enrolled_at"])
    user.refresh_from_db()
    record("user.enrolled", user.actor, user)
    return user


def _enrolling(users: QuerySet[User], live: QuerySet[Enrolment]) -> User:
    """Whose account a code is for."""
    user = users.filter(pk__in=live.values("user")).first()
    if user is None or not user.is_active:
        raise InvalidInputError(NO_CODE, field="token")
    return user


@command
def confirm(*, actor: User | None, user_id: int) -> User:
    """Vouch for an admin account as the second admin; ``None`` is a command on the server."""
    if actor is not None and not actor.may("users.manage"):
        raise NotPermittedError(actor.hindrance or "Only admins confirm accounts.")
    # The row is locked: whoever resets the account at this moment comes before or after.
    user = other(actor, user_id)
    why = confirming(
        granted_by=user.granted_by_id,
        person=user.pk,
        by=actor.pk if actor else None,
        is_enrolled=user.enrolled_at is not None,
    )
    if why:
        raise ConflictError(why, code="not_confirmed")
    vouched = user.granted_by
    user.granted_by = None
    user.save(update_fields=["granted_by"])
    name = vouched.username if vouched else ""
    name = PROVIDER.text if vouched == user else name
    record("user.confirmed", actor_of(actor), user, granted_by=name)
    return user
