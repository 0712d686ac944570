"""What the conversation and the run's own past say about a proposal.

Heuristics over untrusted words, in one place, so that they can be read, tested and argued about. A
policy decides what they are worth: none of them can do more than let a person be asked or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apps.evidence.domain.agreement import agreed as agreed
from apps.evidence.domain.agreement import agrees as agrees
from apps.evidence.domain.agreement import asks, heard_answer, plain
from apps.evidence.domain.dispositions import MADE, Disposition
from apps.evidence.domain.spoken import amount_forms, value_forms
from apps.kernel.ecma import PatternError
from apps.kernel.exactjson import Number, is_number, number_text
from apps.kernel.patterns import TooLongError, pattern
from apps.policy.domain.effects import CONSEQUENTIAL, Effect

CUSTOMER, AGENT = "customer", "agent"
REFUSED = (Disposition.REFUSED_BY_TOOL, Disposition.DENIED, Disposition.REJECTED)
MAX_ANSWER = 80
RECENT_AGENT_MESSAGES = 3  # a proposal may be followed by an answer to a question about it


@dataclass(frozen=True, slots=True)
class PastStep:
    """An earlier step of the run: ``disposition`` says what became of it."""

    seq: int
    tool: str
    effect: str
    disposition: str
    arguments: Mapping[str, Any]
    result: Any = None


def conversation_facts(
    messages: Sequence[tuple[str, str]],
    signals: Mapping[str, str],
    *,
    arguments: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    is_attested: bool = True,
) -> dict[str, Any]:
    """What was said before a proposal with these ``arguments``. ``messages`` are (role, words),
    oldest first; ``signals`` are the contract's names and patterns. The customer's words confirm
    nothing unless they are ``is_attested``: whoever proposes the calls wrote them too."""
    last = _last_customer(messages)
    heard = [plain(words) for role, words in messages if role == CUSTOMER]
    offers = _offers(messages, last)
    asked = any(asks(offer) for offer in offers[:1])
    answer = heard_answer(heard)
    told = "\n".join(offers)
    missing = sorted(set(missing_values(told, arguments)))
    return {
        "confirmed": is_attested and asked and answer.agrees,
        "understood": answer.understood,
        "language": answer.language,
        "agent_asked": asked,
        "customer_messages": len(heard),
        "signals": sorted(hearing(messages, signals).heard),
        "spelled_out": bool(told) and not missing,
        "price_quoted": quotes(told, facts or {}),
        "unspoken": missing,
        "customer_named": sorted(named_by_customer(heard, {**(facts or {}), **arguments})),
        "spoken_of": sorted(spoken_of([*heard, *offers], facts or {})),
    }


def run_facts(
    steps: Sequence[PastStep], *, tool: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """What the run did before proposing ``tool`` with ``arguments``."""
    done = [s for s in steps if s.disposition in MADE]
    changed = [s for s in done if s.effect in CONSEQUENTIAL]
    about = resource_of(arguments)
    return {
        "same_tool_before": sum(s.tool == tool for s in changed),
        "same_resource_before": sum(_is_about(s, about) for s in changed),
        "mutations_before": len(changed),
        "reads_before": sorted({s.tool for s in done if s.effect == Effect.READ}),
        "seen": sorted({v for s in steps for v in _scalars(s.arguments.values())}),
        "answers": sorted(
            {a for s in done if s.effect == Effect.READ and (a := _short_answer(s.result))}
        ),
        "refused_before": sum(s.disposition in REFUSED for s in steps),
        "same_resource_rejected": sum(
            s.disposition == Disposition.REJECTED and _is_about(s, about) for s in steps
        ),
        "steps": len(steps),
    }


def _is_about(step: PastStep, about: tuple[str, Any] | None) -> bool:
    return about is not None and resource_of(step.arguments) == about


@dataclass(frozen=True, slots=True)
class Hearing:
    """Names of the signals whose pattern is found in the customer's words, and of those that
    couldn't be tried: nobody knows whether they were heard."""

    heard: frozenset[str]
    untried: tuple[str, ...] = ()


