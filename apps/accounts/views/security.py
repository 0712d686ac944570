"""How one logs in: password, second factors, sessions. Everything here is one's own."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import forms, selectors
from apps.accounts.adapters import passkeys, qrcodes
from apps.accounts.adapters.passkeys import RefusedPasskeyError
from apps.accounts.authn import requires, say_in_place
from apps.accounts.domain import totp
from apps.accounts.models import OpenSession, Passkey, RecoveryCode, Totp, User
from apps.accounts.services import doors, factors, sessions
from apps.accounts.views.entering import ASKED, address_of, has_just_logged_in, site_of
from apps.accounts.views.second import NO_NAME, answer_of, locked
from apps.kernel.errors import ConflictError, InvalidInputError, TowerError

PENDING = "tower.accounts.totp"
PENDING_S = 15 * 60
ANEW = "Log in again first: how you log in is changed within 15 minutes of a log-in only."


def _me(request: HttpRequest) -> User:
    return cast(User, request.user)


def _page(request: HttpRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    user, site = _me(request), site_of(request)
    context = {
        "totp": Totp.objects.filter(user=user).first(),
        "passkeys": Passkey.objects.filter(user=user).order_by("created_at"),
        "codes_left": RecoveryCode.objects.filter(user=user).count(),
        "sessions": selectors.sessions_of(user, request.session.session_key),
        "may_change": has_just_logged_in(request),
        "here": site,
        "has_password": user.has_usable_password(),
        "with_a_name": selectors.home_by_name(),
        **more,
    }
    context.setdefault("form", forms.ChangePasswordForm())
    return render(request, "accounts/security.html", context, status=status)


@require_GET
@requires("tower.view")
def security(request: HttpRequest) -> HttpResponse:
    return _page(request)


@sensitive_post_parameters()
@require_POST
@requires("tower.view")
def change_password(request: HttpRequest) -> HttpResponse:
    """Set one's own password; every other session ends."""
    form = forms.ChangePasswordForm(request.POST)
    if not form.is_valid():
        return _page(request, form=form, status=422)
    given, user = form.cleaned_data, _me(request)
    # Counted as at the log-in: whoever finds an open page guesses no faster here.
    tries, wait = doors.spend(user.username)
    if wait:
        return locked(request, wait)
    key = str(request.session.session_key)
    try:
        user = sessions.change_password(
            user=user, old=given["old"], new=given["password"], session_key=key
        )
    except InvalidInputError as error:
        if error.detail["field"] == "old":
            told = {"user": user, "name": "", "address": address_of(request)}
            doors.refused(tries=tries, how="present password", **told)
        form.add_error(error.detail["field"], str(error))
        return _page(request, form=form, status=error.status)
    doors.forget(user.username)
    update_session_auth_hash(request, user)
    OpenSession.objects.filter(key=key).update(key=request.session.session_key)
    messages.success(request, "Your password is changed, and your other sessions are ended.")
    return redirect("accounts:security")


@require_POST
@requires("tower.view")
def log_in_again(request: HttpRequest) -> HttpResponse:
    """Log out, and come back here after the log-in."""
    sessions.forget(user=_me(request), key=str(request.session.session_key))
    logout(request)
    return redirect(f"{reverse('accounts:login')}?next={reverse('accounts:security')}")


# --- factors ------------------------------------------------------------------------------------


@require_POST
@requires("tower.view")
def begin_totp(request: HttpRequest) -> HttpResponse:
    """Show a new secret to scan; it counts once the app shows a code of it."""
    if not has_just_logged_in(request):
        return _refused(request, ANEW)
    return _totp_page(request, totp.new_secret())


@require_POST
@requires("tower.view")
def add_totp(request: HttpRequest) -> HttpResponse:
    if not has_just_logged_in(request):
        return _refused(request, ANEW)
    user = _me(request)
    try:
        sealed = request.POST.get("token", "")
        owner, secret = signing.loads(sealed, salt=PENDING, max_age=PENDING_S)
    except signing.BadSignature:
        return _refused(request, "That took too long. Begin again.")
    if owner != user.pk:
        return _refused(request, "This was begun by another person.")
    form = forms.CodeForm(request.POST)
    if not form.is_valid():
        return _totp_page(request, secret, form=form, status=422)
    key = str(request.session.session_key)
    try:
        codes = factors.add_totp(
            user=user, secret=secret, code=form.cleaned_data["code"], session_key=key
        )
    except TowerError as error:
        form.add_error("code", str(error))
        return _totp_page(request, secret, form=form, status=error.status)
    return _codes_page(request, codes, "Your authenticator app is added.")


