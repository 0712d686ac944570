"""Service accounts and their tokens: made and revoked by administrators, presented by machines."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection
from django.db.models.functions import Now

from apps.accounts import registry
from apps.accounts.domain import tokens
from apps.accounts.domain.buckets import filled
from apps.accounts.domain.tokens import (
    MISUSED,
    MOST_STARTS,
    MOST_USD,
    Principal,
    Refused,
    Scope,
    TokenLimits,
)
from apps.accounts.models import ApiToken, ServiceAccount, User
from apps.audit import selectors as log
from apps.audit import services as audit
from apps.audit.domain.actors import Actor
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.statements import fetch
from apps.kernel.transactions import command, participant

ALARM_S = 60


def create_account(*, actor: User, name: str, purpose: str) -> ServiceAccount:
    """A service account without tokens. ConflictError if the name is taken."""
    try:
        return _create_account(actor, name, purpose)
    except IntegrityError as error:  # the unique name decides between two who create it at once
        raise ConflictError(f"The name {name} is taken.", code="name_taken") from error


@command
def _create_account(actor: User, name: str, purpose: str) -> ServiceAccount:
    account = ServiceAccount.objects.create(name=name, purpose=purpose, created_by=actor)
    _record("service.created", actor, account)
    return account


@command
def create_token(
    *,
    actor: User,
    account_id: int,
    scopes: Iterable[str],
    days: int,
    rate_per_minute: int,
    limits: TokenLimits = TokenLimits(),  # noqa: B008  # it never changes
) -> tuple[ApiToken, str]:
    """A token for an account, returned once in the clear. ``days`` is its life, 90 at most."""
    wanted = sorted({str(Scope(s)) for s in scopes})
    if not wanted:
        raise InvalidInputError("Choose what the token may do.", field="scopes")
    if not 1 <= days <= tokens.LONGEST_DAYS:
        raise InvalidInputError(
            f"A token lives 1 to {tokens.LONGEST_DAYS} days, not {days}.", field="days"
        )
    _examine(limits)
    account = _open_account(account_id)
    secret = tokens.mint(secrets.token_bytes(tokens.RANDOM_BYTES))
    row = ApiToken(
        account=account,
        digest=tokens.digest_of(secret),
        shown=tokens.shown(secret),
        scopes=wanted,
        rate_per_minute=rate_per_minute,
        allowance=rate_per_minute,
        jobs=sorted(limits.jobs),
        starts_per_hour=limits.starts_per_hour,
        starts_left=limits.starts_per_hour or 0,
        usd_per_day=limits.usd_per_day,
        created_by=actor,
        expires_at=Now() + timedelta(days=days),
    )
    row.save(force_insert=True)
    row.refresh_from_db()
    _record(
        "token.created", actor, account, token=row.shown, scopes=wanted, days=days, **_told(row)
    )
    return row, secret


def _examine(limits: TokenLimits) -> None:
    """Refuse bounds that bound nothing, by name."""
    known = {name for name, _ in registry.jobs()}
    if strange := sorted(set(limits.jobs) - known):
        raise InvalidInputError(f"There is no job {strange[0]}.", field="jobs")
    if limits.starts_per_hour is not None and not 1 <= limits.starts_per_hour <= MOST_STARTS:
        raise InvalidInputError(f"1 to {MOST_STARTS} runs an hour.", field="starts")
    if limits.usd_per_day is not None and not 0 < limits.usd_per_day <= MOST_USD:
        raise InvalidInputError(f"More than $0, and ${MOST_USD} at most.", field="usd")


def _told(row: ApiToken) -> dict[str, Any]:
    """Its bounds for the log."""
    usd = None if row.usd_per_day is None else str(row.usd_per_day)
    bounds = {"jobs": row.jobs, "starts_per_hour": row.starts_per_hour, "usd_per_day": usd}
    return {name: value for name, value in bounds.items() if value}


@command
def revoke_token(*, actor: User, token_id: int) -> ApiToken:
    """End a token; the very next request with it is refused. ConflictError if it was ended."""
    # Guarded: of two administrators who revoke at once one did it, and the other is told who.
    mine = ApiToken.objects.filter(pk=token_id, revoked_at=None)
    moved = mine.update(revoked_at=Now(), revoked_by=actor)
    row = ApiToken.objects.select_related("account", "revoked_by").filter(pk=token_id).first()
    if row is None:
        raise NotFoundError("There is no such token.")
    if not moved:
        who = row.revoked_by.display_name if row.revoked_by else ""
        raise ConflictError("This token is revoked already.", who=who, when=row.revoked_at)
    _record("token.revoked", actor, row.account, token=row.shown)
    return row


@command
def disable_account(*, actor: User, account_id: int) -> ServiceAccount:
    """End an account for good: every token of it stops working at once."""
    account = _open_account(account_id)
    if not ServiceAccount.objects.filter(pk=account_id, disabled_at=None).update(disabled_at=Now()):
        raise ConflictError("This account was disabled meanwhile.", code="disabled")
    _record("service.disabled", actor, account)
    return account


# One guarded statement spends the bucket, so that requests in several processes can't overspend it:
# they take turns on the row, and the last ones hit none. The database's clock fills the bucket.
# Nobody waits for the disk: what a crash loses is that the bucket was a little emptier.
_FULL = filled(
    "t.allowance", "t.refilled_at", a_second="t.rate_per_minute / 60.0", most="t.rate_per_minute"
)
_VALID = "t.revoked_at IS NULL AND t.expires_at > clock_timestamp() AND a.disabled_at IS NULL"
_SPEND = f"""
UPDATE accounts_apitoken t
SET allowance = {_FULL} - 1, refilled_at = clock_timestamp(), last_used_at = clock_timestamp()
FROM accounts_serviceaccount a, set_config('synchronous_commit', 'off', true)
WHERE t.digest = %s AND a.id = t.account_id AND {_VALID} AND {_FULL} >= 1
RETURNING a.id, a.name, t.id, t.scopes, t.jobs, t.starts_per_hour, t.usd_per_day
"""  # noqa: S608  # constants only
_WHY = f"""
SELECT a.disabled_at IS NOT NULL, t.revoked_at IS NOT NULL, t.expires_at <= clock_timestamp(),
       (1 - {_FULL}) * 60.0 / t.rate_per_minute
