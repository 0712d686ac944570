"""Live agents: a model is asked for its next turn, and its tool calls are taken as proposals.

``pydantic-ai`` speaks to the provider, one request a turn; nothing is ever run from here: a call
becomes a script item, which the engine takes to the gate like any other. A small model that cannot
call tools is asked for one JSON object instead (``MODEL_OUTPUT``). What a reply may be, and what
is made of it, stands in docs/models.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx2
from django.conf import settings
from openai import AsyncOpenAI
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from apps.calls.domain import constrained
from apps.calls.domain.naming import LOCAL, live_label, provider_name, provider_names
from apps.calls.domain.reply import (
    BAD_RESULT,
    Fault,
    ModelReply,
    Spent,
    fault_of,
    items_of,
    object_of,
    result_tool_name,
    result_tool_schema,
    spent_by,
)
from apps.calls.domain.retry import Ending
from apps.calls.domain.turn import Question, Thought
from apps.calls.executor import CallResult
from apps.calls.executor.result import retry_after_seconds
from apps.catalog.adapters import EgressTransport, RefusedAddressError
from apps.catalog.adapters.models import ModelAccess, reach
from apps.catalog.domain.language_models import CONFIGURED
from apps.kernel.errors import UnavailableError
from apps.kernel.exactjson import dumps
from apps.kernel.trouble import storable, words

LOCAL_PATIENCE_S = 120.0  # a model that shares this machine with all the rest is slow at times
SMALL = ModelSettings(max_tokens=400, temperature=0.3)
BODY_LIMIT_BYTES = 4 * 1024 * 1024
TURNED_AWAY = {408, 409, 425, 429, 503, 529}  # asked again; 529 is what some say when overloaded
RESULT_WORDS = (
    "Gives the result of the whole job and ends it. Call it once, alone, when everything is done;"
    " say in the same turn what is to be told to the customer."
)
WHAT_TO_DO = {
    401: "The model provider refused the key: set TOWER_MODEL_KEY.",
    403: "The model provider doesn't let this key do that: check TOWER_MODEL_KEY and TOWER_MODEL.",
    404: "The provider knows no such model or address: check TOWER_MODEL and TOWER_MODEL_URL.",
}


def label() -> str:
    """How people are told which model works for agents that name none; empty where none can be
    asked."""
    try:
        return live_label(reach("", {}).label)
    except UnavailableError:
        return ""


class Meter(httpx2.AsyncBaseTransport):
    """Reads answers whole, up to a limit, and adds up what they say was used: a turn that comes to
    nothing was paid for as well. A model of the catalog is called at no address but those that may
    be called."""

    def __init__(self, access: ModelAccess) -> None:
        self.access, self.spent = access, Spent()
        where = access.connection
        self._inner = EgressTransport(where) if where else httpx2.AsyncHTTPTransport()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        body = bytearray()
        try:
            async for part in response.aiter_raw():
                body += part
                if len(body) > BODY_LIMIT_BYTES:
                    raise httpx2.ReadError("the model's answer is too large")
        finally:
            await response.aclose()
        self.spent += spent_by(bytes(body))
        return httpx2.Response(
            response.status_code, headers=response.headers, content=bytes(body), request=request
        )


@dataclass(slots=True)
class Bill:
    """What a turn cost, over all the models that were asked for it."""

    spent: Spent = field(default_factory=Spent)
    microusd: int | None = None

    def add(self, meter: Meter) -> None:
        self.spent += meter.spent
        if (
            meter.spent != Spent()
            and (cost := meter.spent.microusd(meter.access.prices)) is not None
        ):
            self.microusd = (self.microusd or 0) + cost


class _NoneAnsweredError(Exception):
    """No model gave a turn; ``results`` are how each ended."""

    def __init__(self, results: Sequence[CallResult]) -> None:
        self.results = list(results)


async def think(question: Question) -> tuple[CallResult, Thought | None]:
    """Ask the model for its next turn. Never raises for what the provider does; what a failed turn
    cost comes back as a thought without items."""
    started = time.monotonic()
    reached, refused = _reached(question)
    if not reached:
        error = refused[0]
        return _failed(Ending.BROKEN, error.code, str(error), started), None
    patience_s = _patience(question, reached)
    bill = Bill()
    try:
        async with asyncio.timeout(patience_s):
            turn = await _ask_each(question, reached, patience_s, bill)
    except TimeoutError:
        said = f"no answer from the model in {patience_s:g} s"
        return _failed(Ending.LOST, "timeout", said, started), _paid(bill)
    except _NoneAnsweredError as error:
        return _most_hopeful(error.results), _paid(bill)
    if isinstance(turn, Fault):
        return _failed(Ending.TURNED_AWAY, turn.code, turn.sentence, started), _paid(bill)
    took = (time.monotonic() - started) * 1000
    thought = _with_cost(turn, bill)
    told = {"model": thought.model}
    if thought.catalog_model:
        told["catalog_model"] = thought.catalog_model
    return CallResult(Ending.ANSWERED, data=told, duration_ms=took), thought


def _reached(question: Question) -> tuple[list[ModelAccess], list[UnavailableError]]:
    """The models that can be asked, in their order, and why others can't."""
    reached: list[ModelAccess] = []
    refused: list[UnavailableError] = []
    for name in question.models or [""]:
        try:
            reached.append(reach(name, question.known))
        except UnavailableError as error:
            refused.append(error)
    return reached, refused