def hearing(messages: Sequence[tuple[str, str]], signals: Mapping[str, str]) -> Hearing:
    """What of the contract's ``signals`` the customer said. Never raises, and takes time in
    proportion to what was said."""
    said = "\n".join(plain(words) for role, words in messages if role == CUSTOMER)
    return _hearing(said, tuple(signals.items()))


@lru_cache(maxsize=512)
def _hearing(said: str, signals: tuple[tuple[str, str], ...]) -> Hearing:
    heard, untried = set(), []
    for name, written in signals:
        try:
            if pattern(written, words=True).found_in(said):
                heard.add(name)
        except (PatternError, TooLongError):
            untried.append(name)
    return Hearing(frozenset(heard), tuple(untried))


def named_by_customer(heard: Iterable[str], values: Mapping[str, Any]) -> set[str]:
    """Names of the text values that the customer said, letter by letter: an id that nobody but
    the agent ever mentioned isn't among them."""
    said = "\n".join(heard)
    return {
        name
        for name, value in values.items()
        if isinstance(value, str) and len(value) > 2 and value.casefold().lstrip("#") in said
    }


def spoken_of(said: Iterable[str], facts: Mapping[str, Any]) -> set[str]:
    """Names of the facts that list several ways to name one thing, of which one was said, as
    whole words: by the customer, or by the agent in its last words."""
    text = "\n".join(said)
    return {
        name
        for name, ways in facts.items()
        if isinstance(ways, list | tuple) and any(_says(text, str(way).casefold()) for way in ways)
    }


def _says(text: str, words: str) -> bool:
    whole = rf"(?<!\w){re.escape(words)}(?!\w|[.,]\d)"
    return bool(words) and words in text and re.search(whole, text) is not None


def missing_values(told: str, arguments: Mapping[str, Any]) -> list[str]:
    """Names of top-level arguments with values that a person would have had to hear and that the
    agent's words lack.

    What readers say is spoken of in other words is left out, such as ids of people; amounts, dates,
    names, addresses stay.
    """
    text = plain(told)
    return [
        top
        for top, whole in arguments.items()
        for name, value in _values(top, whole)
        if (forms := value_forms(name, value)) and not any(form in text for form in forms)
    ]


def quotes(told: str, facts: Mapping[str, Any]) -> bool:
    """Whether the agent named the amount at stake, in any usual way of writing it. True when no
    money moves."""
    cents = facts.get("amount_cents")
    if not isinstance(cents, int) or cents == 0:
        return True
    text = plain(told).replace(",", "")
    return any(re.search(rf"(?<![\d.]){re.escape(f)}(?![\d])", text) for f in amount_forms(cents))


def resource_of(arguments: Mapping[str, Any]) -> tuple[str, str | Number] | None:
    """What a call is about: its first argument that names something and is no means of payment."""
    for name, value in arguments.items():
        if name.endswith("_id") and "payment" not in name and _names_something(value):
            return name, value
    return None


def _names_something(value: Any) -> bool:
    return isinstance(value, str) or is_number(value)


def _short_answer(result: Any) -> str:
    """The text of an answer that is one short text, such as the id that a look-up found."""
    text = result.get("content") if isinstance(result, Mapping) else result
    if not isinstance(text, str) or len(text) > MAX_ANSWER:
        return ""
    return text.strip().strip('"')


def _last_customer(messages: Sequence[tuple[str, str]]) -> int:
    found = [i for i, (role, _) in enumerate(messages) if role == CUSTOMER]
    return found[-1] if found else len(messages)


def _offers(messages: Sequence[tuple[str, str]], until: int) -> list[str]:
    """The agent's last words before the customer's, newest first."""
    said = [plain(words) for role, words in messages[:until] if role == AGENT and words.strip()]
    return said[::-1][:RECENT_AGENT_MESSAGES]


def _values(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _values(str(key), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _values(name, inner)
    else:
        yield name, value


def _scalars(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str):
            yield value
        elif is_number(value):
            yield number_text(value)
