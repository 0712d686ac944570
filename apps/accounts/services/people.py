"""What changes about people: who may log in, in which role, and how they like the pages."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import IntegrityError
from django.db.models.functions import Now

from apps.accounts.domain.roles import Role
from apps.accounts.models import Enrolment, Team, User
from apps.accounts.selectors import is_of_provider, provider_name
from apps.accounts.services.enrolment import invite
from apps.accounts.services.rows import actor_of, keep_an_admin, other, record
from apps.accounts.services.sessions import end_all
from apps.accounts.services.teams import join, leave_all
from apps.audit.domain.actors import SETUP
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.kernel.transactions import command

PASSWORD_BYTES = 15
FIRST_LOGINS = (
    (Role.OPERATOR, "operator"),
    (Role.OPERATOR, "operator2"),
    (Role.PRODUCT_MANAGER, "pm"),
    (Role.ADMIN, "admin"),
    (Role.ADMIN, "admin2"),
    (Role.ADMIN, "admin3"),
    (Role.AUDITOR, "auditor"),
)


def new_password() -> str:
    """120 random bits in letters, digits, dash and underscore."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def create_user(
    *,
    actor: User | None,
    username: str,
    role: str,
    full_name: str,
    teams: Sequence[Team] | None = None,
) -> tuple[User, str]:
    """A new account with the code by which its person enrols, returned once. ``actor`` is ``None``
    for a command on the server. An operator is put into ``teams``; into those that take new ones
    where they aren't said. ConflictError if the name is taken."""
    try:
        return _create(actor, username, role, full_name, teams)
    except IntegrityError as error:  # the unique name decides between two who create it at once
        raise ConflictError(f"The user name {username} is taken.", code="name_taken") from error


@command
def _create(
    by: User | None, username: str, role: str, full_name: str, teams: Sequence[Team] | None
) -> tuple[User, str]:
    _require_role(role)
    first, _, last = full_name.partition(" ")
    user = User(username=username, role=role, first_name=first, last_name=last)
    user.save(force_insert=True)
    code = invite(by, user)
    record("user.created", actor_of(by), user, role=role)
    join(actor_of(by), user, teams)
    return user, code


@command
def change_role(*, actor: User, user_id: int, role: str) -> User:
    """Give a person another role. It counts from their next request on; they leave their teams, and
    who becomes an operator is put into those that take new ones; who becomes an admin acts once
    another admin has confirmed. ConflictError where the identity provider gives it."""
    _require_role(role)
    user = other(actor, user_id)
    if role == user.role:
        return user
    if is_of_provider(user):
        name = provider_name()
        raise ConflictError(f"{name} says which role {user.username} has: change it there.")
    old, user.role = user.role, role
    user.granted_by = actor if role == Role.ADMIN else None
    user.save(update_fields=["role", "granted_by"])
    keep_an_admin()
    record("user.role_changed", actor.actor, user, old=old, new=role)
    leave_all(actor.actor, user)
    join(actor.actor, user)
    return user


@command
def disable_user(*, actor: User, user_id: int) -> User:
    """End a person's access at once: their open sessions die with the password they were signed
    with, and enabling the account later doesn't revive them."""
    user = other(actor, user_id)
    user.is_active = False
    user.set_unusable_password()
    user.save(update_fields=["is_active", "password"])
    Enrolment.objects.filter(user=user).delete()
    end_all(user)
    keep_an_admin()
    record("user.disabled", actor.actor, user)
    return user


@command
def reset_access(
    *, actor: User | None, user_id: int, kind: str = "user.password_reset"
) -> tuple[User, str]:
    """Take the account back: its password and sessions end, and its person enrols with the code
    that is returned once. Enables a disabled account."""
    user = other(actor, user_id)
    code = invite(actor, user)
    if actor is not None:
        keep_an_admin()
    record(kind, actor_of(actor), user)
    return user, code


@command
def save_preferences(user: User, **preferences: Any) -> None:
    """Remember how this person likes the pages."""
    user.preferences = {**user.preferences, **preferences}
    user.save(update_fields=["preferences"])


@command
def create_first_logins(passwords_file: Path) -> list[str]:
    """Log-ins of each role (as many as are needed together), passwords appended to a 0600 file as
    ``role  username  password``: of a tower that is one machine's own. Accounts that exist stay
    untouched. Returns the names created."""
    known = set(User.objects.values_list("username", flat=True))
    lines, created = [], []
    for role, username in FIRST_LOGINS:
        if username in known:
            continue
        password = new_password()
        user = User(username=username, role=role, enrolled_at=Now())
        user.set_password(password)
        user.save(force_insert=True)
        record("user.created", SETUP, user, role=role.value)
        join(SETUP, user)
        lines.append(f"{role.value}  {username}  {password}\n")
        created.append(username)
    if lines:
        # Inside the transaction: if the file can't be written, nobody gets a password nobody knows.
        _append_private(passwords_file, "".join(lines))
    return created


def _append_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def _require_role(role: str) -> None:
    if role not in set(Role):
        raise InvalidInputError(f"There is no role {role!r}.", field="role")
