"""Live agents: a model is asked for its next turn, and its tool calls are taken as proposals.

``pydantic-ai`` speaks to the provider. Tools are external (deferred) ones, so nothing is ever run
from here: a call becomes a script item, which the engine takes to the gate like any other. A small
model that cannot call tools is asked for one JSON object instead (``MODEL_OUTPUT``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from openai import AsyncOpenAI
from pydantic_ai import Agent, DeferredToolRequests, NativeOutput, StructuredDict
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset

from apps.runs.domain import constrained
from apps.runs.domain.naming import LOCAL, live_label
from apps.runs.domain.retry import Ending
from apps.runs.executor import CallResult
from apps.runs.work import Think, Thought

LOCAL_PATIENCE_S = 120.0  # a model that shares this machine with all the rest is slow at times
SMALL = ModelSettings(max_tokens=400, temperature=0.3)


def is_configured() -> bool:
    """Whether a live model can be asked at all."""
    return bool(settings.MODEL and settings.MODEL_URL)


def label() -> str:
    """How people are told which live model works."""
    return live_label(settings.MODEL)


async def think(action: Think) -> tuple[CallResult, Thought | None]:
    """Ask the model for its next turn. Never raises for what the provider does."""
    started = time.monotonic()
    if not is_configured():
        said = "No model is configured: set TOWER_MODEL, TOWER_MODEL_URL and TOWER_MODEL_KEY."
        return _failed(Ending.BROKEN, "not_configured", said, started), None
    patience_s = max(action.timeout_s, LOCAL_PATIENCE_S if settings.MODEL == LOCAL else 0)
    try:
        async with asyncio.timeout(patience_s):
            thought = await _ask(action, patience_s)
    except TimeoutError:
        said = f"no answer from the model in {patience_s:g} s"
        return _failed(Ending.LOST, "timeout", said, started), None
    except ModelHTTPError as error:
        ending = Ending.TURNED_AWAY if error.status_code in {429, 503} else Ending.LOST
        if 400 <= error.status_code < 500 and error.status_code != 429:
            ending = Ending.BROKEN
        return _failed(ending, f"http_{error.status_code}", str(error), started), None
    except Exception as error:  # the provider's errors are results, not crashes
        return _failed(Ending.LOST, type(error).__name__, str(error), started), None
    took = (time.monotonic() - started) * 1000
    return CallResult(Ending.ANSWERED, data={"model": thought.model}, duration_ms=took), thought


async def _ask(action: Think, patience_s: float) -> Thought:
    names = [_name(n) for n in action.models] or [settings.MODEL]
    async with AsyncOpenAI(
        base_url=settings.MODEL_URL,
        api_key=settings.MODEL_KEY or "none",
        timeout=patience_s / len(names),  # so that a silent model leaves time for its fallback
        max_retries=0,  # retries belong to the engine
    ) as client:
        provider = OpenAIProvider(openai_client=client)
        models = [OpenAIChatModel(n, provider=provider) for n in names]
        model = FallbackModel(*models) if len(models) > 1 else models[0]
        if settings.MODEL_OUTPUT == "json":
            answer = await _ask_for_json(model, action)
            return _thought(answer, constrained.items_of(answer.output), action, names=names)
        agent: Agent[None, Any] = Agent(
            model,
            instructions=action.prompt,
            output_type=[str, DeferredToolRequests],
            toolsets=[ExternalToolset([_definition(t) for t in action.tools])],
            retries=0,
        )
        answer = await agent.run(message_history=_history(action.history))
    return _thought(answer, _items(answer), action, names=names)


async def _ask_for_json(model: Model, action: Think) -> Any:
    """One JSON object of the turn's schema, which the server holds the model to."""
    schema = constrained.turn_schema(action.tools, action.history)
    agent: Agent[None, Any] = Agent(
        model,
        instructions=constrained.instructions(action.prompt, action.tools),
        output_type=NativeOutput(StructuredDict(schema, name="turn"), template=False),
        model_settings=SMALL,
        retries=0,
    )
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart(text)]) if role == "user" else ModelResponse([TextPart(text)])
        for role, text in constrained.transcript(action.history)
    ]
    return await agent.run(message_history=history)


def _name(name: str) -> str:
    return settings.MODEL if name == "configured" else str(name)


def _definition(tool: Mapping[str, Any]) -> ToolDefinition:
    return ToolDefinition(
        name=tool["name"],
        description=tool["description"],
        parameters_json_schema=dict(tool["schema"]),
    )


def _history(entries: Sequence[Mapping[str, Any]]) -> list[ModelMessage]:
    """The conversation in the provider's words. What the tower says (a rejection, a denial) is
    told as a message of the system's, and a tool's answer as the return of its call."""
    history: list[ModelMessage] = []
    for entry in entries:
        role, content = entry["role"], entry.get("content", "")
        if role == "agent":
            history.append(ModelResponse([TextPart(content)]))
        elif role == "tool":
            call = ToolCallPart(entry["tool"], dict(entry["arguments"]), entry["id"])
            history.append(ModelResponse([call]))
            answer = ToolReturnPart(entry["tool"], content, entry["id"])
            history.append(ModelRequest([answer]))
        else:
            said = content if role == "customer" else f"[Control Tower] {content}"
            history.append(ModelRequest([UserPromptPart(said)]))
    return history


def _items(answer: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for message in answer.new_messages():
        for part in message.parts if isinstance(message, ModelResponse) else ():
            if isinstance(part, TextPart) and part.content.strip():
                items.append({"say": part.content})
            elif isinstance(part, ToolCallPart):
                items.append({"call": {"tool": part.tool_name, "args": part.args_as_dict()}})
    if not any("call" in item for item in items):
        items.append({"done": str(answer.output)[:2000]})
    return items


def _answered_as(model: str, names: Sequence[str]) -> str:
    """Which of the asked models answered. Providers add a date to the name they were asked by, so
    the longest asked name that the answer's begins with is meant."""
    return max((n for n in names if model.startswith(n)), key=len, default=names[0])


def _thought(
    answer: Any, items: list[dict[str, Any]], action: Think, *, names: Sequence[str]
) -> Thought:
    usage = answer.usage
    model = next(
        (m.model_name for m in answer.new_messages() if isinstance(m, ModelResponse)),
        names[0],
    )
    cost = getattr(usage, "cost", None)
    answered = _answered_as(str(model or names[0]), names)
    preferred = _name(action.preferred) if action.preferred else names[0]
    degraded = answered != preferred
    why = action.reason or f"{preferred} did not answer"
    return Thought(
        items=items,
        tokens_in=usage.input_tokens or 0,
        tokens_out=usage.output_tokens or 0,
        cost_microusd=round(float(cost) * 1_000_000) if cost else None,
        model=str(model or names[0]),
        degraded=degraded,
        degraded_reason=f"{answered} instead of {preferred}: {why}" if degraded else "",
    )


def _failed(ending: Ending, error_class: str, error: str, started: float) -> CallResult:
    return CallResult(
        ending=ending,
        error_class=error_class[:40],
        error=error[:500],
        duration_ms=(time.monotonic() - started) * 1000,
    )