def _patience(question: Question, reached: Sequence[ModelAccess]) -> float:
    is_local = any(a.terms is None and settings.MODEL == LOCAL for a in reached)
    return max(question.timeout_s, LOCAL_PATIENCE_S if is_local else 0)


async def _ask_each(
    question: Question, reached: Sequence[ModelAccess], patience_s: float, bill: Bill
) -> Thought | Fault:
    """The first turn that one of the models gives. Each is asked at its own address, in its own
    way; a silent one leaves time for the next. Raises ``_NoneAnsweredError``."""
    results: list[CallResult] = []
    for access in reached:
        started = time.monotonic()
        share = patience_s / len(reached)
        wait_s = min(share, (access.terms and access.terms.timeout_s) or share)
        meter = Meter(access)
        try:
            # Alone it has all the time there is, which ends the whole turn.
            async with asyncio.timeout(wait_s if wait_s < patience_s else None):
                return await _ask(question, access, wait_s, meter)
        except TimeoutError:  # its own: when the whole turn's time is up we are cancelled instead
            said = f"no answer from {access.label} in {wait_s:g} s"
            results.append(_failed(Ending.LOST, "timeout", said, started))
        except Exception as error:  # the provider's errors are results, not crashes
            results.append(_read_one(error, started, access))
        finally:
            bill.add(meter)
    raise _NoneAnsweredError(results)


async def _ask(
    question: Question, access: ModelAccess, patience_s: float, meter: Meter
) -> Thought | Fault:
    http = httpx2.AsyncClient(transport=meter, follow_redirects=False, trust_env=False)
    async with AsyncOpenAI(
        base_url=access.url,
        api_key=access.key or "none",
        timeout=patience_s,
        max_retries=0,  # retries belong to the engine
        http_client=http,
    ) as client:
        model = OpenAIChatModel(access.asked_as, provider=OpenAIProvider(openai_client=client))
        if access.output == "json":
            return _taken(await _ask_for_json(model, question, access), question, access)
        tools = [_definition(t) for t in question.tools]
        if question.output:
            tools.append(_result_tool(question))
        answer = await model_request(
            model,
            [*_history(question.history)],
            model_settings=_settings(question, access),
            model_request_parameters=_parameters(question.prompt, function_tools=tools),
        )
    return _taken(answer, question, access)


