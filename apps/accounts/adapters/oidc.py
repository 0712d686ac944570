"""The identity provider: OpenID Connect, authorization code with PKCE (RFC 7636), state and nonce.

All that it answers is hostile until it was read here. What it publishes is read at the address of
the issuer and has to be that issuer's; the signature of an ID token is verified by PyJWT, with a
key that the provider publishes and an algorithm of ours, and so are issuer, audience and times.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
from django.conf import settings

from apps.accounts.adapters.outside import LongAnswerError, NotAnsweredError, ask
from apps.accounts.domain.provider import LogInError, LogInProblem, is_here, is_trusted_address
from apps.kernel import exactjson

log = logging.getLogger(__name__)
# Never "none", and never one with a secret that two sides share: a published key is no secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
TIMEOUT_S = 5.0  # of each answer, as a whole
LEEWAY_S = 30  # by which two clocks may differ
MOST_BYTES = 256 * 1024
PUBLISHED_S = 60.0  # for so long what is published is not asked for again
CLOCK = (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError)
_CODE = re.compile(r"[a-z_]{1,60}")
_published: dict[str, tuple[float, dict[str, Any]]] = {}


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in on its way: where the browser goes, and what the answer is compared with."""

    address: str
    state: str
    nonce: str
    verifier: str


