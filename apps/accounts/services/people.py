"""What changes about people: who may log in, in which role, and how they like the pages."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from django.db import IntegrityError

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import SETUP, Actor
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.transactions import command, participant

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


def create_user(*, actor: User, username: str, role: str, full_name: str) -> tuple[User, str]:
    """A new log-in with a generated password, returned once. ConflictError if the name is taken."""
    password = new_password()
    try:
        return _create(actor.actor, username, role, full_name, password), password
    except IntegrityError as error:  # the unique name decides between two who create it at once
        raise ConflictError(f"The user name {username} is taken.", code="name_taken") from error


@command
def _create(actor: Actor, username: str, role: str, full_name: str, password: str) -> User:
    first, _, last = full_name.partition(" ")
    user = User(username=username, role=role, first_name=first, last_name=last)
    user.set_password(password)
    user.save(force_insert=True)
    _record("user.created", actor, user, role=role)
    return user


@command
def change_role(*, actor: User, user_id: int, role: str) -> User:
    """Give a person another role. It counts from their next request on."""
    if role not in set(Role):
        raise InvalidInputError(f"There is no role {role!r}.")
    user = _other(actor, user_id)
    old, user.role = user.role, role
    user.save(update_fields=["role"])
    _keep_an_admin()
    _record("user.role_changed", actor.actor, user, old=old, new=role)
    return user


@command
def disable_user(*, actor: User, user_id: int) -> User:
    """End a person's access at once: their open sessions die with the password they were signed
    with, and enabling the account later doesn't revive them."""
    user = _other(actor, user_id)
    user.is_active = False
    user.set_unusable_password()
    user.save(update_fields=["is_active", "password"])
    _keep_an_admin()
    _record("user.disabled", actor.actor, user)
    return user


@command
def reset_password(*, actor: User, user_id: int, kind: str = "user.password_reset") -> str:
    """A new generated password, returned once; enables a disabled account."""
    user = _other(actor, user_id)
    password = new_password()
    user.is_active = True
    user.set_password(password)
    user.save(update_fields=["is_active", "password"])
    _record(kind, actor.actor, user)
    return password


@command
def save_preferences(user: User, **preferences: Any) -> None:
    """Remember how this person likes the pages."""
    user.preferences = {**user.preferences, **preferences}
    user.save(update_fields=["preferences"])


@command
def create_first_logins(passwords_file: Path) -> list[str]:
    """Log-ins of each role (as many as are needed together), passwords appended to a 0600 file as
    ``role  username  password``. Accounts that exist stay untouched. Returns the names created."""
    known = set(User.objects.values_list("username", flat=True))
    lines, created = [], []
    for role, username in FIRST_LOGINS:
        if username in known:
            continue
        password = new_password()
        user = User(username=username, role=role)
        user.set_password(password)
        user.save(force_insert=True)
        _record("user.created", SETUP, user, role=role.value)
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


def _other(actor: User, user_id: int) -> User:
    """The row of somebody else, locked with every administrator's: of two who take away each
    other's rights at once, the second sees what the first did and can't remove the last one."""
    if user_id == actor.pk:
        raise InvalidInputError("This is your own account: another administrator can change it.")
    admins = User.objects.filter(role=Role.ADMIN, is_active=True)
    list(admins.order_by("pk").select_for_update().values_list("pk", flat=True))
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFoundError("There is no such person.")
    return user


def _keep_an_admin() -> None:
    if not User.objects.filter(role=Role.ADMIN, is_active=True).exists():
        raise ConflictError("At least one administrator must remain.", code="last_admin")


@participant
def _record(kind: str, actor: Actor, user: User, **payload: Any) -> None:
    audit.record(
        kind=kind,
        actor=actor,
        subject_type="user",
        subject_id=user.pk,
        payload={"username": user.username, **payload},
    )