FROM accounts_apitoken t JOIN accounts_serviceaccount a ON a.id = t.account_id WHERE t.digest = %s
"""  # noqa: S608  # constants only


def present(secret: str) -> Principal | Refused:
    """Who presents this token, having spent one request of its bucket; or why it doesn't count.
    Reason codes: ``unknown_token``, ``disabled``, ``revoked``, ``expired``, ``too_many``."""
    if not tokens.is_sound(secret):
        return Refused("unknown_token", "This token is not valid.")
    digest = tokens.digest_of(secret)
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, [digest])
        if row := cursor.fetchone():
            scopes, jobs = frozenset(json.loads(row[3])), tuple(json.loads(row[4]))
            return Principal(*row[:3], scopes, jobs, *row[5:])
        cursor.execute(_WHY, [digest])
        return _refusal(cursor.fetchone())


# The bucket of runs, spent as that of requests is; without a bound there is none.
_STARTS = filled(
    "starts_left",
    "starts_filled_at",
    a_second="starts_per_hour / 3600.0",
    most="starts_per_hour",
)
_SPEND_START = f"""
UPDATE accounts_apitoken SET starts_left = {_STARTS} - 1, starts_filled_at = clock_timestamp()
WHERE id = %s AND {_STARTS} >= 1 RETURNING id
"""  # noqa: S608  # constants only
_NEXT_START = f"""
SELECT starts_per_hour, (1 - {_STARTS}) * 3600.0 / starts_per_hour
FROM accounts_apitoken WHERE id = %s AND starts_per_hour IS NOT NULL
"""  # noqa: S608  # constants only


@command
def spend_start(token_id: int) -> Refused | None:
    """Take one run off what this token may start an hour; or when it may again (``too_many_runs``).
    Guarded, so that requests at once can't overspend it."""
    if fetch(_SPEND_START, [token_id]) or not (found := fetch(_NEXT_START, [token_id])):
        return None
    [(bound, wait_s)] = found
    words = f"This token may start {bound} {'run' if bound == 1 else 'runs'} an hour, and did."
    return Refused("too_many_runs", words, retry_after=max(1, math.ceil(wait_s)))


@command
def misuse(secret: str, *, method: str, path: str) -> bool:
    """Whether this is a token of ours, ended or not, that was brought where only people go. The log
    is told who brought it where, at most once a minute for each token, so that nobody fills it."""
    if not tokens.is_sound(secret):
        return False
    # Locked: of many that bring it at once, the others wait here and then find the event.
    mine = ApiToken.objects.select_for_update(of=("self",)).select_related("account")
    row = mine.filter(digest=tokens.digest_of(secret)).first()
    if row is None:
        return False
    told = {"token": row.shown}
    if not log.is_told("service", row.account_id, MISUSED, within_s=ALARM_S, payload=told):
        audit.record(
            kind=MISUSED,
            actor=Actor.service(row.account.name),
            subject_type="service",
            subject_id=row.account_id,
            payload={"token": row.shown, "method": method[:10], "path": path[:200]},
        )
    return True


def _refusal(found: tuple[bool, bool, bool, float] | None) -> Refused:
    if found is None:
        return Refused("unknown_token", "This token is not valid.")
    disabled, revoked, expired, wait_s = found
    if disabled:
        return Refused("disabled", "The service account of this token is disabled.")
    if revoked:
        return Refused("revoked", "This token was revoked.")
    if expired:
        return Refused("expired", "This token has expired. An administrator can make a new one.")
    seconds = max(1, math.ceil(wait_s))
    return Refused("too_many", "The token's rate limit is exceeded.", retry_after=seconds)


def _open_account(account_id: int) -> ServiceAccount:
    account = ServiceAccount.objects.filter(pk=account_id).first()
    if account is None:
        raise NotFoundError("There is no such service account.")
    if account.disabled_at:
        raise ConflictError("This account is disabled.", code="disabled", when=account.disabled_at)
    return account


@participant
def _record(kind: str, actor: User, account: ServiceAccount, **payload: Any) -> None:
    audit.record(
        kind=kind,
        actor=actor.actor,
        subject_type="service",
        subject_id=account.pk,
        payload={"account": account.name, **payload},
    )
