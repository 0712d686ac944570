"""What the conversation and the run's own past say about a proposal.

Heuristics over untrusted words, in one place, so that they can be read, tested and argued about. A
policy decides what they are worth: none of them can do more than let a person be asked or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.runs.domain.spoken import amount_forms, value_forms

CUSTOMER, AGENT = "customer", "agent"
EXECUTED = ("executed",)
MUTATIONS = ("draft", "write", "irreversible")
REFUSED = ("refused_by_tool", "denied", "rejected")
RECENT_AGENT_MESSAGES = 3  # a proposal may be followed by an answer to a question about it

_AGREES = re.compile(
    r"""\b(
      yes|yeah|yep|yup|yea|sure|okay|ok|absolutely|definitely|certainly|of\ course|agreed|
      confirm(ed|ing)?|correct|proceed|go\ ahead|do\ it|do\ that|do\ so|perfect|exactly|
      (that|it|this|everything|all)('s|\ is|\ are)?\ (all\ )?(right|correct|fine|good|great|perfect|ok(ay)?)|
      (that|this|it|everything)\ (works|sounds|looks)(\ (good|great|fine|right|correct|perfect))?|
      (sounds|looks)\ (good|great|fine|right|correct|perfect)|works\ for\ me|
      please\ (do|go|continue|finalize|finalise|complete|process|make|book|cancel|change|update|
               modify|exchange|return|add|upgrade|submit|apply|use)|
      i('m|\ am)\ (fine|ok(ay)?|good|happy|ready|sure)|i\ (agree|accept|approve)|let's\ (do|go)|
      i('d|\ would)\ like\ to\ (proceed|go\ ahead|continue|confirm)|i('ll|\ will)\ (take|go\ with)
    )\b""",
    re.VERBOSE,
)
_REFUSES = re.compile(
    r"""^\W*(no|nope|nah|not\ (yet|now|really|exactly)|never\ ?mind|wait|hold\ on|stop|actually)\b|
      \b(don't|do\ not|please\ don't)\ (proceed|cancel|book|change|do|go|charge|make|want|process)\b|
      \bi('d|\ would)?\ (rather\ not|changed\ my\ mind|(do\ not|don't)\ agree)\b|
      \b(that|this|it)('s|\ is)\ (not|wrong|incorrect)\b|\bnot\ (correct|right)\b""",
    re.VERBOSE,
)
_CONDITIONS = re.compile(
    r"""\b(but\ (first|before|only|wait|not|i|can|could|what|please|if|make|also|instead|change)|
      however|instead|before\ (you|we|i|that|proceeding|doing|making)|
      only\ if|as\ long\ as|unless|except|hold\ on|on\ second\ thought|
      what\ (about|if)|how\ (about|much)|(can|could|would)\ you\ (first|tell|check|let|explain|clarify|confirm|
         find|look|also\ (tell|check|look))|is\ (it|there)|are\ there|do\ (i|you)|will\ (i|it|there|the)|
      which|why|when\ (will|would|do))\b""",
    re.VERBOSE,
)
_ASKS = re.compile(
    r"""\?|\b(confirm|proceed|go\ ahead|let\ me\ know|shall\ i|should\ i|would\ you\ like|
      do\ you\ want|please\ (reply|respond|say|type)|\(?yes(/|\ or\ )no\)?)\b""",
    re.VERBOSE,
)
_SENTENCE = re.compile(r"[^.!?\n;]+[.!?;]?")


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
) -> dict[str, Any]:
    """What was said before a proposal with these ``arguments``. ``messages`` are (role, words),
    oldest first; ``signals`` are the contract's names and patterns."""
    last = _last_customer(messages)
    heard = [_plain(words) for role, words in messages if role == CUSTOMER]
    offers = _offers(messages, last)
    asked = any(_ASKS.search(offer) for offer in offers[:1])
    told = "\n".join(offers)
    return {
        "confirmed": bool(heard) and asked and agrees(heard[-1]),
        "agent_asked": asked,
        "customer_messages": len(heard),
        "signals": sorted(signals_heard(heard, signals)),
        "spelled_out": bool(told) and not missing_values(told, arguments),
        "price_quoted": quotes(told, facts or {}),
    }


