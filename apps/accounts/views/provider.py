"""Log-in at the company's identity provider (OpenID Connect)."""

from __future__ import annotations

import secrets
import time
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.adapters import oidc
from apps.accounts.domain.claims import ClaimTerms, Person, identity_of, person_of
from apps.accounts.domain.keeping import KEPT
from apps.accounts.domain.limits import PROVED_FOR_S
from apps.accounts.domain.provider import SAID, LogInError, LogInProblem
from apps.accounts.models import User
from apps.accounts.selectors import provider_name
from apps.accounts.services import doors, provider
from apps.accounts.services.provider import HOW
from apps.accounts.views.entering import (
    AWAY,
    address_of,
    enter,
    keep_at_the_door,
    safe,
)

AWAY_S = 10 * 60
MOST_CODE = 4000
MOST_KEPT = 100_000  # of what was typed, sealed: a stranger's session holds no more
TOO_LONG = (
    "What you typed was too long to be kept over this log-in. Go back in your browser for it."
)


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """To the identity provider, over a page that says so: the form itself is sent to our own site
    only. Whoever comes for their second factors has to have logged in there just now."""
    _require_provider()
    following = safe(request, request.POST.get("next", "")[:2000])
    if request.user.is_authenticated:
        return _in_already(request, following)
    sealed = request.POST.get(KEPT, "")
    lately = PROVED_FOR_S if following.startswith(reverse("accounts:security")) else None
    back = _back(request)
    try:
        begun = oidc.begin(back=back, within_s=lately)
    except LogInError as error:
        return _page(request, error, next=following, sealed=sealed)
    # A stranger's, and there may be many: gone when nobody can come back to it any more.
    request.session.set_expiry(AWAY_S)
    request.session[AWAY] = {
        "state": begun.state,
        "nonce": begun.nonce,
        "verifier": begun.verifier,
        "back": back,
        "next": following,
        "kept": sealed if len(sealed) <= MOST_KEPT else "",
        "too_long": len(sealed) > MOST_KEPT,
        "at": time.time(),
    }
    context = {"address": begun.address, "name": provider_name()}
    return render(request, "accounts/leaving.html", context)


@require_GET
def come_back(request: HttpRequest) -> HttpResponse:
    """From the identity provider, with a code that is good once. What was remembered when this
    browser left is used up, whatever comes of it."""
    _require_provider()
    away, state = request.session.get(AWAY), request.GET.get("state", "")
    if not away or not secrets.compare_digest(away["state"].encode(), state.encode()):
        return _strange(request)
    del request.session[AWAY]
    request.session.save()  # now: after an answer of 500 or above Django keeps nothing
    if time.time() - away["at"] > AWAY_S:
        return _page(request, LogInError(LogInProblem.LOST))
    try:
        person = _person(request, away)
        return _in(request, person, away)
    except LogInError as error:
        return _page(request, error, next=away["next"], sealed=away["kept"])


def _person(request: HttpRequest, away: dict[str, Any]) -> Person:
    """Who came back, by the provider's verified word. Somebody known who is refused is told of."""
    if error := request.GET.get("error"):
        raise oidc.declined(error)
    code, issuer = request.GET.get("code", ""), request.GET.get("iss")
    if not 0 < len(code) <= MOST_CODE or issuer not in (None, settings.OIDC_ISSUER):  # RFC 9207
        raise LogInError(LogInProblem.UNTRUSTED, "no code, or another issuer's")
    told = oidc.finish(code=code, back=away["back"], verifier=away["verifier"], nonce=away["nonce"])
    try:
        return person_of(told, _terms())
    except LogInError as error:
        if error.problem != LogInProblem.NOBODY:
            identity = identity_of(told, _terms())
            provider.turned_away(identity, error.problem, address=address_of(request))
        raise


def _in(request: HttpRequest, person: Person, away: dict[str, Any]) -> HttpResponse:
    """Log in, or go on to the second factor of whoever has one here and showed none there."""
    try:
        user = provider.arrive(person)
    except LogInError as error:
        provider.turned_away(person.identity, error.problem, address=address_of(request))
        raise
    if away["too_long"]:
        messages.warning(request, TOO_LONG)
    way = {"following": away["next"], "sealed": away["kept"]}
    if user.mfa_since is not None and not user.provider_mfa_counts:
        keep_at_the_door(request, user, how=HOW, **way)
        doors.half_way(user=user, address=address_of(request))
        return redirect("accounts:second")
    # The provider may know the browser for hours: only when it says so is this just now.
    proved = min(person.proved_at, time.time())
    return redirect(enter(request, user, how=HOW, proved=proved, **way))


def _strange(request: HttpRequest) -> HttpResponse:
    """An answer to nothing that this browser asked: sent by somebody else, or come twice. Some
    providers leave the state out where nobody was logged in: that much can be said."""
    if request.user.is_authenticated:
        return _in_already(request, safe(request, ""))
    error = request.GET.get("error")
    return _page(request, oidc.declined(error) if error else LogInError(LogInProblem.LOST))


def _in_already(request: HttpRequest, following: str) -> HttpResponse:
    name = cast(User, request.user).display_name
    messages.info(request, f"You were logged in already, as {name}.")
    return redirect(following)


def _terms() -> ClaimTerms:
    return ClaimTerms(
        role_claim=settings.OIDC_ROLE_CLAIM,
        roles=settings.OIDC_ROLES,
        name_claim=settings.OIDC_USERNAME,
        second_factors=frozenset(settings.OIDC_MFA),
    )


def _back(request: HttpRequest) -> str:
    """Where the provider sends the browser: to the name by which it came, if it is one of ours,
    since cookies are of that name."""
    came_to = f"{request.scheme}://{request.get_host()}".lower()
    origin = came_to if came_to in settings.LIVE_ORIGINS else settings.TOWER_ORIGIN
    return f"{origin}{reverse('accounts:provider_back')}"


def _require_provider() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404("There is no identity provider.")


def _page(request: HttpRequest, error: LogInError, **way: str) -> HttpResponse:
    """What happened and what to do; whoever tries again goes on the same ``way``."""
    title, sentence, status = SAID[error.problem]
    name = provider_name()
    context = {
        "title": _named(title, name),
        "sentence": _named(sentence, name),
        **way,
    }
    return render(request, "accounts/provider.html", context, status=status)


def _named(sentence: str, name: str) -> str:
    """The provider's name in a sentence, which it may begin."""
    said = sentence.replace("{name}", name)
    return said[:1].upper() + said[1:]
