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
from dataclasses import replace
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
from pydantic_ai.models.fallback import FallbackModel
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


def is_configured() -> bool:
    """Whether a live model can be asked at all."""
    return bool(settings.MODEL and settings.MODEL_URL)


def label() -> str:
    """How people are told which live model works."""
    return live_label(settings.MODEL_NAME or settings.MODEL)


class Meter(httpx2.AsyncHTTPTransport):
    """Reads answers whole, up to a limit, and adds up what they say was used: a turn that comes to
    nothing was paid for as well."""

    def __init__(self) -> None:
        super().__init__()
        self.spent = Spent()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
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


async def think(question: Question) -> tuple[CallResult, Thought | None]:
    """Ask the model for its next turn. Never raises for what the provider does; what a failed turn
    cost comes back as a thought without items."""
    started = time.monotonic()
    if not is_configured():
        said = "No model is configured: set TOWER_MODEL, TOWER_MODEL_URL and TOWER_MODEL_KEY."
        return _failed(Ending.BROKEN, "not_configured", said, started), None
    patience_s = max(question.timeout_s, LOCAL_PATIENCE_S if settings.MODEL == LOCAL else 0)
    meter = Meter()
    try:
        async with asyncio.timeout(patience_s):
            turn = await _ask(question, patience_s, meter)
    except TimeoutError:
        said = f"no answer from the model in {patience_s:g} s"
        return _failed(Ending.LOST, "timeout", said, started), _paid(meter)
    except Exception as error:  # the provider's errors are results, not crashes
        return _read_error(error, started), _paid(meter)
    if isinstance(turn, Fault):
        return _failed(Ending.TURNED_AWAY, turn.code, turn.sentence, started), _paid(meter)
    took = (time.monotonic() - started) * 1000
    thought = _with_cost(turn, meter)
    return CallResult(Ending.ANSWERED, data={"model": thought.model}, duration_ms=took), thought


async def _ask(question: Question, patience_s: float, meter: Meter) -> Thought | Fault:
    names = [_name(n) for n in question.models] or [settings.MODEL]
    http = httpx2.AsyncClient(transport=meter, follow_redirects=False, trust_env=False)
    async with AsyncOpenAI(
        base_url=settings.MODEL_URL,
        api_key=settings.MODEL_KEY or "none",
        timeout=patience_s / len(names),  # so that a silent model leaves time for its fallback
        max_retries=0,  # retries belong to the engine
        http_client=http,
    ) as client:
        provider = OpenAIProvider(openai_client=client)
        models = [OpenAIChatModel(n, provider=provider) for n in names]
        model = FallbackModel(*models) if len(models) > 1 else models[0]
        if settings.MODEL_OUTPUT == "json":
            return _taken(await _ask_for_json(model, question), question, names=names)
        tools = [_definition(t) for t in question.tools]
        if question.output:
            tools.append(_result_tool(question))
        answer = await model_request(
            model,
            [*_history(question.history)],
            model_settings=_settings(question),
            model_request_parameters=_parameters(question.prompt, function_tools=tools),
        )
    return _taken(answer, question, names=names)


async def _ask_for_json(model: Model, question: Question) -> ModelResponse:
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
        model_settings=SMALL | _settings(question),
        model_request_parameters=parameters,
    )


def _parameters(prompt: str, **more: Any) -> ModelRequestParameters:
    return ModelRequestParameters(instruction_parts=[InstructionPart(prompt)], **more)


def _settings(question: Question) -> ModelSettings:
    """What the agent's version says of how its model is asked."""
    kinds = {"max_tokens": int, "seed": int}
    return cast(
        ModelSettings, {name: kinds.get(name, float)(v) for name, v in question.settings.items()}
    )


def _name(name: str) -> str:
    return settings.MODEL if name == "configured" else str(name)


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


def _taken(answer: ModelResponse, question: Question, *, names: Sequence[str]) -> Thought | Fault:
    """The turn that a reply is, or why it is none."""
    reply = _reply(answer)
    if fault := fault_of(reply):
        return fault
    items = _items(reply, question)
    if isinstance(items, Fault):
        return items
    return _bad_result(items, question) or _thought(answer, items, question, names=names)


def _items(reply: ModelReply, question: Question) -> list[dict[str, Any]] | Fault:
    if settings.MODEL_OUTPUT == "json":
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


def _answered_as(model: str, names: Sequence[str]) -> str:
    """Which of the asked models answered. Providers add a date to the name they were asked by, so
    the longest asked name that the answer's begins with is meant."""
    return max((n for n in names if model.startswith(n)), key=len, default=names[0])


def _thought(
    answer: ModelResponse, items: list[dict[str, Any]], question: Question, *, names: Sequence[str]
) -> Thought:
    model = storable(str(answer.model_name or names[0]))[:160]
    answered = _answered_as(model, names)
    preferred = _name(question.preferred) if question.preferred else names[0]
    degraded = answered != preferred
    why = question.reason or f"{preferred} did not answer"
    return Thought(
        items=items,
        model=model,
        degraded=degraded,
        degraded_reason=f"{answered} instead of {preferred}: {why}" if degraded else "",
    )


def _with_cost(thought: Thought, meter: Meter) -> Thought:
    spent = meter.spent
    return replace(
        thought,
        tokens_in=spent.tokens_in,
        tokens_out=spent.tokens_out,
        cost_microusd=None if spent.cost_usd is None else round(spent.cost_usd * 1_000_000),
    )


def _paid(meter: Meter) -> Thought | None:
    """What a turn cost that came to nothing."""
    return None if meter.spent == Spent() else _with_cost(Thought([]), meter)


def _read_error(error: Exception, started: float) -> CallResult:
    """How the request ended, by the most hopeful of its errors: with fallbacks there are several,
    and who said when to come again is asked again."""
    errors = list(error.exceptions) if isinstance(error, ExceptionGroup) else [error]
    results = [_read_one(e, started) for e in errors]
    order = [Ending.TURNED_AWAY, Ending.LOST, Ending.BROKEN]
    return min(results, key=lambda r: order.index(r.ending))


def _read_one(error: Exception, started: float) -> CallResult:
    if not isinstance(error, ModelHTTPError):
        said = f"The model could not be asked: {words(error)}"
        return _failed(Ending.LOST, type(error).__name__, said, started)
    status, headers = error.status_code, error.headers or {}
    if status in TURNED_AWAY:
        ending = Ending.TURNED_AWAY
    else:
        ending = Ending.BROKEN if 300 <= status < 500 else Ending.LOST
    said = f"The model provider answered {status}: {words(error)}"
    result = _failed(ending, f"http_{status}", WHAT_TO_DO.get(status, said), started)
    wait_s = retry_after_seconds(headers.get("retry-after"), headers.get("date"))
    return replace(result, http_status=status, retry_after_s=wait_s)


def _failed(ending: Ending, error_class: str, error: str, started: float) -> CallResult:
    return CallResult(
        ending=ending,
        error_class=error_class[:40],
        error=storable(error[:500]),
        duration_ms=(time.monotonic() - started) * 1000,
    )