async def _ask_for_json(model: Model, question: Question, access: ModelAccess) -> ModelResponse:
    """One JSON object of the turn's schema, which the server holds the model to."""
    output = question.output.outline.schema if question.output else None
    schema = constrained.turn_schema(question.tools, question.history, output)
    told = {"user": UserPromptPart, "system": SystemPromptPart}
    history: list[ModelMessage] = [
        ModelResponse([TextPart(text)]) if role == "assistant" else ModelRequest([told[role](text)])
        for role, text in constrained.transcript(question.history)
    ]
    instructions = constrained.instructions(question.prompt, question.tools)
    parameters = _parameters(
        instructions,
        output_mode="native",
        output_object=OutputObjectDefinition(schema, name="turn"),
    )
    return await model_request(
        model,
        history,
        model_settings=SMALL | _settings(question, access),
        model_request_parameters=parameters,
    )


def _parameters(prompt: str, **more: Any) -> ModelRequestParameters:
    return ModelRequestParameters(instruction_parts=[InstructionPart(prompt)], **more)


def _settings(question: Question, access: ModelAccess) -> ModelSettings:
    """What the agent's version says of how its model is asked, within what the model's allows."""
    kinds = {"max_tokens": int, "seed": int}
    found = {name: kinds.get(name, float)(v) for name, v in question.settings.items()}
    if access.terms and (most := access.terms.max_output_tokens):
        found["max_tokens"] = min(int(found.get("max_tokens", most)), most)
    return cast(ModelSettings, found)


def _definition(tool: Mapping[str, Any]) -> ToolDefinition:
    return ToolDefinition(
        name=provider_name(tool["name"]),
        description=tool["description"],
        parameters_json_schema=dict(tool["schema"]),
    )


def _result_tool(question: Question) -> ToolDefinition:
    """The tool by which the model gives the run's result and ends."""
    assert question.output is not None  # noqa: S101  # its caller knows
    return ToolDefinition(
        name=_result_name(question),
        description=RESULT_WORDS,
        parameters_json_schema=result_tool_schema(question.output.outline.schema),
    )


def _result_name(question: Question) -> str:
    return result_tool_name([provider_name(t["name"]) for t in question.tools])


def _history(entries: Sequence[Mapping[str, Any]]) -> list[ModelMessage]:
    """The conversation in the provider's words. What the tower says (a rejection, a denial) has the
    system's role, which no customer can take, and a tool's answer is the return of its call."""
    history: list[ModelMessage] = []
    for entry in entries:
        role, content = entry["role"], entry.get("content", "")
        if role == "agent":
            history.append(ModelResponse([TextPart(content)]))
        elif role == "tool":
            name = provider_name(entry["tool"])
            call = ToolCallPart(name, _written(entry["arguments"]), entry["id"])
            history.append(ModelResponse([call]))
            history.append(ModelRequest([ToolReturnPart(name, content, entry["id"])]))
        elif role == "customer":
            history.append(ModelRequest([UserPromptPart(content)]))
        else:
            history.append(ModelRequest([SystemPromptPart(f"Control Tower: {content}")]))
    return history


