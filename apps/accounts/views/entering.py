"""Through the door: what every way to log in ends with, and what stands between the password and
the second factor."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from apps.accounts.adapters.passkeys import RelyingParty
from apps.accounts.authn import unseal
from apps.accounts.domain.keeping import KEPT
from apps.accounts.domain.limits import BEGAN, PROVED, SEEN, is_proved
from apps.accounts.models import User
from apps.accounts.services import doors
from apps.kernel.errors import ConflictError

BACKEND = "django.contrib.auth.backends.ModelBackend"
DOOR = "door"  # in the session of somebody who gave the password and not the second factor yet
DOOR_S = 5 * 60
AWAY = "away"  # in the session of somebody who is at the identity provider
ASKED = "asked"  # in the session while a passkey is asked for or made


def address_of(request: HttpRequest) -> str:
    """Where a request came from: the peer, or what a trusted proxy says (``FORWARDED_ALLOW_IPS``);
    never a header that anybody can send."""
    return str(request.META.get("REMOTE_ADDR") or "")[:60]


def site_of(request: HttpRequest) -> RelyingParty:
    """Where passkeys are asked for: the name by which the browser came."""
    host = urlsplit(f"//{request.get_host()}").hostname or ""
    return RelyingParty(host, tuple(settings.LIVE_ORIGINS))


def enter(
    request: HttpRequest,
    user: User,
    *,
    how: str,
    following: str,
    sealed: str = "",
    proved: float | None = None,
) -> str:
    """Log ``user`` in, in a session of their own, and say where to go. What a form before had to
    keep goes into the new session, and the person back to that form. ``proved``: when they proved
    who they are, if that was not just now."""
    login(request, user, backend=BACKEND)
    _begin(request.session, proved)
    try:
        doors.entered(
            user=user,
            key=str(request.session.session_key),
            how=how,
            address=address_of(request),
            agent=request.headers.get("User-Agent", ""),
        )
    except ConflictError:
        logout(request)
        raise
    return _page_of(request, sealed) or safe(request, following)


def _begin(session: SessionBase, proved: float | None) -> None:
    """From now on it is a session of somebody, with its hours, and no log-in on its way."""
    for name in (DOOR, ASKED, AWAY):
        session.pop(name, None)
    session.set_expiry(None)
    session[BEGAN] = session[SEEN] = now = time.time()
    session[PROVED] = now if proved is None else proved


def _page_of(request: HttpRequest, sealed: str) -> str:
    """The page of a form whose content is kept; it stands in the session from now on."""
    kept = unseal(sealed)
    if kept is None:
        return ""
    request.session[KEPT] = kept.to_json()
    return kept.page


def safe(request: HttpRequest, following: str) -> str:
    """``following`` if it is a page of this site, and the home page otherwise."""
    hosts = {request.get_host()}
    if following and url_has_allowed_host_and_scheme(following, hosts, request.is_secure()):
        return following
    return str(resolve_url(settings.LOGIN_REDIRECT_URL))


def keep_at_the_door(
    request: HttpRequest, user: User, *, how: str, following: str, sealed: str
) -> None:
    """Remember for five minutes who gave the password: no session is theirs yet."""
    request.session.cycle_key()
    request.session[DOOR] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "at": time.time(),
        "how": how,
        "next": following[:2000],
        "kept": sealed,
    }


def at_the_door(request: HttpRequest) -> tuple[User, dict[str, Any]] | None:
    """Who gave the password a moment ago, and what was remembered of it."""
    door = request.session.get(DOOR)
    if not door or time.time() - door["at"] > DOOR_S:
        return None
    user = User.objects.filter(pk=door["user"], is_active=True).first()
    # A reset or another password meanwhile: the first step is to be done again.
    if user is None or user.get_session_auth_hash() != door["hash"]:
        return None
    return user, door


def has_just_logged_in(request: HttpRequest) -> bool:
    """Whether this person may change how they log in: whoever finds an open page may not."""
    return is_proved(request.session, now_s=time.time())
