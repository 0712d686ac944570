"""Rows of people, held while they are changed, and the events that say what changed."""

from __future__ import annotations

from typing import Any

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import SETUP, Actor
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.transactions import participant


def actor_of(by: User | None) -> Actor:
    """How the log names who changes something: a person, or a command on the server."""
    return by.actor if by else SETUP


@participant
def other(by: User | None, user_id: int) -> User:
    """The row of somebody else, locked with every administrator's: of two who take away each
    other's rights at once, the second sees what the first did and can't remove the last one."""
    if by is not None and user_id == by.pk:
        raise InvalidInputError("This is your own account: another administrator can change it.")
    admins = User.objects.filter(role=Role.ADMIN, is_active=True)
    list(admins.order_by("pk").select_for_update().values_list("pk", flat=True))
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFoundError("There is no such person.")
    return user


@participant
def keep_an_admin() -> None:
    """Refuse what would leave nobody who can act as an administrator."""
    admins = User.objects.filter(role=Role.ADMIN, is_active=True)
    if not admins.filter(enrolled_at__isnull=False, granted_by=None).exists():
        raise ConflictError("At least one administrator must remain.", code="last_admin")


@participant
def record(kind: str, actor: Actor, user: User, **payload: Any) -> None:
    """One event about a person."""
    audit.record(
        kind=kind,
        actor=actor,
        subject_type="user",
        subject_id=user.pk,
        payload={"username": user.username, **payload},
    )
