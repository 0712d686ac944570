"""What is proved of a text, as a part that its page fetches: finding it out may take a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.policy import selectors, services
from apps.policy.domain.document import read_document
from apps.policy.domain.proofs.assessment import Assessment, Witness
from apps.policy.models import PolicySet
from apps.policy.services.comparing import PAST
from apps.policy.services.drafting import schema_of
from apps.policy.views.pages import get_set

PART = "policy/_proofs.html"


@dataclass(frozen=True, slots=True)
class SaidValue:
    """Something about a request, as people read it."""

    name: str
    value: Any
    is_money: bool


@dataclass(frozen=True, slots=True)
class AnswerChange:
    """A tool that is answered otherwise, with a request that shows it."""

    tool: str
    is_weaker: bool
    before: str
    after: str
    by: str
    said: tuple[SaidValue, ...]


@require_GET
@requires("policy.view")
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    """Of the draft, beside the version in force."""
    found = get_set(slug)
    written = selectors.draft_of(found)
    return _part(request, found, written.text if written else "")


@require_GET
@requires("policy.view")
def in_force(request: HttpRequest, slug: str) -> HttpResponse:
    """Of the version in force."""
    found = get_set(slug)
    version = selectors.current_version(slug)
    return _part(request, found, version.text if version else "")


def _part(request: HttpRequest, found: PolicySet, text: str) -> HttpResponse:
    schema = schema_of(found)
    if not text or (
        problems := services.validate(text=text, schema=schema, domain=found.domain_slug)
    ):
        failed = [p for p in problems if p.path.startswith("tests")] if text else []
        return render(request, PART, {"set": found, "assessment": None, "failed": failed})
    assessment = services.assess(found, text, schema)
    document, _ = read_document(text)
    context = {
        "tests": services.tested(document, schema, found.domain_slug) if document else (),
        "set": found,
        "assessment": assessment,
        "rows": list(_rows(assessment)),
        "findings": [_ShownFinding(f, _examples(f.shown)) for f in assessment.findings],
    }
    return render(request, PART, context)


@dataclass(frozen=True, slots=True)
class _ShownFinding:
    finding: Any
    examples: list[Any]


@dataclass(frozen=True, slots=True)
class Example:
    """A request that breaks a sentence; for one about two, how the second differs."""

    tool: str
    answer: str
    by: str
    said: tuple[SaidValue, ...]
    second: tuple[SaidValue, ...]
    then: str


def _examples(shown: tuple[Witness, ...]) -> list[Example]:
    return [
        Example(
            one.tool,
            PAST[one.example["answer"]],
            ", ".join(r["id"] for r in one.example["rules"]),
            _said(one.example["telling"]),
            _said(one.example.get("second", ())),
            PAST.get(one.example.get("then", {}).get("answer", ""), ""),
        )
        for one in shown
    ]


def _rows(found: Assessment) -> Iterator[AnswerChange]:
    for shown, is_weaker in [(s, True) for s in found.weaker] + [
        (s, False) for s in found.stricter
    ]:
        example: Mapping[str, Any] = shown.example
        before = example["before"]
        yield AnswerChange(
            shown.tool,
            is_weaker,
            PAST[before["answer"]],
            PAST[example["answer"]],
            ", ".join(before["rules"])
            if is_weaker
            else ", ".join(r["id"] for r in example["rules"]),
            _said(example["telling"]),
        )


def _said(telling: Any) -> tuple[SaidValue, ...]:
    return tuple(_one(entry["name"], entry["value"]) for entry in telling)


def _one(name: str, value: Any) -> SaidValue:
    is_money = name.endswith("_cents") and isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    elif isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    elif isinstance(value, int) and not is_money:
        value = f"{value:,}"
    shown = value if value != "" else "(empty)"
    return SaidValue(name.partition(".")[2] or name, shown, is_money)
