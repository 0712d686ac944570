"""What people may type about a question, and what the address of the list may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms

from apps.kernel.moments import moment
from apps.oversight.domain import sorting, storms
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


class ClaimForm(forms.Form):
    reason = forms.CharField(required=False, max_length=REASON_MOST)


class EscalateForm(forms.Form):
    note = forms.CharField(required=False, max_length=NOTE_MOST, strip=True)
    rung = forms.IntegerField(min_value=0, max_value=999)


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
