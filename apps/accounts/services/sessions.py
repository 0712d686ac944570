"""One's own sessions and password."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db.models.functions import Now

from apps.accounts.models import OpenSession, User
from apps.accounts.services.doors import happened
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.kernel.transactions import command, participant

CLEARED_AT_ONCE = 5_000
NOT_YOURS = "This isn't your password."


def change_password(*, user: User, old: str, new: str, session_key: str) -> User:
    """Set one's own password. Every other session of this person ends. Raises InvalidInputError
    with the field."""
    user = User.objects.get(pk=user.pk)
    if not user.check_password(old):
        raise InvalidInputError(NOT_YOURS, field="old")
    if new == old:
        raise InvalidInputError("This is the password that you have.", field="password")
    check_password(new, user)
    return _change_password(user, new, session_key)


@command
def _change_password(seen: User, new: str, session_key: str) -> User:
    user = User.objects.select_for_update(of=("self",)).get(pk=seen.pk)
    if user.password != seen.password:  # changed, or reset, since the old one was looked at
        raise InvalidInputError(NOT_YOURS, field="old")
    user.set_password(new)
    user.save(update_fields=["password"])
    ended = end_all(user, but=session_key)
    happened("user.password_changed", user, ended=ended)
    return user


def check_password(password: str, user: User) -> None:
    """Refuse a password that others would guess, with every reason. Done before the transaction
    that sets it: a service may be asked over the network, and nobody's row is held meanwhile."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidInputError(" ".join(error.messages), field="password") from error


@command
def end_session(*, user: User, session_id: int) -> None:
    """End one of one's own sessions, here or elsewhere. Its sockets close within seconds."""
    found = OpenSession.objects.filter(user=user, pk=session_id).first()
    if found is None:
        raise NotFoundError("This session has ended already.")
    _end([found.key])
    happened("user.session_ended", user, ended=1)


@command
def end_others(*, user: User, session_key: str) -> int:
    """End every session of one's own but this one; how many there were."""
    ended = end_all(user, but=session_key)
    happened("user.session_ended", user, ended=ended)
    return ended


@command
def forget(*, user: User, key: str) -> None:
    """Somebody logged out: the session is listed no more."""
    OpenSession.objects.filter(key=key).delete()
    happened("user.logged_out", user)


@command
def clear_ended() -> int:
    """Take away sessions whose time is over, which nobody comes back to; how many there were. Who
    never logs in makes some too, so many are taken away a piece at a time."""
    over = Session.objects.filter(expire_date__lt=Now()).values_list("session_key", flat=True)
    return _end(list(over[:CLEARED_AT_ONCE]))


@participant
def end_all(user: User, *, but: str = "") -> int:
    """End this person's sessions but one."""
    rows = OpenSession.objects.filter(user=user).exclude(key=but)
    return _end(list(rows.values_list("key", flat=True)))


@participant
def _end(keys: list[str]) -> int:
    Session.objects.filter(session_key__in=keys).delete()
    OpenSession.objects.filter(key__in=keys).delete()
    return len(keys)
