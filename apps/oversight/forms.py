"""What people may type about a question, and what the address of the list may say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django import forms

from apps.accounts.models import User
from apps.kernel.moments import moment
from apps.oversight.domain import grant_typing, snoozing, sorting, storms
from apps.oversight.domain.away import REASON_MOST as AWAY_REASON_MOST
from apps.oversight.domain.grant_typing import takes_for
from apps.oversight.domain.grants import MOST_HOURS, MOST_USES, CoverableCall
from apps.oversight.domain.ladder import NOTE_MOST
from apps.oversight.domain.reading import PARTS
from apps.oversight.domain.rules import REASON_MOST
from apps.oversight.domain.together import MOST as TABLE_MOST
from apps.oversight.selectors import FIRST, REST, Filters

TABS = (
    ("waiting", "Waiting"),
    ("mine", "Decided by me"),
    ("decided", "All decided"),
    ("expired", "Expired"),
)
CONFIRM_MOST = 100
MOMENT = forms.TextInput(attrs={"type": "datetime-local", "class": "input"})
PLAIN = forms.TextInput(attrs={"class": "input", "inputmode": "decimal"})
NUMBER = forms.NumberInput(attrs={"class": "input"})
LINES = forms.Textarea(attrs={"class": "input", "rows": 1})
PASSKEY_MOST = 20_000  # what a browser makes of a device's answer is a tenth of it
UUID_TEXT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DecideForm(forms.Form):
    answer = forms.ChoiceField(choices=[("approve", "approve"), ("reject", "reject")])
    reason = forms.CharField(required=False, max_length=REASON_MOST, strip=True)
    digest = forms.RegexField(r"^[0-9a-f]{64}$")
    nonce = forms.CharField(min_length=8, max_length=64)
    dwell_ms = forms.IntegerField(required=False, min_value=0, max_value=2_000_000_000)
    confirm = forms.CharField(required=False, max_length=CONFIRM_MOST, strip=True)
    passkey = forms.CharField(required=False, max_length=PASSKEY_MOST)


class SignForm(forms.Form):
    digest = forms.RegexField(r"^[0-9a-f]{64}$")
    nonce = forms.CharField(min_length=8, max_length=64)


class SeenForm(forms.Form):
    digest = forms.RegexField(r"^[0-9a-f]{64}$")
    parts = forms.MultipleChoiceField(choices=[*PARTS.items()])


class LookForm(forms.Form):
    """``told``: the other requests for the same, and how they stood on the page."""

    digest = forms.RegexField(r"^[0-9a-f]{64}$")
    told = forms.RegexField(r"^[0-9a-f:,a-z-]{1,2000}$")

    def clean_told(self) -> list[str]:
        return str(self.cleaned_data["told"]).split(",")


class RowsForm(forms.Form):
    rows = forms.TypedMultipleChoiceField(coerce=UUID)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        # Any ids: whether they are rows of the table is asked of the table.
        sent = data.getlist("rows") if data is not None else []
        ids = [text for text in sent[: 4 * TABLE_MOST] if UUID_TEXT.fullmatch(text)]
        self.fields["rows"].choices = [(text, text) for text in ids]  # type: ignore[attr-defined]


class AnswerTableForm(RowsForm):
    answer = forms.ChoiceField(choices=[("approve", "approve"), ("reject", "reject")])
    reason = forms.CharField(required=False, max_length=REASON_MOST, strip=True)


class GrantForm(forms.Form):
    """The bounds of a grant: of each field of the call, then amount, count, hours and why; those of
    the fields are ``bounds`` of the cleaned data."""

    limit = forms.CharField(max_length=20, label="Amount at most", widget=PLAIN)
    count = forms.IntegerField(
        min_value=1, max_value=MOST_USES, label="How often", initial=10, widget=NUMBER
    )
    hours = forms.IntegerField(
        min_value=1, max_value=MOST_HOURS, label="For how many hours", initial=4, widget=NUMBER
    )
    reason = forms.CharField(
        max_length=REASON_MOST,
        label="Why",
        help_text="Who confirms it reads this, and so does whoever looks at a use of it.",
        widget=forms.Textarea(attrs={"rows": 2, "class": "input", "maxlength": REASON_MOST}),
    )

    def __init__(self, data: Any = None, *, approval: Any) -> None:
        cents = abs(approval.amount_cents or 0)
        super().__init__(data, initial={"limit": f"{cents // 100}.{cents % 100:02}"})
        self.values = sorted(CoverableCall.of(approval).fields.items())
        for n, (name, value) in enumerate(self.values):
            choices = [(takes, grant_typing.CHOICES[takes]) for takes in takes_for(value)]
            self.fields[f"takes_{n}"] = forms.ChoiceField(choices=choices, label=name)
            self.fields[f"values_{n}"] = forms.CharField(
                required=False, max_length=10_000, strip=True, label=f"{name}: which", widget=LINES
            )

    def rows(self) -> list[dict[str, Any]]:
        """The fields of the call: what it is in the request, and the inputs that bound it."""
        return [
            {
                "name": name,
                "value": grant_typing.value_words(value),
                "takes": self[f"takes_{n}"],
                "values": self[f"values_{n}"],
                "is_open": len(takes_for(value)) > 1,
            }
            for n, (name, value) in enumerate(self.values)
        ]

    def clean_limit(self) -> int:
        try:
            return grant_typing.cents(str(self.cleaned_data["limit"]))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        given, bounds = self.cleaned_data, []
        for n, (name, value) in enumerate(self.values):
            takes, text = given.get(f"takes_{n}"), given.get(f"values_{n}")
            if takes is None or text is None:
                continue
            try:
                bounds.append(grant_typing.typed(name, value, takes, text))
            except ValueError as error:
                self.add_error(f"values_{n}", str(error))
        return {**given, "bounds": bounds}


class ConfirmGrantForm(forms.Form):
    digest = forms.RegexField(r"^[0-9a-f]{64}$")
    reason = forms.CharField(max_length=REASON_MOST, strip=True)


class EndGrantForm(forms.Form):
    reason = forms.CharField(max_length=REASON_MOST, strip=True)


class ClaimForm(forms.Form):
    reason = forms.CharField(required=False, max_length=REASON_MOST)


class EscalateForm(forms.Form):
    note = forms.CharField(required=False, max_length=NOTE_MOST, strip=True)
    rung = forms.IntegerField(min_value=0, max_value=999)


class DelegateForm(forms.Form):
    """``seen``: the delegation that stood on the page; 0 for none."""

    to_id = forms.IntegerField(min_value=1, max_value=2**31 - 1)
    note = forms.CharField(required=False, max_length=NOTE_MOST, strip=True)
    seen = forms.IntegerField(min_value=0, max_value=2**62)


class SnoozeForm(forms.Form):
    minutes = forms.TypedChoiceField(
        coerce=int, choices=[(n, n) for n in (snoozing.HALF, *snoozing.PRESETS)]
    )


class AbsenceForm(forms.Form):
    """When somebody is away, in UTC, and who stands in. ``for_others``: whether it asks whose."""

    person = forms.TypedChoiceField(coerce=int, label="Who")
    until = forms.CharField(max_length=40, label="Until (UTC)", widget=MOMENT)
    stand_in = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=None, label="Who stands in"
    )
    reason = forms.CharField(
        max_length=AWAY_REASON_MOST,
        label="Why",
        help_text="You and admins read it, nobody else.",
        widget=forms.TextInput(attrs={"class": "input", "maxlength": AWAY_REASON_MOST}),
    )
    field_order = ("person", "from", "until", "stand_in", "reason")

    def __init__(self, data: Any, *, user: User, people: Sequence[User], for_others: bool) -> None:
        super().__init__(data, initial={"person": user.pk})
        self.fields["from"] = forms.CharField(
            required=False,
            max_length=40,
            label="From (UTC)",
            help_text="Nothing, or a time that has passed: at once.",
            widget=MOMENT,
        )
        named = [(one.pk, f"{one.display_name} ({one.get_role_display()})") for one in people]
        chosen = cast(forms.ChoiceField, self.fields["stand_in"])
        chosen.choices = [("", "Nobody: the role is called as ever"), *named]
        if for_others:
            cast(forms.ChoiceField, self.fields["person"]).choices = named
        else:
            del self.fields["person"]
        self.order_fields(self.field_order)

    def clean_from(self) -> datetime | None:
        text = str(self.cleaned_data["from"])
        return _moment(text) if text.strip() else None

    def clean_until(self) -> datetime:
        return _moment(str(self.cleaned_data["until"]))


def _moment(text: str) -> datetime:
    if (found := moment(text)) is None:
        raise forms.ValidationError("Write a date and a time, such as 2026-12-24T17:00.")
    return found


def filters_from(query: Mapping[str, Any]) -> Filters:
    """The list's state from its address. Whatever makes no sense there is left out."""
    tab = str(query.get("tab", ""))
    risk = str(query.get("risk", ""))
    known = tab if tab in dict(TABS) else "waiting"
    escalated = str(query.get("escalated", ""))
    sort = str(query.get("sort", ""))
    found = Filters(
        tab=known,
        sort=sort if sort in sorting.SORTS and known == "waiting" else "due",
        escalated=escalated if escalated in {"any", "me"} else "",
        mine=query.get("mine") == "1",
        delegated=query.get("delegated") == "1",
        snoozed=query.get("snoozed") == "1",
        all=query.get("all") == "1",
        unclaimed=query.get("unclaimed") == "1",
        risk=int(risk) if risk in {"1", "2", "3", "4"} else 0,
        domain=str(query.get("domain", ""))[:60],
        job=str(query.get("job", ""))[:60],
        agent=str(query.get("agent", ""))[:80],
        q=str(query.get("q", "")).strip()[:200].replace("\x00", ""),
        storm=storms.key_of(str(query.get("storm", ""))[:120]) if known == "waiting" else None,
    )
    return replace(found, after=_key(str(query.get("after", "")), found))


def key_text(key: tuple[str, ...] | None) -> str:
    """A key of the list as it stands in an address."""
    return sorting.SEPARATOR.join(key) if key else ""


def _key(text: str, filters: Filters) -> tuple[str, ...]:
    if not filters.has_called_first:
        return sorting.key_of(text, filters.order)
    part, _, rest = text.partition(sorting.SEPARATOR)
    found = sorting.key_of(rest, filters.order)
    return (part, *found) if found and part in {FIRST, REST} else ()


def since_from(query: Mapping[str, Any]) -> tuple[list[UUID], datetime | None]:
    """Which rows a page shows and when it was drawn; unreadable parts are left out."""
    ids = []
    for text in str(query.get("ids", "")).split(",")[:100]:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    return ids, moment(str(query.get("since", "")))
