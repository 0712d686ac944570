"""The second step of a log-in, and logging in with a passkey alone."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import forms, selectors
from apps.accounts.adapters import passkeys
from apps.accounts.adapters.passkeys import RefusedPasskeyError
from apps.accounts.domain.keeping import KEPT
from apps.accounts.models import Passkey, User
from apps.accounts.services import doors, factors
from apps.accounts.views.entering import ASKED, address_of, at_the_door, enter, site_of

AGAIN = "That took too long, or the account changed meanwhile. Log in again."
WRONG = "This code is wrong, or was used. Try the next one that the app shows."
NO_NAME = "Passkeys need a name: open the tower at its address with a name, not an IP address."


@require_http_methods(["GET", "HEAD", "POST"])
def second(request: HttpRequest) -> HttpResponse:
    """A code of the authenticator app or a recovery code, or the way to a passkey."""
    found = at_the_door(request)
    if found is None:
        messages.info(request, AGAIN)
        return redirect("accounts:login")
    user, door = found
    if request.method != "POST":
        return _page(request, user, forms.CodeForm())
    form = forms.CodeForm(request.POST)
    if not form.is_valid():
        return _page(request, user, form, status=422)
    name = doors.second_step_of(user)
    tries, wait = doors.spend(name)
    if wait:
        return locked(request, wait)
    proved = factors.prove_code(user=user, code=form.cleaned_data["code"])
    if not proved:
        told = {"user": user, "name": user.username, "address": address_of(request)}
        doors.refused(tries=tries, how="second factor", **told)
        form.add_error("code", WRONG)
        return _page(request, user, form, status=422)
    doors.forget(name)
    how = f"{door['how']}, {proved}"
    return redirect(enter(request, user, how=how, following=door["next"], sealed=door["kept"]))


def locked(request: HttpRequest, wait: int) -> HttpResponse:
    """429, with how long to wait."""
    answer = render(request, "accounts/locked.html", {"wait": wait}, status=429)
    answer["Retry-After"] = str(wait)
    return answer


def _page(
    request: HttpRequest, user: User, form: forms.CodeForm, *, status: int = 200
) -> HttpResponse:
    site = site_of(request)
    hosts = set(Passkey.objects.filter(user=user).values_list("host", flat=True))
    context = {
        "form": form,
        "has_passkey": site.has_a_name and site.host in hosts,
        "elsewhere": sorted(hosts - {site.host}),
        "person": user,
        "by_provider": selectors.is_of_provider(user),
    }
    return render(request, "accounts/second.html", context, status=status)


@require_POST
def ask_passkey(request: HttpRequest) -> HttpResponse:
    """What the browser asks the device for: any passkey of this site, or one of the person who gave
    the password."""
    site = site_of(request)
    if not site.has_a_name:
        return JsonResponse({"message": NO_NAME}, status=422)
    found = at_the_door(request)
    known = factors.passkeys_at(site, found[0]) if found else None
    options, state = passkeys.begin_asking(site, known)
    request.session[ASKED] = state
    return JsonResponse(options)


@require_POST
def show_passkey(request: HttpRequest) -> HttpResponse:
    """Log in the person whose passkey signed what was asked. A guess is no danger here, so a locked
    account can still be entered this way."""
    found = at_the_door(request)
    try:
        user = _shown(request, found[0] if found else None)
    except RefusedPasskeyError as error:
        if found:
            told = {"user": found[0], "name": "", "address": address_of(request)}
            doors.refused(tries=0, how="passkey", **told)
        messages.warning(request, str(error))
        return redirect("accounts:second" if found else "accounts:login")
    doors.forget(user.username)
    if found:
        door = found[1]
        way = {"following": door["next"], "sealed": door["kept"]}
        return redirect(enter(request, user, how=f"{door['how']}, passkey", **way))
    way = {"following": request.POST.get("next", ""), "sealed": request.POST.get(KEPT, "")}
    return redirect(enter(request, user, how="passkey", **way))


def _shown(request: HttpRequest, asked: User | None) -> User:
    state, answer = request.session.pop(ASKED, None), answer_of(request)
    if state is None or answer is None:
        raise RefusedPasskeyError(AGAIN)
    user = factors.prove_passkey(site=site_of(request), state=state, answer=answer, user=asked)
    if not user.is_active or user.enrolled_at is None:
        raise RefusedPasskeyError("This account is disabled, or not enrolled.")
    if asked is None and selectors.is_of_provider(user):
        name = selectors.provider_name()
        raise RefusedPasskeyError(f"Log in with {name}: your passkey is your second step there.")
    return user


def answer_of(request: HttpRequest) -> Any:
    """The JSON object that a device answered with; ``None`` for anything else."""
    try:
        found = json.loads(request.POST.get("answer", ""))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