def begin(*, back: str, within_s: int | None = None) -> Begun:
    """Where the browser goes to log in; it returns to ``back``. ``within_s``: its person must have
    logged in there so lately, or do it again. Raises ``LogInError``."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": settings.OIDC_CLIENT,
        "redirect_uri": back,
        "scope": f"openid {settings.OIDC_SCOPES}",
        "state": state,
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    if within_s is not None:
        asked["max_age"] = str(within_s)
    address = _address(published(), "authorization_endpoint")
    joined = "&" if "?" in address else "?"
    return Begun(f"{address}{joined}{urlencode(asked)}", state, nonce, verifier)


def finish(*, code: str, back: str, verifier: str, nonce: str) -> dict[str, Any]:
    """The verified claims about whoever came back with ``code``. Raises ``LogInError``."""
    found = published()
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "code_verifier": verifier,
    }
    answer = _ask("POST", _address(found, "token_endpoint"), **_proved(found, given))
    return _verified(answer.get("id_token"), keys(found), nonce)


def published() -> dict[str, Any]:
    """What the provider says of itself. Raises ``LogInError``."""
    issuer = settings.OIDC_ISSUER
    until, found = _published.get(issuer, (0.0, {}))
    if time.monotonic() < until:
        return found
    found = _ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise _untrusted(f"it is the issuer {found.get('issuer')!r:.200}, not TOWER_OIDC_ISSUER")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        _address(found, name)
    _published[issuer] = (time.monotonic() + PUBLISHED_S, found)
    return found


def keys(found: dict[str, Any]) -> list[jwt.PyJWK]:
    """The keys that it signs with. Raises ``LogInError``."""
    answer = _ask("GET", _address(found, "jwks_uri"))
    try:
        known = jwt.PyJWKSet.from_dict(answer).keys
    except Exception as error:  # whatever hostile keys make the library raise
        raise _untrusted(f"its keys can't be read: {error!r:.200}") from error
    return [key for key in known if key.public_key_use in (None, "sig")]


def declined(code: str) -> LogInError:
    """What an ``error`` means with which the provider sends the browser back."""
    shown = code if _CODE.fullmatch(code) else "(no code)"
    log.warning("the identity provider sent somebody back: %s", shown)
    is_theirs = shown in {"access_denied", "login_required", "interaction_required"}
    if shown in {"temporarily_unavailable", "server_error"}:
        return LogInError(LogInProblem.AWAY, shown)
    return LogInError(LogInProblem.CANCELLED if is_theirs else LogInProblem.DECLINED, shown)


def _verified(token: object, known: list[jwt.PyJWK], nonce: str) -> dict[str, Any]:
    if not isinstance(token, str):
        raise _untrusted("its answer has no id_token")
    try:
        named = jwt.get_unverified_header(token).get("kid")
        fitting = [key for key in known if named is None or named == key.key_id]
        if len(fitting) != 1:
            raise ValueError(f"{len(fitting)} of its keys fit the id_token")
        claims: dict[str, Any] = jwt.decode(
            token,
            fitting[0].key,
            algorithms=ALGORITHMS,
            audience=settings.OIDC_CLIENT,
            issuer=settings.OIDC_ISSUER,
            leeway=LEEWAY_S,
            options={
                "require": ["exp", "iat", "iss", "sub", "aud"],
                "enforce_minimum_key_length": True,
            },
        )
        _require_for_us(claims, nonce)
    except CLOCK as error:
        log.warning("the identity provider: the id_token %s", error)
        raise LogInError(LogInProblem.CLOCK, str(error)) from error
    except Exception as error:  # whatever a hostile token makes the library raise
        raise _untrusted(f"the id_token: {error!r:.300}") from error
    return claims


def _require_for_us(claims: dict[str, Any], nonce: str) -> None:
    """OpenID Connect Core, 3.1.3.7: for this log-in, and for no other party."""
    told = claims.get("nonce")
    if not isinstance(told, str) or not secrets.compare_digest(told.encode(), nonce.encode()):
        raise ValueError("the nonce is not that of this log-in")
    party, audiences = claims.get("azp"), claims["aud"]
    if party is None and isinstance(audiences, list) and len(audiences) > 1:
        raise ValueError("it has several audiences and no azp")
    if party not in (None, settings.OIDC_CLIENT):
        raise ValueError("it was issued to another party")


def _address(found: dict[str, Any], name: str) -> str:
    address = found.get(name)
    if not is_trusted_address(address, is_loopback=is_here(settings.OIDC_ISSUER)):
        raise _untrusted(f"its {name} is no address of https: {address!r:.200}")
    return str(address)


def _proved(found: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """The form with the secret, where the provider wants it: in the header (RFC 6749, 2.3.1), or in
    the form if it takes nothing else."""
    client, secret = settings.OIDC_CLIENT, settings.OIDC_SECRET
    ways = found.get("token_endpoint_auth_methods_supported")
    if isinstance(ways, list) and ways and "client_secret_basic" not in ways:
        return {"data": {**given, "client_id": client, "client_secret": secret}}
    return {"data": given, "auth": (quote_plus(client), quote_plus(secret))}


def _ask(method: str, address: str, **sent: Any) -> dict[str, Any]:
    """A JSON object of the provider's. Raises ``LogInError``."""
    try:
        status, body = ask(
            method,
            address,
            within_s=TIMEOUT_S,
            most_bytes=MOST_BYTES,
            accept="application/json",
            **sent,
        )
    except NotAnsweredError as error:
        log.warning("the identity provider: %s %s: %s", method, address, error)
        raise LogInError(LogInProblem.AWAY, str(error)) from error
    except LongAnswerError as error:
        raise _untrusted(f"{method} {address}: {error}") from error
    return _object(f"{method} {address}", status, body)


def _object(asked: str, status: int, body: bytes) -> dict[str, Any]:
    if status >= 500:
        log.warning("the identity provider: %s: status %d", asked, status)
        raise LogInError(LogInProblem.AWAY, f"status {status}")
    try:
        found: Any = exactjson.loads(body, most_bytes=MOST_BYTES)
    except exactjson.NotCarriedError as error:
        raise _untrusted(f"{asked}: status {status}, {error}") from error
    if not isinstance(found, dict):
        raise _untrusted(f"{asked}: status {status}, and no JSON object")
    if status != 200:
        code = found.get("error")
        shown = code if isinstance(code, str) and _CODE.fullmatch(code) else "(no code)"
        log.warning("the identity provider: %s: status %d, %s", asked, status, shown)
        raise LogInError(LogInProblem.DECLINED, shown)
    return found


def _untrusted(why: str) -> LogInError:
    log.warning("the identity provider can't be trusted: %s", why)
    return LogInError(LogInProblem.UNTRUSTED, why)
