"""Where a person takes over the account that an admin made for them."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from apps.accounts import forms, services
from apps.kernel.errors import InvalidInputError


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Set one's own password with a code, once. Open to strangers: the code is what they bring."""
    if request.method != "POST":
        return _page(request, forms.EnrolForm())
    form = forms.EnrolForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    given = form.cleaned_data
    try:
        user = services.enrol(code=given["token"], password=given["password"])
    except InvalidInputError as error:
        form.add_error(error.detail["field"], str(error))
        return _page(request, form, status=error.status)
    logout(request)  # whoever was logged in here is not who has just enrolled
    messages.success(request, f"Your password is set. Log in as {user.username}.")
    return redirect("accounts:login")


def _page(request: HttpRequest, form: forms.EnrolForm, *, status: int = 200) -> HttpResponse:
    return render(request, "accounts/enrol.html", {"form": form}, status=status)
