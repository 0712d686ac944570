"""Second factors: authenticator apps, passkeys, recovery codes. Added and removed by their person,
shown at the log-in, taken away with a reset of the account."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.adapters import passkeys, sealing
from apps.accounts.adapters.passkeys import NewPasskey, RefusedPasskeyError, RelyingParty
from apps.accounts.domain import totp
from apps.accounts.models import Passkey, RecoveryCode, Totp, User
from apps.accounts.services.doors import happened
from apps.accounts.services.sessions import end_all
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.transactions import command, participant

MOST_PASSKEYS = 20
WRONG_CODE = "This code is wrong, used or too old. Type the one that the app shows now."


@command
def add_totp(*, user: User, secret: str, code: str, session_key: str) -> list[str]:
    """Keep an authenticator app that showed ``code``. Returns recovery codes if there are none
    yet. Raises InvalidInputError for a wrong code, ConflictError if there is an app already."""
    step = totp.step_of(secret, code, now_s=time.time(), after=0)
    if step is None:
        raise InvalidInputError(WRONG_CODE, field="code")
    user = _held(user)
    if Totp.objects.filter(user=user).exists():
        raise ConflictError("There is an authenticator app already. Remove it first.")
    Totp.objects.create(user=user, secret=sealing.seal(secret), last_step=step)
    return _added(user, "authenticator app", session_key)


def add_passkey(
    *, user: User, site: RelyingParty, name: str, made: NewPasskey, session_key: str
) -> list[str]:
    """Keep a passkey. Returns recovery codes if there are none yet."""
    try:
        return _add_passkey(user, site, name, made, session_key)
    except IntegrityError as error:  # the unique id decides: one passkey is one person's
        raise ConflictError("This passkey is known already.") from error


@command
def _add_passkey(
    user: User, site: RelyingParty, name: str, made: NewPasskey, session_key: str
) -> list[str]:
    user = _held(user)
    if Passkey.objects.filter(user=user).count() >= MOST_PASSKEYS:
        raise ConflictError(f"Keep {MOST_PASSKEYS} passkeys at most: remove one first.")
    kept = {"credential_id": made.credential_id, "data": made.data, "sign_count": made.sign_count}
    Passkey.objects.create(user=user, name=name.strip() or "Passkey", host=site.host, **kept)
    return _added(user, "passkey", session_key)


@command
def remove(*, user: User, what: str) -> None:
    """Take away the authenticator app (``totp``) or a passkey (its id)."""
    user = _held(user)
    rows: Any = Totp.objects.filter(user=user)
    if what != "totp":
        rows = Passkey.objects.filter(user=user, pk=int(what) if what.isdigit() else 0)
    if not rows.delete()[0]:
        raise NotFoundError("It was removed already.")
    if not has_factor(user):
        User.objects.filter(pk=user.pk).update(mfa_since=None)
        RecoveryCode.objects.filter(user=user).delete()
    kind = "authenticator app" if what == "totp" else "passkey"
    happened("user.mfa_removed", user, factor=kind)


@command
def renew_recovery_codes(*, user: User) -> list[str]:
    """Ten new codes, returned once; the old ones count no more."""
    user = _held(user)
    if not has_factor(user):
        raise ConflictError("Add an authenticator app or a passkey first.")
    happened("user.recovery_codes_made", user)
    return _recovery_codes(user)


@participant
def take_away(user: User) -> bool:
    """Remove every factor, as a reset of the account does: its person may have lost the device."""
    had = user.mfa_since is not None
    for model in (Totp, Passkey, RecoveryCode):
        model.objects.filter(user=user).delete()
    user.mfa_since, user.provider_mfa = None, False
    user.save(update_fields=["mfa_since", "provider_mfa"])
    return had


@command
def prove_code(*, user: User, code: str) -> str:
    """Which factor ``code`` proves now ("authenticator app", "recovery code"); nothing if none."""
    app = Totp.objects.filter(user=user).first()
    secret = sealing.unseal(app.secret) if app else None
    step = totp.step_of(secret, code, now_s=time.time(), after=0) if secret else None
    # Guarded: of two who bring one code at once, the second finds its step used.
    if step and Totp.objects.filter(user=user, last_step__lt=step).update(last_step=step):
        return "authenticator app"
    digest = totp.recovery_digest(code)
    if not step and RecoveryCode.objects.filter(user=user, digest=digest).delete()[0]:
        happened("user.recovery_code_used", user)
        return "recovery code"
    return ""


@command
def prove_passkey(*, site: RelyingParty, state: Any, answer: Any, user: User | None = None) -> User:
    """Whose passkey signed the challenge: ``user``'s, if one is asked. Raises
    RefusedPasskeyError."""
    return _proved(site, state, answer, user).user


@dataclass(frozen=True, slots=True)
class ShownPasskey:
    """What a browser answered that had asked for a passkey, and where."""

    site: RelyingParty
    answer: Any


@participant
def sign_with_passkey(*, user: User, shown: ShownPasskey, challenge: bytes) -> dict[str, Any]:
    """Have it proved that a passkey of ``user``'s signed ``challenge`` just now; what proves it
    later (``was_signed``). Raises RefusedPasskeyError."""
    state = passkeys.state_of(shown.site, challenge)
    found = _proved(shown.site, state, shown.answer, user)
    return {"credential": found.credential_id, **passkeys.proof_of(shown.answer)}


def was_signed(*, user: User, challenge: bytes, proof: Any) -> bool:
    """Whether a passkey that is still ``user``'s signed ``challenge``: one that was removed since,
    as a reset of the account does, proves nothing."""
    name = proof.get("credential") if isinstance(proof, dict) else None
    found = Passkey.objects.filter(user=user, credential_id=str(name)).first()
    if found is None:
        return False
    kept = {part: proof.get(part) for part in passkeys.SIGNED}
    return passkeys.is_signed(found.host, found.data, challenge, kept)


def passkeys_at(site: RelyingParty, user: User) -> list[bytes]:
    """The passkeys that this person can show here."""
    rows = Passkey.objects.filter(user=user, host=site.host) if site.has_a_name else ()
    return [bytes(row.data) for row in rows]


def _proved(site: RelyingParty, state: Any, answer: Any, user: User | None) -> Passkey:
    rows = Passkey.objects.select_related("user").filter(host=site.host)
    found = rows.filter(credential_id=passkeys.id_of(answer).rstrip("=")).first()
    if found is None or (user is not None and found.user_id != user.pk):
        raise RefusedPasskeyError("This passkey isn't known here.")
    count = passkeys.finish_asking(site, state, found.data, answer)
    # A count that doesn't rise is a copy's, or an answer's that was used; some devices don't count.
    rises = Q(sign_count__lt=count) | Q(sign_count=0) if count else Q(sign_count=0)
    if not Passkey.objects.filter(rises, pk=found.pk).update(sign_count=count, last_used_at=Now()):
        raise RefusedPasskeyError("This passkey was used elsewhere meanwhile.")
    return found


def has_factor(user: User) -> bool:
    """Whether this person has an authenticator app or a passkey."""
    return any(model.objects.filter(user=user).exists() for model in (Totp, Passkey))


@participant
def _held(user: User) -> User:
    """The account's row, locked: whether it has a factor is written by one at a time. Whoever reset
    or disabled the account was here before a request that was still on its way: it changes nothing
    of what is its person's by now. Raises ConflictError."""
    held = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
    if held.get_session_auth_hash() != user.get_session_auth_hash():
        raise ConflictError("The password of this account was changed meanwhile. Log in again.")
    return held


@participant
def _added(user: User, kind: str, session_key: str) -> list[str]:
    """A session that was begun without a factor doesn't outlive the first one."""
    end_all(user, but=session_key)
    User.objects.filter(pk=user.pk, mfa_since=None).update(mfa_since=Now())
    happened("user.mfa_added", user, factor=kind)
    if RecoveryCode.objects.filter(user=user).exists():
        return []
    return _recovery_codes(user)


@participant
def _recovery_codes(user: User) -> list[str]:
    codes = totp.new_recovery_codes()
    RecoveryCode.objects.filter(user=user).delete()
    rows = [RecoveryCode(user=user, digest=totp.recovery_digest(code)) for code in codes]
    RecoveryCode.objects.bulk_create(rows)
    return codes