def run_facts(
    steps: Sequence[PastStep], *, tool: str, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """What the run did before proposing ``tool`` with ``arguments``."""
    done = [s for s in steps if s.disposition in EXECUTED]
    changed = [s for s in done if s.effect in MUTATIONS]
    about = resource_of(arguments)
    return {
        "same_tool_before": sum(s.tool == tool for s in changed),
        "same_resource_before": sum(
            about is not None and resource_of(s.arguments) == about for s in changed
        ),
        "mutations_before": len(changed),
        "reads_before": sorted({s.tool for s in done if s.effect == "read"}),
        "seen": sorted({v for s in steps for v in _scalars(s.arguments.values())}),
        "refused_before": sum(s.disposition in REFUSED for s in steps),
        "steps": len(steps),
    }


def agrees(words: str) -> bool:
    """Whether these words of a customer clearly agree: an agreeing phrase, and neither a refusal
    nor a condition nor a question beside it. Doubt counts as no."""
    text = _plain(words)
    if _REFUSES.search(text):
        return False
    agreeing = False
    for sentence in _SENTENCE.findall(text):
        if sentence.endswith("?") or _CONDITIONS.search(sentence):
            return False
        agreeing = agreeing or bool(_AGREES.search(sentence))
    return agreeing


def signals_heard(heard: Iterable[str], signals: Mapping[str, str]) -> set[str]:
    """Names of the signals whose pattern is found in the customer's words. A pattern that can't
    be read is not heard: contracts are checked when they are published."""
    said = "\n".join(heard)
    found = set()
    for name, pattern in signals.items():
        try:
            if re.search(pattern, said, re.IGNORECASE):
                found.add(name)
        except re.error:
            continue
    return found


def missing_values(told: str, arguments: Mapping[str, Any]) -> list[str]:
    """Argument values that a person would have had to hear and that the agent's words lack.

    Ids of people and of payment methods are left out (they are spoken of in other words), as are
    values that only a machine cares about; amounts, dates, flights, items, names, addresses stay.
    """
    text = _plain(told)
    return [
        name
        for name, value in _values("", arguments)
        if (forms := value_forms(name, value)) and not any(form in text for form in forms)
    ]


def quotes(told: str, facts: Mapping[str, Any]) -> bool:
    """Whether the agent named the amount at stake, in any usual way of writing it. True when no
    money moves."""
    cents = facts.get("amount_cents")
    if not isinstance(cents, int) or cents == 0:
        return True
    text = _plain(told).replace(",", "")
    return any(re.search(rf"(?<![\d.]){re.escape(f)}(?![\d])", text) for f in amount_forms(cents))


def resource_of(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a call is about: its first argument that names something and is no means of payment."""
    for name, value in arguments.items():
        if name.endswith("_id") and "payment" not in name and isinstance(value, str):
            return name, value
    return None


def _last_customer(messages: Sequence[tuple[str, str]]) -> int:
    found = [i for i, (role, _) in enumerate(messages) if role == CUSTOMER]
    return found[-1] if found else len(messages)


def _offers(messages: Sequence[tuple[str, str]], until: int) -> list[str]:
    """The agent's last words before the customer's, newest first."""
    said = [_plain(words) for role, words in messages[:until] if role == AGENT and words.strip()]
    return said[::-1][:RECENT_AGENT_MESSAGES]


def _plain(words: str) -> str:
    """Lower case, typographic signs as typed ones, markup signs and runs of spaces gone."""
    text = words.casefold().translate(_TYPED)
    return re.sub(r"[ \t\u00a0*_`]+", " ", text)


_TYPED = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-"})


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
        elif isinstance(value, str | int | float):
            yield str(value)
