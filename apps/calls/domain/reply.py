"""What a model's reply may be, and what becomes of it.

A reply is a turn only if the model ended it by itself: one that was cut off, filtered, refused or
empty is none, whatever stands in it, and is asked for again. What a turn proposes is taken as it
was written: nothing is repaired, and arguments that nobody can read are kept as the text they are,
so that the step is denied with the reason and the model is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.language_models import Prices
from apps.kernel.exactjson import NotCarriedError, is_number, loads
from apps.kernel.trouble import storable

BAD_RESULT = "bad_result"  # a turn, or a run, whose result isn't what the contract asks for
MOST_CALLS = 32  # of one turn; more is no plan, and each is a step of the run
MOST_TEXT = 100_000  # characters of words or arguments of one part
MOST_TOLD = 300  # characters of a provider's own words
MOST_TOKENS = 10**9  # of one reply; a bill beyond that is no bill


@dataclass(frozen=True, slots=True)
class ModelReply:
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

    def microusd(self, prices: Prices | None) -> int | None:
        """What it cost, in millionths of a dollar: by the prices that were agreed on, where there
        are some, else as the provider says; ``None`` where nobody does."""
        if prices is not None:
            return prices.microusd(self.tokens_in, self.tokens_out)
        return None if self.cost_usd is None else round(self.cost_usd * 1_000_000)

    def __add__(self, other: Spent) -> Spent:
        known = [c for c in (self.cost_usd, other.cost_usd) if c is not None]
        return Spent(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            sum(known) if known else None,
        )


def fault_of(reply: ModelReply) -> Fault | None:
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


def items_of(
    reply: ModelReply, names: Mapping[str, str], *, result_tool: str | None = None
) -> list[dict[str, Any]] | Fault:
    """Script items of a turn: what is said, what is proposed, and the end where nothing is.
    ``names`` leads from the provider's tool names to ours; one that it doesn't have stays as it
    is. By a call of ``result_tool`` the model gives the run's result and ends; beside other calls,
    whose answers it hasn't seen, it is no result."""
    said = [storable(text[:MOST_TEXT]) for text in reply.texts if text.strip()]
    items: list[dict[str, Any]] = [{"say": text} for text in said]
    proposed = [(tool, raw) for tool, raw in reply.calls if tool != result_tool]
    items += [
        {"call": {"tool": storable(names.get(tool, tool)), "args": arguments_of(raw)}}
        for tool, raw in proposed
    ]
    if proposed:
        return items
    given = _result_of([raw for _, raw in reply.calls])
    if isinstance(given, Fault):
        return given
    return [*items, *given, {"done": said[-1][:2000] if said else ""}]


def _result_of(raws: Sequence[Any]) -> list[dict[str, Any]] | Fault:
    """The script item of the one result that a turn gives, if it gives one."""
    if not raws:
        return []
    if len(raws) > 1:
        return Fault(BAD_RESULT, "The reply gives several results at once; one is wanted.")
    arguments = arguments_of(raws[0])
    if not isinstance(arguments, dict) or set(arguments) != {"result"}:
        words = "The result is given as a JSON object with “result” and nothing else."
        return Fault(BAD_RESULT, words)
    return [{"result": arguments["result"]}]


def result_tool_name(names: Collection[str]) -> str:
    """The name under which a model is offered the tool that gives the result: none of ``names``,
    by which the provider knows the contract's tools."""
    name = "final_result"
    while name in names:
        name += "_"
    return name


def result_tool_schema(output: Any) -> dict[str, Any]:
    """What that tool takes: one value, of the contract's ``output``, as ``result``."""
    return {
        "type": "object",
        "properties": {"result": _moved_down(output)},
        "required": ["result"],
        "additionalProperties": False,
    }


def _moved_down(schema: Any) -> Any:
    """A schema as part of another: what points into it still does."""
    if isinstance(schema, Mapping):
        return {
            key: _PLACE + value[1:]
            if key == "$ref" and isinstance(value, str) and (value == "#" or value[:2] == "#/")
            else _moved_down(value)
            for key, value in schema.items()
            if key != "$schema"
        }
    return [_moved_down(one) for one in schema] if isinstance(schema, list) else schema


_PLACE = "#/properties/result"


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


def object_of(reply: ModelReply) -> Mapping[str, Any] | Fault:
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
