"""What a model's reply may be, and what becomes of it.

A reply is a turn only if the model ended it by itself: one that was cut off, filtered, refused or
empty is none, whatever stands in it, and is asked for again. What a turn proposes is taken as it
was written: nothing is repaired, and arguments that nobody can read are kept as the text they are,
so that the step is denied with the reason and the model is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.kernel.exactjson import NotCarriedError, is_number, loads
from apps.kernel.trouble import storable

MOST_CALLS = 32  # of one turn; more is no plan, and each is a step of the run
MOST_TEXT = 100_000  # characters of words or arguments of one part
MOST_TOLD = 300  # characters of a provider's own words
MOST_TOKENS = 10**9  # of one reply; a bill beyond that is no bill


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply as its provider sent it. ``calls``: tool name as the provider knows it, and
    arguments (JSON text, or an object). ``finish``: why the model stopped, in the words of
    OpenTelemetry (stop, length, content_filter, tool_call, error)."""

    texts: Sequence[str] = ()
    calls: Sequence[tuple[str, Any]] = ()
    finish: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a reply is no turn."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What was paid for: tokens, and the price where the provider says one."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None

    def __add__(self, other: Spent) -> Spent:
        known = [c for c in (self.cost_usd, other.cost_usd) if c is not None]
        return Spent(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            sum(known) if known else None,
        )


def fault_of(reply: Reply) -> Fault | None:
    """Why this reply is no turn; ``None`` for one that is."""
    if reply.refusal:
        said = storable(reply.refusal[:MOST_TOLD])
        return Fault("refused", f"The model refused to answer: “{said}”")
    if reply.finish == "content_filter":
        return Fault("filtered", "The provider's content filter stopped the reply.")
    if reply.finish == "length":
        words = "The reply was cut off at the model's limit of tokens, so it is not acted on."
        return Fault("cut_off", words)
    if reply.finish == "error":
        return Fault("model_error", "The provider says that the model failed in mid-reply.")
    if len(reply.calls) > MOST_CALLS:
        words = f"The reply proposes {len(reply.calls)} calls at once; {MOST_CALLS} are the most."
        return Fault("too_many_calls", words)
    if not reply.calls and not any(text.strip() for text in reply.texts):
        return Fault("empty", "The reply was empty: neither words nor a call.")
    return None


def items_of(reply: Reply, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Script items of a turn: what is said, what is proposed, and the end where nothing is.
    ``names`` leads from the provider's tool names to ours; one that it doesn't have stays as it
    is."""
    said = [storable(text[:MOST_TEXT]) for text in reply.texts if text.strip()]
    items: list[dict[str, Any]] = [{"say": text} for text in said]
    items += [
        {"call": {"tool": storable(names.get(tool, tool)), "args": arguments_of(raw)}}
        for tool, raw in reply.calls
    ]
    if not reply.calls:
        items.append({"done": said[-1][:2000]})
    return items


def arguments_of(raw: Any) -> Any:
    """The arguments that a model wrote, by their exact values; what is no JSON object is given back
    as the text it is. No text at all stands for no arguments."""
    if isinstance(raw, Mapping):
        return dict(raw)
    text = raw if isinstance(raw, str) else repr(raw)
    if not text.strip():
        return {}
    try:
        found = loads(text)
    except NotCarriedError:
        return storable(text[:MOST_TEXT])
    return found if isinstance(found, dict) else storable(text[:MOST_TEXT])


def object_of(reply: Reply) -> Mapping[str, Any] | Fault:
    """The one JSON object that a model without tool calls was asked for."""
    try:
        found = loads("".join(reply.texts))
    except NotCarriedError as error:
        return Fault("unreadable", f"The reply is not the JSON object that was asked for: {error}")
    if isinstance(found, dict):
        return found
    return Fault("unreadable", "The reply is JSON, but not the object that was asked for.")


def spent_by(body: bytes) -> Spent:
    """What the provider's answer says was used; nothing for an answer that doesn't say, or says
    something that can't be."""
    try:
        answer = loads(body)
    except NotCarriedError:
        return Spent()
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return Spent()
    cost: Any = usage.get("cost")
    priced = is_number(cost) and 0 <= cost < 10**6
    return Spent(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        float(cost) if priced else None,
    )


def _count(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else 0
