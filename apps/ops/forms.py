"""The filters of the runs list, from and to the URL; and the reason for a cancellation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.http import QueryDict

from apps.kernel.moments import moment
from apps.ops.selectors.runs import RunFilter
from apps.outcomes.domain.counting import WORDS as COUNTED
from apps.outcomes.domain.counting import CountsAs
from apps.runs.domain.finding import VERDICT_WORDS
from apps.runs.domain.origin import Origin
from apps.runs.domain.states import State
from apps.runs.models import Cap

WORD = 200
# Columns of the list that may be left out, by their place in a row.
COLUMNS = {
    "agent": 3,
    "started": 4,
    "took": 5,
    "steps": 6,
    "retries": 7,
    "waits": 8,
    "cost": 9,
    "outcome": 10,
}
COLUMN_WORDS = {"agent": "Job, contract, agent", "waits": "Waiting on"}
ASKED = ("any", "pending", "approved", "rejected", "expired", "void")

LABELS = {
    "state": "state",
    "domain": "domain",
    "job": "job",
    "contract": "contract version",
    "agent": "agent",
    "outcome": "outcome",
    "counts_as": "counts as",
    "error_class": "error",
    "tool": "tool",
    "rule": "policy rule",
    "source": "source",
    "origin": "origin",
    "approval": "asked a person",
    "counted": "counted in KPIs, without forks",
    "needs": "needs a person",
    "violation": "has a violation",
    "problems": "failed or unknown only",
    "from": "from",
    "to": "to",
    "ended_from": "ended from",
    "q": "text",
}


class MomentField(forms.Field):
    """A moment of an address, in UTC."""

    def to_python(self, value: Any) -> datetime | None:
        if not value:
            return None
        if (found := moment(str(value))) is None:
            raise forms.ValidationError("This is not a date and time between 1970 and 8999.")
        return found


class RunFilterForm(forms.Form):
    """What the URL may say about a list of runs. A value that makes no sense is dropped and
    named, so that an old link still shows a list."""

    state = forms.MultipleChoiceField(choices=[(s, s) for s in State], required=False)
    domain = forms.SlugField(required=False)
    job = forms.SlugField(required=False)
    contract = forms.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    agent = forms.CharField(max_length=WORD, required=False)
    outcome = forms.CharField(max_length=40, required=False)
    counts_as = forms.MultipleChoiceField(choices=[(c, c) for c in CountsAs], required=False)
    error_class = forms.CharField(max_length=40, required=False)
    tool = forms.CharField(max_length=80, required=False)
    rule = forms.CharField(max_length=120, required=False)
    source = forms.CharField(max_length=16, required=False)
    origin = forms.ChoiceField(choices=[(o, o) for o in Origin], required=False)
    approval = forms.ChoiceField(choices=[(a, a) for a in ASKED], required=False)
    counted = forms.BooleanField(required=False)
    needs = forms.BooleanField(required=False)
    violation = forms.BooleanField(required=False)
    problems = forms.BooleanField(required=False)
    q = forms.CharField(max_length=WORD, required=False)
    hide = forms.MultipleChoiceField(choices=[(c, c) for c in COLUMNS], required=False)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        # "from" is a word of Python, so these two can't be class attributes.
        self.fields["from"] = MomentField(required=False)
        self.fields["to"] = MomentField(required=False)
        self.fields["ended_from"] = MomentField(required=False)

    def wanted(self) -> RunFilter:
        """The filter that the valid fields ask for."""
        self.is_valid()
        value = self.cleaned_data.get
        return RunFilter(
            states=tuple(value("state") or ()),
            domain=value("domain") or "",
            job=value("job") or "",
            contract=value("contract"),
            agent=value("agent") or "",
            outcome=value("outcome") or "",
            counts_as=tuple(CountsAs(kind) for kind in value("counts_as") or ()),
            error_class=value("error_class") or "",
            tool=value("tool") or "",
            rule=value("rule") or "",
            source=value("source") or "",
            origin=value("origin") or "",
            approval=value("approval") or "",
            counted=bool(value("counted")),
            needs_me=bool(value("needs")),
            violation=bool(value("violation")),
            problems=bool(value("problems")),
            since=value("from"),
            until=value("to"),
            ended_since=value("ended_from"),
            text=value("q") or "",
        )

    def hidden(self) -> list[int]:
        """Places of the columns to leave out."""
        self.is_valid()
        return [COLUMNS[name] for name in self.cleaned_data.get("hide") or ()]

    def columns(self) -> list[tuple[str, str, bool]]:
        """Columns that may be left out as (name, words, whether it is)."""
        left_out = self.hidden()
        words = {name: COLUMN_WORDS.get(name, name.capitalize()) for name in COLUMNS}
        return [(name, words[name], place in left_out) for name, place in COLUMNS.items()]

    def active(self) -> list[tuple[str, str, str]]:
        """The filters in force as (field, label, value), for chips that take one out."""
        self.is_valid()
        found = []
        for name, label in LABELS.items():
            value: Any = self.cleaned_data.get(name)
            if value is True:
                found.append((name, label, ""))
            elif value:
                found.append((name, label, self._words(name)))
        return found

    def _words(self, name: str) -> str:
        if name == "state":
            return ", ".join(s.replace("_", " ") for s in self.cleaned_data["state"])
        if name == "counts_as":
            return ", ".join(COUNTED[CountsAs(kind)].lower() for kind in self.cleaned_data[name])
        return str(self.data.get(name, ""))

    def dropped(self) -> list[str]:
        """Labels of the filters that could not be understood."""
        return [LABELS.get(name, name) for name in self.errors]


class OnceForm(forms.Form):
    """A form that is carried out once, however often it is sent."""

    ticket = forms.UUIDField(
        error_messages=dict.fromkeys(("required", "invalid"), "Reload the page and send it again.")
    )


class CancelForm(forms.Form):
    """Why a run is stopped."""

    reason = forms.CharField(
        max_length=500,
        error_messages={"required": "Say why: it is written to the audit log."},
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class PauseForm(CancelForm):
    """Why a run is paused."""


class AgainForm(CancelForm):
    """Why a poison step may work now."""


class UndoAgainForm(OnceForm, CancelForm):
    """Why an undoing that failed may work now."""


class UndoForm(OnceForm, CancelForm):
    """Why a run is undone, and what the person saw that would be."""

    plan = forms.CharField(
        max_length=64, error_messages={"required": "Look at what would be undone first."}
    )


class UndoneForm(OnceForm):
    """What a person says about an undoing that failed."""

    verdict = forms.ChoiceField(
        choices=[("happened", "It is undone by other means"), ("give_up", "Leave it as it is")],
        error_messages={"required": "Choose what becomes of it."},
    )
    evidence = forms.CharField(
        max_length=2000,
        error_messages={"required": "Say how you know, or why it may stay: it is kept."},
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class ReconcileForm(OnceForm):
    """What a person found out about a call whose answer was lost."""

    verdict = forms.ChoiceField(
        choices=[(v.value, words) for v, words in VERDICT_WORDS.items()],
        error_messages={"required": "Choose what you found out."},
    )
    evidence = forms.CharField(
        max_length=2000,
        error_messages={"required": "Say how you know: it is kept as the step's evidence."},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    round = forms.IntegerField(min_value=0, max_value=32767)


class ForkForm(OnceForm):
    """Where a branch goes on from, under which contract version, and why."""

    after = forms.IntegerField(min_value=0, max_value=2**31 - 1)
    contract = forms.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    label = forms.CharField(max_length=80, required=False)
    reason = forms.CharField(
        max_length=500, error_messages={"required": "Say why: it is written to the audit log."}
    )


class CapForm(forms.Form):
    """What one tool, job, agent or tenant may do at once and a minute."""

    scope = forms.ChoiceField(
        label="What is capped",
        choices=Cap.Scope.choices,
        error_messages={"required": "Choose what is capped."},
    )
    key = forms.RegexField(
        r"^[A-Za-z0-9_./:-]+$",
        label="Its name",
        max_length=140,
        widget=forms.TextInput(attrs={"list": "cap-names", "autocomplete": "off"}),
        error_messages={
            "required": "Name it: a tool as domain/tool, a job or agent by its slug.",
            "invalid": "A name has no spaces: a tool is domain/tool, a job or agent its slug.",
        },
    )
    max_in_flight = forms.IntegerField(
        label="Steps at once", min_value=1, max_value=1_000_000, required=False
    )
    per_minute = forms.IntegerField(
        label="Steps a minute", min_value=1, max_value=1_000_000, required=False
    )
    reason = forms.CharField(
        label="Why",
        max_length=200,
        error_messages={"required": "Say why: it is written to the audit log."},
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        bounds = ("max_in_flight", "per_minute")
        if not any(said.get(name) or name in self.errors for name in bounds):
            self.add_error(bounds[0], "Say how many at once, how many a minute, or both.")
        return said
