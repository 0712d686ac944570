"""What people may type about people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.validators import UnicodeUsernameValidator

from apps.accounts import registry
from apps.accounts.domain import saved
from apps.accounts.domain.preferences import DENSITIES, THEMES
from apps.accounts.domain.roles import Role
from apps.accounts.domain.teams import NAME_MOST, TeamScope, TeamTerms, cents_of
from apps.accounts.domain.tokens import LONGEST_DAYS, MOST_STARTS, MOST_USD, RATES, SCOPE_WORDS
from apps.accounts.models import Team, User
from apps.accounts.selectors import is_of_provider
from apps.web.domain.words import RISKS

MEMBER, LEAD = "member", "lead"
SEATS = [("", "Not in it"), (MEMBER, "Member"), (LEAD, "Lead")]
SLUG_MOST = 60
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
    teams = forms.ModelMultipleChoiceField(
        queryset=Team.objects.order_by("name", "pk"),
        required=False,
        label="Teams of an operator",
        help_text="What they may decide. With none chosen: nothing. Other roles begin without.",
        widget=forms.CheckboxSelectMultiple,
        initial=lambda: Team.objects.filter(takes_new=True),
    )


class TeamForm(forms.Form):
    """A team: what it decides, and for each person whether they are in it or lead it."""

    seen = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
    name = forms.CharField(max_length=NAME_MOST, label="Name")
    domains = forms.MultipleChoiceField(
        required=False, label="Domains", widget=forms.CheckboxSelectMultiple
    )
    jobs = forms.MultipleChoiceField(
        required=False, label="Jobs", widget=forms.CheckboxSelectMultiple
    )
    most = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_digits=17,
        decimal_places=2,
        label="Largest amount ($)",
        help_text="Empty: no bound. With one, requests whose amount isn't known are not theirs.",
        error_messages={"invalid": "Write an amount such as 500 or 500.00."},
        widget=forms.TextInput(attrs={"inputmode": "decimal", "maxlength": 20}),
    )
    highest_risk = forms.TypedChoiceField(
        required=False,
        coerce=int,
        empty_value=None,
        label="Highest risk",
        choices=[("", "Any risk"), *((n, word) for n, word in RISKS.items())],
    )
    takes_new = forms.BooleanField(required=False, label="New operators are put into it")

    def __init__(self, data: Any = None, *, people: Sequence[User], shown: Any = None) -> None:
        super().__init__(data, initial=_initial(shown))
        team = shown.team if shown else None
        self._offer("domains", registry.domains(), team.scope.domains if team else ())
        self._offer("jobs", registry.jobs(), team.scope.jobs if team else ())
        members = list(shown.members) if shown else []
        self.listed = {one.pk: one for one in (*people, *members)}
        for one in self.listed.values():
            name = f"{one.display_name} ({one.get_role_display()})"
            self.fields[seat_of(one)] = forms.ChoiceField(required=False, choices=SEATS, label=name)

    def _offer(self, field: str, known: Sequence[tuple[str, str]], kept: Iterable[str]) -> None:
        """What there is, and what the team has that is there no more."""
        gone = [(slug, f"{slug} (not there now)") for slug in sorted({*kept} - {*dict(known)})]
        choices = [(slug, words) for slug, words in known if len(slug) <= SLUG_MOST]
        cast(forms.MultipleChoiceField, self.fields[field]).choices = [*choices, *gone]

    @property
    def seats(self) -> list[forms.BoundField]:
        """The fields of people."""
        return [self[seat_of(one)] for one in self.listed.values()]

    def clean_name(self) -> str:
        return " ".join(str(self.cleaned_data["name"]).split())

    def terms(self) -> TeamTerms:
        """What was typed, once it is valid."""
        given = self.cleaned_data
        seats = {pk: given[seat_of(one)] for pk, one in self.listed.items()}
        most: Decimal | None = given["most"]
        return TeamTerms(
            name=given["name"],
            scope=TeamScope(
                frozenset(given["domains"]),
                frozenset(given["jobs"]),
                cents_of(most),
                given["highest_risk"],
            ),
            takes_new=given["takes_new"],
            members=frozenset(pk for pk, seat in seats.items() if seat),
            leads=frozenset(pk for pk, seat in seats.items() if seat == LEAD),
        )


def seat_of(person: User) -> str:
    """The field that says whether this person is in the team."""
    return f"person-{person.pk}"


def _initial(shown: Any) -> dict[str, Any]:
    if shown is None:
        return {"seen": 0}
    team = shown.team
    most = team.most_cents
    seats = {seat_of(one): LEAD if one in shown.leads else MEMBER for one in shown.members}
    return {
        "seen": team.number,
        "name": team.name,
        "domains": sorted(team.scope.domains),
        "jobs": sorted(team.scope.jobs),
        "most": None if most is None else Decimal(most) / 100,
        "highest_risk": team.highest_risk,
        "takes_new": team.takes_new,
        **seats,
    }


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
