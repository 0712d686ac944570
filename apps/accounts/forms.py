"""What people may type about people."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.validators import UnicodeUsernameValidator

from apps.accounts import registry
from apps.accounts.domain import saved
from apps.accounts.domain.preferences import DENSITIES, THEMES
from apps.accounts.domain.roles import Role
from apps.accounts.domain.tokens import LONGEST_DAYS, MOST_STARTS, MOST_USD, RATES, SCOPE_WORDS
from apps.accounts.selectors import is_of_provider

ROLE_CHOICES = [(role.value, role.value.replace("_", " ").capitalize()) for role in Role]


class LogInForm(AuthenticationForm):
    """User name and password; a wrong pair says no more than that."""

    error_messages = {
        "invalid_login": "Wrong user name or password.",
        "inactive": "This account is disabled. An administrator can enable it.",
    }

    def confirm_login_allowed(self, user: Any) -> None:
        """No password opens an account whose person the identity provider knows: whoever is locked
        out there is locked out here."""
        super().confirm_login_allowed(user)
        if is_of_provider(user):
            raise self.get_invalid_login_error()


class EnrolForm(forms.Form):
    """A field called token, so that what is typed here is never kept (see domain.keeping)."""

    token = forms.CharField(max_length=80, label="Enrolment code")
    password = forms.CharField(
        max_length=200,
        strip=False,
        label="New password",
        help_text="12 characters or more, and nothing that is quickly guessed.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        max_length=200,
        strip=False,
        label="The same password again",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed = cleaned.get("password")
        if typed and "again" in cleaned and typed != cleaned["again"]:
            self.add_error("again", "The two passwords differ.")
        return cleaned


class ChangePasswordForm(EnrolForm):
    token = None  # type: ignore[assignment]  # no code: the old password instead
    old = forms.CharField(
        max_length=200,
        strip=False,
        label="Present password",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ("old", "password", "again")


class CodeForm(forms.Form):
    code = forms.CharField(
        max_length=40,
        label="Code",
        help_text="Six digits of your authenticator app, or a recovery code.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autofocus": True}),
    )


class NewUserForm(forms.Form):
    username = forms.CharField(
        max_length=60, label="User name", validators=[UnicodeUsernameValidator()]
    )
    full_name = forms.CharField(max_length=120, required=False, label="Name")
    role = forms.ChoiceField(choices=ROLE_CHOICES)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=ROLE_CHOICES)


class PreferencesForm(forms.Form):
    theme = forms.ChoiceField(choices=[(v, v.capitalize()) for v in THEMES])
    density = forms.ChoiceField(choices=[(v, v.capitalize()) for v in DENSITIES])
    single_keys = forms.BooleanField(required=False, label="Single-letter keys")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        return {**cleaned, "single_keys": bool(cleaned.get("single_keys"))}


class ServiceForm(forms.Form):
    name = forms.SlugField(
        max_length=60, label="Name", help_text="Small letters, digits and dashes: order-system"
    )
    purpose = forms.CharField(max_length=200, required=False, label="What it is for")


class TokenForm(forms.Form):
    scopes = forms.MultipleChoiceField(
        choices=[(str(scope), words) for scope, words in SCOPE_WORDS.items()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose what the token may do."},
    )
    days = forms.TypedChoiceField(
        coerce=int,
        initial=30,
        choices=[(d, f"{d} days") for d in (7, 30, LONGEST_DAYS)],
        label="Works for",
    )
    rate = forms.TypedChoiceField(
        coerce=int,
        initial=600,
        choices=[(r, f"{r} requests a minute") for r in RATES],
        label="At most",
    )
    jobs = forms.MultipleChoiceField(
        required=False,
        label="Jobs that it may start",
        widget=forms.CheckboxSelectMultiple,
    )
    starts = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_STARTS, label="Runs an hour"
    )
    usd = forms.DecimalField(
        required=False,
        min_value=Decimal("0.01"),
        max_value=MOST_USD,
        decimal_places=2,
        label="Dollars a day for models",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.MultipleChoiceField, self.fields["jobs"]).choices = registry.jobs()


class SavedViewForm(forms.Form):
    """``page``: the name of its address; ``query``: what it is filtered by."""

    page = forms.CharField(max_length=60)
    name = forms.CharField(max_length=saved.NAME_MOST)
    query = forms.CharField(required=False, max_length=2 * saved.MOST_CHARACTERS)
    shared = forms.BooleanField(required=False)
