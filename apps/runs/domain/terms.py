"""The part of a contract that the engine obeys, read from the published document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.runs.domain.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class ToolTerms:
    timeout_s: float = 30.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int = 16
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """Times in seconds, cost in US dollars."""

    tools: Mapping[str, ToolTerms]
    wanted_tools: tuple[str, ...]
    policy: str
    window_s: float
    on_timeout: str
    deadline_s: float
    steps: int
    tokens: int
    cost_usd: float
    lane: str
    priority: int
    agent: str
    fallback_agents: tuple[str, ...] = ()
    signals: Mapping[str, str] = field(default_factory=dict)

    def of(self, tool: str) -> ToolTerms:
        return self.tools.get(tool) or ToolTerms()


def terms_of(document: Mapping[str, Any]) -> Terms:
    """Read a contract document that was validated when it was published."""
    limits, decisions = document.get("limits") or {}, document.get("decisions") or {}
    agent, outcome = document.get("agent") or {}, document.get("outcome") or {}
    return Terms(
        tools={t["name"]: _tool(t) for t in document.get("tools") or ()},
        wanted_tools=tuple(outcome.get("when_any_of") or ()),
        policy=str(decisions.get("policy", "")),
        window_s=float(decisions.get("window_s", 14_400)),
        on_timeout=str(decisions.get("on_timeout", "reject")),
        deadline_s=float(limits.get("deadline_s", 14_400)),
        steps=int(limits.get("steps", 100)),
        tokens=int(limits.get("tokens", 500_000)),
        cost_usd=float(limits.get("cost_usd", 5.0)),
        lane=str(document.get("lane", "normal")),
        priority=int(document.get("priority", 50)),
        agent=str(agent.get("slug", "")),
        fallback_agents=tuple(agent.get("fallbacks") or ()),
        signals=dict(document.get("signals") or {}),
    )


def _tool(entry: Mapping[str, Any]) -> ToolTerms:
    retry = entry.get("retry") or {}
    return ToolTerms(
        timeout_s=float(entry.get("timeout_s", 30)),
        retry=RetryPolicy(
            attempts=int(retry.get("attempts", 4)),
            base_s=float(retry.get("base_s", 0.5)),
            cap_s=float(retry.get("cap_s", 30)),
        ),
        concurrency=int(entry.get("concurrency", 16)),
        repeatable=bool(entry.get("repeatable", False)),
    )
