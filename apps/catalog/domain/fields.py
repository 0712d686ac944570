"""How each plain field of a contract is spoken of: in the form, on the job's page, in the list of
what changed between two versions, and which way a change of it loosens a control.

One entry is all of that; the kind of its form field, its choices and its default are those of the
schema and of ``contract``. What is no plain value (tools, escalation, schemas, signals, failure
modes) is spoken of where it is compared or shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from apps.catalog.domain.contract import Contract, build
from apps.catalog.domain.contract_schema import CLASSIFICATIONS, CONTRACT, CRITICALITIES, ERRORS
from apps.catalog.domain.terms import STATED
from apps.documents.domain.changes import Kind
from apps.web.domain.quantities import exact_words, money_words

LONG = 1000  # characters: a text that may have more is written in several lines
ABOUT, DECIDES, LIMITS, RUNS = "What it is", "Who decides", "Limits", "How it runs"  # of the form
PROMISE, DATA = "promise", "data"  # of the page


@dataclass(frozen=True, slots=True)
class Spoken:
    """``looser``: which direction loosens it: up, down, any (can't be judged or always looser) or
    none; ``kind``: what a change of it is then. ``ranks``: its choices, the strictest last.
    ``form``: the section of the form, where it has ``form_label`` if that differs; ``page``: the
    list of the job's page that tells it, where the page has no sentence of its own about it.
    ``zero``: what nought means."""

    label: str
    looser: str = "none"
    unit: str = ""
    ranks: tuple[str, ...] = ()
    kind: Kind = Kind.NEUTRAL
    form: str = ""
    form_label: str = ""
    help: str = ""
    page: str = ""
    zero: str = ""


_SUCCEEDS = "Tools of which one has to be carried out; none: an answer does"
_HANDS_OVER = "Tools that give the case to a person: neither success nor failure"
_TIMEOUT = ("escalate", "reject")
FIELDS: Mapping[str, Spoken] = {
    "name": Spoken("Name", form=ABOUT),
    "owner": Spoken("Owner", form=ABOUT, page=PROMISE),
    "purpose": Spoken("Purpose", form=ABOUT),
    "criticality": Spoken("Criticality", "down", ranks=CRITICALITIES, form=ABOUT),
    "runbook": Spoken("Runbook"),
    "outcome.success": Spoken("What counts as success", kind=Kind.BREAKING),
    "outcome.target": Spoken(
        "Success target",
        "down",
        "%",
        form=ABOUT,
        help="Share of finished runs that succeed, 0 to 1",
    ),
    "outcome.when_any_of": Spoken("Succeeds by", form=ABOUT, help=_SUCCEEDS),
    "outcome.hand_over": Spoken("Hands over by", form=ABOUT, help=_HANDS_OVER),
    "decisions.policy": Spoken("Policy set", "any", form=DECIDES),
    "decisions.votes": Spoken(
        "Votes needed to approve", "down", form=DECIDES, form_label="Votes to approve"
    ),
    "decisions.window_s": Spoken(
        "Time a person has to decide", "none", "s", form=DECIDES, form_label="Time to decide"
    ),
    "decisions.on_timeout": Spoken("When nobody decides", "down", ranks=_TIMEOUT, form=DECIDES),
    "decisions.undo_s": Spoken(
        "Time to take an approval back",
        "down",
        "s",
        form=DECIDES,
        help="Nothing is carried out before it has passed",
    ),
    "decisions.approve_reasons": Spoken("Reasons offered to approve"),
    "decisions.reject_reasons": Spoken("Reasons offered to reject"),
    "limits.deadline_s": Spoken("Deadline", "up", "s", form=LIMITS),
    "limits.steps": Spoken("Step limit", "up", form=LIMITS, form_label="Steps"),
    "limits.tokens": Spoken("Token limit", "up", form=LIMITS, form_label="Tokens"),
    "limits.cost_usd": Spoken("Cost limit", "up", "$", form=LIMITS, form_label="Cost"),
    "slo.latency_p95_s": Spoken(
        "Latency target (p95)", "up", "s", form=LIMITS, form_label="Latency p95"
    ),
    "slo.latency_budget_s": Spoken("Latency budget", "up", "s", form=LIMITS),
    "agent.slug": Spoken("Agent", form=RUNS),
    "agent.timeout_s": Spoken("Time-out of an agent's turn", "up", "s", page=PROMISE),
    "agent.fallback_at": Spoken("Budget used when fallbacks take over", "none", "%"),
    "lane": Spoken("Lane", form=RUNS, page=PROMISE),
    "priority": Spoken("Priority", form=RUNS, help="Lower is sooner", page=PROMISE),
    "data.classification": Spoken(
        "Data classification", "down", ranks=CLASSIFICATIONS, form=RUNS, page=DATA
    ),
    "data.redact": Spoken("Kept as tokens only", page=DATA),
    "data.freshness_s": Spoken("Age of data allowed", "up", "s", page=DATA, zero="any"),
    "data.contracts": Spoken("Data contracts", page=DATA),
}
TOOL_FIELDS: Mapping[str, Spoken] = {  # each tool has a section of the form
    "timeout_s": Spoken("timeout", "none", "s", form_label="Timeout"),
    "retry.attempts": Spoken("attempts", "none", form_label="Attempts"),
    "retry.base_s": Spoken("first wait before a retry", "none", "s"),
    "retry.cap_s": Spoken("longest wait before a retry", "none", "s"),
    "concurrency": Spoken("calls at the same time", "up", form_label="At the same time"),
    "rate_per_minute": Spoken("calls a minute", "up", form_label="Calls a minute"),
    "repeatable": Spoken("may be repeated in one run", "up", form_label="May repeat"),
    "errors": Spoken("what its errors mean", "down", ranks=ERRORS, form_label="An error means"),
}


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value of a field in a document with every default filled in."""
    value: Any = document
    for part in path.split("."):
        value = value[part]
    return value


def said(value: Any, spoken: Spoken) -> str:
    """A value in words."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if spoken.unit == "%":
        return f"{value * 100:.10g} %"
    if spoken.unit == "$":
        return money_words(round(value * 100))
    if spoken.unit == "s":
        return exact_words(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True, slots=True)
class ToldField:
    """A field as the job's page tells it; ``stated``: what it means that nobody enforces it."""

    label: str
    words: str
    help: str = ""
    stated: str = ""


def facts(contract: Contract, page: str) -> Iterator[ToldField]:
    """What a list of the job's page tells."""
    document = contract.as_document()
    for path, spoken in FIELDS.items():
        if spoken.page != page:
            continue
        value = value_at(document, path)
        words = spoken.zero if value == 0 and spoken.zero else said(value, spoken)
        yield ToldField(spoken.label, words, spoken.help, STATED.get(path, "") if value else "")


# --- what the schema says of a field -------------------------------------------------------------


def schema_of(path: str) -> tuple[Mapping[str, Any], bool]:
    """The entry of a field in the schema (of a tool's: ``tools.timeout_s``), and whether it has to
    be there."""
    entry: Mapping[str, Any] = CONTRACT
    is_required = False
    for name in path.split("."):
        group = entry.get("items", entry)
        is_required = name in group.get("required", ())
        entry = group["properties"][name]
    return entry, is_required


def form_kind(path: str) -> str:
    """The kind of form field for it (``kernel.fields``)."""
    entry, _ = schema_of(path)
    if "enum" in entry:
        return "choice"
    if entry.get("maxLength", 0) > LONG:
        return "long"
    kinds = {"integer": "whole", "number": "number", "boolean": "flag", "array": "names"}
    return kinds.get(entry["type"], "text")


@cache
def _defaults() -> Mapping[str, Any]:
    least = {
        "job": "",
        "name": "",
        "owner": "",
        "purpose": "",
        "outcome": {},
        "agent": {"slug": ""},
    }
    return build(least | {"tools": [{"name": ""}], "decisions": {"policy": ""}}).as_document()


def default_of(path: str) -> Any:
    """What counts where a contract doesn't say; empty for a list and for what it has to say."""
    entry, is_required = schema_of(path)
    if is_required or entry["type"] == "array":
        return ""
    group, _, rest = path.partition(".")
    return (
        value_at(_defaults()["tools"][0], rest) if group == "tools" else value_at(_defaults(), path)
    )