def _totp_page(
    request: HttpRequest, secret: str, *, form: forms.CodeForm | None = None, status: int = 200
) -> HttpResponse:
    user = _me(request)
    address = totp.address_of(secret, username=user.username, issuer=passkeys.NAME)
    context = {
        "form": form or forms.CodeForm(),
        "secret": " ".join(secret[n : n + 4] for n in range(0, len(secret), 4)),
        "image": qrcodes.svg_of(address),
        "sealed": signing.dumps([user.pk, secret], salt=PENDING),
    }
    return render(request, "accounts/totp.html", context, status=status)


def _handle_of(user: User) -> bytes:
    """What a device keeps this person's passkey under. A device has one of each handle and host, so
    that two towers of one host must not have the same for two people."""
    return salted_hmac("tower.accounts.passkey", str(user.pk), algorithm="sha256").digest()


@require_POST
@requires("tower.view")
def make_passkey(request: HttpRequest) -> HttpResponse:
    """What the browser asks the device to make."""
    site, user = site_of(request), _me(request)
    if not has_just_logged_in(request):
        return say_in_place(request, ANEW, status=403)
    if not site.has_a_name:
        return say_in_place(request, NO_NAME, status=422)
    rows = Passkey.objects.filter(user=user, host=site.host).values_list("data", flat=True)
    options, state = passkeys.begin_making(
        site,
        handle=_handle_of(user),
        username=user.username,
        name=user.display_name,
        known=[bytes(data) for data in rows],
    )
    request.session[ASKED] = state
    return JsonResponse(options)


@require_POST
@requires("tower.view")
def add_passkey(request: HttpRequest) -> HttpResponse:
    """Keep what the device made."""
    site, state, answer = site_of(request), request.session.pop(ASKED, None), answer_of(request)
    if not has_just_logged_in(request):
        return _refused(request, ANEW)
    if state is None or answer is None:
        return _refused(request, "That took too long. Begin again.")
    try:
        made = passkeys.finish_making(site, state, answer)
        codes = factors.add_passkey(
            user=_me(request),
            site=site,
            name=request.POST.get("name", "")[:60],
            made=made,
            session_key=str(request.session.session_key),
        )
    except (RefusedPasskeyError, ConflictError) as error:
        return _refused(request, str(error))
    return _codes_page(request, codes, "Your passkey is added.")


@require_POST
@requires("tower.view")
def remove_factor(request: HttpRequest) -> HttpResponse:
    if not has_just_logged_in(request):
        return _refused(request, ANEW)
    factors.remove(user=_me(request), what=request.POST.get("what", ""))
    messages.success(request, "Removed.")
    return redirect("accounts:security")


@require_POST
@requires("tower.view")
def new_codes(request: HttpRequest) -> HttpResponse:
    if not has_just_logged_in(request):
        return _refused(request, ANEW)
    codes = factors.renew_recovery_codes(user=_me(request))
    return _codes_page(request, codes, "The codes that you had before count no more.")


def _codes_page(request: HttpRequest, codes: list[str], said: str) -> HttpResponse:
    if not codes:  # there are some already
        messages.success(request, said)
        return redirect("accounts:security")
    context = {"codes": codes, "said": said}
    return render(request, "accounts/codes.html", context, status=201)


def _refused(request: HttpRequest, sentence: str) -> HttpResponse:
    messages.warning(request, sentence)
    return redirect("accounts:security")


# --- sessions -----------------------------------------------------------------------------------


@require_POST
@requires("tower.view")
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    sessions.end_session(user=_me(request), session_id=session_id)
    messages.success(request, "This session is ended.")
    return redirect("accounts:security")


@require_POST
@requires("tower.view")
def end_others(request: HttpRequest) -> HttpResponse:
    ended = sessions.end_others(user=_me(request), session_key=str(request.session.session_key))
    messages.success(request, f"Ended: {ended}. Only this session is left.")
    return redirect("accounts:security")
