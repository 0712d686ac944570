"""People whom the identity provider vouches for: their account, made at the first log-in, and the
role that it gives them, taken over at each."""

from __future__ import annotations

import hashlib

from django.db import IntegrityError
from django.db.models.functions import Now

from apps.accounts.domain.claims import Person, Told
from apps.accounts.domain.provider import LogInError, LogInProblem
from apps.accounts.domain.roles import Role
from apps.accounts.models import Enrolment, Identity, User
from apps.accounts.services.rows import record
from apps.accounts.services.sessions import end_all
from apps.accounts.services.teams import join, leave_all
from apps.audit import services as audit
from apps.audit.domain.actors import DOOR, PROVIDER
from apps.kernel.transactions import command, participant

HOW = "identity provider"


def arrive(person: Person) -> User:
    """The account of this person as it is now. Raises ``LogInError`` for a disabled one, and for a
    user name that is somebody else's: no account is ever taken over by a name."""
    try:
        return _arrive(person)
    except IntegrityError:
        pass
    except LogInError as error:
        if error.problem != LogInProblem.TAKEN:
            raise
    # The unique name and the unique identity decide between two first log-ins at once. Whatever of
    # the other one came in the way is committed: it is found now, as theirs or as somebody else's.
    return _arrive(person)


@command
def _arrive(person: Person) -> User:
    told = person.identity
    known = Identity.objects.filter(issuer=told.issuer, subject=told.subject)
    # Locked: of an admin who disables or resets it and a log-in at once, one sees the other.
    user = User.objects.select_for_update(of=("self",)).filter(pk__in=known.values("user")).first()
    if user is None:
        return _first(person)
    if not user.is_active:
        raise LogInError(LogInProblem.DISABLED)
    _enrol(user)
    _give(user, person.role)
    if person.has_second_factor and not user.provider_mfa:
        end_all(user)  # no session that was begun without a second factor outlives the first with
    user.provider_mfa = person.has_second_factor
    user.save(update_fields=["provider_mfa"])
    return user


@participant
def _first(person: Person) -> User:
    told = person.identity
    if User.objects.filter(username__iexact=told.username).exists():
        raise LogInError(LogInProblem.TAKEN, "there is an account with this name")
    first, _, last = told.full_name.partition(" ")
    user = User(username=told.username, role=person.role, first_name=first, last_name=last)
    user.enrolled_at, user.provider_mfa = Now(), person.has_second_factor
    user.set_unusable_password()
    user.save(force_insert=True)
    Identity.objects.create(user=user, issuer=told.issuer, subject=told.subject)
    record("user.created", PROVIDER, user, role=person.role, issuer=told.issuer)
    join(PROVIDER, user)
    _await_an_admin(user)
    user.refresh_from_db()
    return user


@participant
def _enrol(user: User) -> None:
    """After a reset, a log-in there is what sets a password elsewhere: its person is back."""
    if user.enrolled_at is None:
        Enrolment.objects.filter(user=user).delete()
        user.enrolled_at = Now()
        user.save(update_fields=["enrolled_at"])
        user.refresh_from_db()
        record("user.enrolled", PROVIDER, user)


@participant
def _give(user: User, role: str) -> None:
    if user.role == role:
        return
    old, user.role, user.granted_by = user.role, role, None
    user.save(update_fields=["role", "granted_by"])
    record("user.role_changed", PROVIDER, user, old=old, new=role)
    leave_all(PROVIDER, user)
    join(PROVIDER, user)
    _await_an_admin(user)


@participant
def _await_an_admin(user: User) -> None:
    """An admin whom a claim makes one waits for an admin of the tower, as any other does: whoever
    can write groups at the provider doesn't make the rules here alone."""
    if user.role == Role.ADMIN:
        user.granted_by = user
        user.save(update_fields=["granted_by"])


@command
def turned_away(told: Told, problem: LogInProblem, *, address: str) -> None:
    """Somebody whom the provider vouched for was refused; whoever has no role there any more keeps
    no session here. Without an account of theirs the event is about their identity, by its
    digest."""
    known = Identity.objects.filter(issuer=told.issuer, subject=told.subject)
    why: dict[str, object] = {"how": HOW, "address": address, "why": str(problem)}
    if found := known.select_related("user").first():
        if problem == LogInProblem.NO_ROLE:
            why["ended"] = end_all(found.user)
        record("user.login_refused", DOOR, found.user, **why)
        return
    digest = hashlib.sha256(f"{told.issuer}\n{told.subject}".encode()).hexdigest()
    audit.record(
        kind="user.login_refused",
        actor=DOOR,
        subject_type="identity",
        subject_id=digest[:32],
        payload={"username": told.username, "issuer": told.issuer, **why},
    )