def _written(arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON text, every number by its value."""
    return dumps(dict(arguments))


def _reply(answer: ModelResponse) -> ModelReply:
    details = answer.provider_details or {}
    return ModelReply(
        texts=[p.content for p in answer.parts if isinstance(p, TextPart)],
        calls=[(p.tool_name, p.args) for p in answer.parts if isinstance(p, ToolCallPart)],
        finish=answer.finish_reason or "",
        refusal=str(details.get("refusal") or ""),
    )


def _taken(answer: ModelResponse, question: Question, access: ModelAccess) -> Thought | Fault:
    """The turn that a reply is, or why it is none."""
    reply = _reply(answer)
    if fault := fault_of(reply):
        return fault
    items = _items(reply, question, access)
    if isinstance(items, Fault):
        return items
    return _bad_result(items, question) or _thought(answer, items, question, access)


def _items(
    reply: ModelReply, question: Question, access: ModelAccess
) -> list[dict[str, Any]] | Fault:
    if access.output == "json":
        turn = object_of(reply)
        return turn if isinstance(turn, Fault) else constrained.items_of(turn)
    names = provider_names(t["name"] for t in question.tools)
    return items_of(reply, names, result_tool=_result_name(question) if question.output else None)


def _bad_result(items: Sequence[Mapping[str, Any]], question: Question) -> Fault | None:
    """Why a turn that ends the run may not: its result isn't what the contract asks for."""
    if question.misfit is None or any("call" in item for item in items):
        return None
    wrong = question.misfit(items)
    return Fault(BAD_RESULT, f"The result doesn't fit: {wrong}.") if wrong else None


def _thought(
    answer: ModelResponse, items: list[dict[str, Any]], question: Question, access: ModelAccess
) -> Thought:
    why = _why_another(access, question)
    return Thought(
        items=items,
        model=storable(str(answer.model_name or access.asked_as))[:160],
        catalog_model=access.label if access.terms else "",
        degraded=bool(why),
        degraded_reason=why,
    )


def _why_another(access: ModelAccess, question: Question) -> str:
    """Why another model than the agent's own answered; empty if its own did."""
    preferred = question.preferred or next(iter(question.models), "")
    if access.name == preferred:
        return ""
    why = question.reason or _why_not(preferred, question)
    return f"{_shown(access.name)} instead of {_shown(preferred)}: {why}"


def _why_not(name: str, question: Question) -> str:
    """Why a model did not serve."""
    try:
        reach(name, question.known)
    except UnavailableError as error:
        return str(error)
    return f"{_shown(name)} did not answer"


def _shown(name: str) -> str:
    return settings.MODEL if name in {"", CONFIGURED} else name


def _with_cost(thought: Thought, bill: Bill) -> Thought:
    return replace(
        thought,
        tokens_in=bill.spent.tokens_in,
        tokens_out=bill.spent.tokens_out,
        cost_microusd=bill.microusd,
    )


def _paid(bill: Bill) -> Thought | None:
    """What a turn cost that came to nothing."""
    return None if bill.spent == Spent() else _with_cost(Thought([]), bill)


def _most_hopeful(results: Sequence[CallResult]) -> CallResult:
    """How the request ended, by the most hopeful of its ends: with fallbacks there are several, and
    who said when to come again is asked again."""
    order = [Ending.TURNED_AWAY, Ending.LOST, Ending.BROKEN]
    return min(results, key=lambda r: order.index(r.ending))


def _read_one(error: Exception, started: float, access: ModelAccess) -> CallResult:
    if refused := _refusal(error):
        return _failed(Ending.BROKEN, "model_blocked", access.redacted(str(refused)), started)
    if not isinstance(error, ModelHTTPError):
        said = access.redacted(f"The model could not be asked: {words(error)}")
        return _failed(Ending.LOST, type(error).__name__, said, started)
    status, headers = error.status_code, error.headers or {}
    if status in TURNED_AWAY:
        ending = Ending.TURNED_AWAY
    else:
        ending = Ending.BROKEN if 300 <= status < 500 else Ending.LOST
    said = access.redacted(f"The model provider answered {status}: {words(error)}")
    result = _failed(ending, f"http_{status}", _what_to_do(status, access) or said, started)
    wait_s = retry_after_seconds(headers.get("retry-after"), headers.get("date"))
    return replace(result, http_status=status, retry_after_s=wait_s)


def _refusal(error: BaseException | None) -> RefusedAddressError | None:
    """That the address may not be called, behind what the provider's client makes of it."""
    while error is not None and not isinstance(error, RefusedAddressError):
        error = error.__cause__ or error.__context__
    return error


def _what_to_do(status: int, access: ModelAccess) -> str:
    """What to set, where the status says what is wrong; empty for every other."""
    if access.terms is None:
        return WHAT_TO_DO.get(status, "")
    named = f"the model “{access.terms.slug}” v{access.terms.number} of the catalog"
    fixes = {
        401: f"The model provider refused the key: renew the one that {named} names.",
        403: f"The model provider doesn't let this key do that: check key and name of {named}.",
        404: f"The provider knows no such model or address: check name and address of {named}.",
    }
    return fixes.get(status, "")


def _failed(ending: Ending, error_class: str, error: str, started: float) -> CallResult:
    return CallResult(
        ending=ending,
        error_class=error_class[:40],
        error=storable(error[:500]),
        duration_ms=(time.monotonic() - started) * 1000,
    )
