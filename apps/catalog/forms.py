"""The main values of a contract as fields, and the filters of the catalog's pages."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.catalog.domain.contract import NO_RATE
from apps.catalog.domain.contract_schema import CLASSIFICATIONS, CRITICALITIES, ERRORS
from apps.catalog.models import Domain
from apps.kernel.fields import Field, Section

_ABOUT = Section(
    "What it is",
    (
        Field(("name",), "Name"),
        Field(("owner",), "Owner"),
        Field(("purpose",), "Purpose", "long"),
        Field(("criticality",), "Criticality", "choice", CRITICALITIES, default="normal"),
        Field(
            ("outcome", "target"),
            "Success target",
            "number",
            help="Share of finished runs that succeed, 0 to 1",
        ),
        Field(
            ("outcome", "when_any_of"),
            "Succeeds by",
            "names",
            help="Tools of which one has to be carried out; none: an answer does",
        ),
        Field(
            ("outcome", "hand_over"),
            "Hands over by",
            "names",
            help="Tools that give the case to a person: neither success nor failure",
        ),
    ),
)
_LIMITS = Section(
    "Limits",
    (
        Field(("limits", "deadline_s"), "Deadline", "whole", unit="s", default=14400),
        Field(("limits", "steps"), "Steps", "whole", default=60),
        Field(("limits", "tokens"), "Tokens", "whole", default=200_000),
        Field(("limits", "cost_usd"), "Cost", "number", unit="$", default=2.0),
        Field(("slo", "latency_p95_s"), "Latency p95", "number", unit="s", default=120),
        Field(("slo", "latency_budget_s"), "Latency budget", "number", unit="s", default=300),
    ),
)
_ON_TIMEOUT = ("reject", "escalate")


def contract_sections(
    document: Any, *, agents: frozenset[str], policies: frozenset[str]
) -> list[Section]:
    """The fields for ``document``: fixed ones, and a few for each tool it lists."""
    return [
        _ABOUT,
        _deciding(tuple(sorted(policies))),
        _LIMITS,
        _running(tuple(sorted(agents))),
        *_tool_sections(document),
    ]


def _deciding(policies: tuple[str, ...]) -> Section:
    at = "decisions"
    return Section(
        "Who decides",
        (
            Field((at, "policy"), "Policy set", "choice", policies),
            Field((at, "votes"), "Votes to approve", "whole", default=1),
            Field((at, "window_s"), "Time to decide", "whole", unit="s", default=14400),
            Field(
                (at, "on_timeout"), "When nobody decides", "choice", _ON_TIMEOUT, default="reject"
            ),
        ),
    )


def _running(agents: tuple[str, ...]) -> Section:
    data = ("data", "classification")
    return Section(
        "How it runs",
        (
            Field(("agent", "slug"), "Agent", "choice", agents),
            Field(("lane",), "Lane", "choice", ("urgent", "normal"), default="normal"),
            Field(("priority",), "Priority", "whole", help="Lower is sooner", default=50),
            Field(data, "Data classification", "choice", CLASSIFICATIONS, default="internal"),
        ),
    )


def _tool_sections(document: Any) -> list[Section]:
    tools = document.get("tools") if isinstance(document, dict) else None
    found = []
    for i, tool in enumerate(tools if isinstance(tools, list) else []):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            continue
        at = ("tools", i)
        found.append(
            Section(
                f"Tool {tool['name']}",
                (
                    Field((*at, "timeout_s"), "Timeout", "number", unit="s", default=15),
                    Field((*at, "retry", "attempts"), "Attempts", "whole", default=4),
                    Field((*at, "concurrency"), "At the same time", "whole", default=16),
                    Field((*at, "rate_per_minute"), "Calls a minute", "whole", default=NO_RATE),
                    Field((*at, "repeatable"), "May repeat", "flag", default=False),
                    Field((*at, "errors"), "An error means", "choice", ERRORS, default="refused"),
                ),
            )
        )
    return found


class JobFilter(forms.Form):
    """What the catalog's list is narrowed by; unknown values are ignored, not errors."""

    SIZES = (20, 50, 100)

    q = forms.CharField(required=False, max_length=120, strip=True)
    domain = forms.SlugField(required=False)
    owner = forms.CharField(required=False, max_length=160)
    criticality = forms.ChoiceField(required=False, choices=[(c, c) for c in CRITICALITIES])
    draft = forms.BooleanField(required=False)
    after = forms.SlugField(required=False)
    size = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=20, choices=[(s, s) for s in SIZES]
    )

    @property
    def chosen(self) -> dict[str, Any]:
        self.is_valid()
        empty = {name: field.to_python("") for name, field in self.fields.items()}
        return {**empty, "size": 20, **self.cleaned_data}


class BeginForm(forms.Form):
    """A new job or policy set. Its slug is what contracts, runs and packs call it, for good."""

    domain = forms.ModelChoiceField(Domain.objects.order_by("slug"), to_field_name="slug")
    slug = forms.RegexField(
        r"^[a-z0-9][a-z0-9_-]*$",
        max_length=50,
        error_messages={"invalid": "Use small letters, digits, - and _."},
    )
    name = forms.CharField(max_length=120)
