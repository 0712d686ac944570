"""Turn benchmark tasks and recorded episodes into scripts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.kernel import exactjson

MOST_ANSWER = 20_000  # characters


@dataclass(frozen=True, slots=True)
class Case:
    """One case, ready to be started. ``tools`` are the tools that its script proposes."""

    ref: str
    domain: str
    agent_kind: str
    agent_label: str
    customer: str
    request: str
    items: tuple[dict[str, Any], ...]
    tools: frozenset[str]
    world: str
    dialect: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost_microusd: int | None = None


def reference_case(
    task: Mapping[str, Any], *, domain: str, mutating: frozenset[str], world: str
) -> Case:
    """A case that follows a task's reference actions, with the customer's consent spelled out
    before each change as the company's policy asks."""
    brief = task["user_scenario"]["instructions"]
    request = _brief(brief)
    items: list[dict[str, Any]] = [{"hear": request}]
    actions = list(task["evaluation_criteria"].get("actions") or ())
    for number, action in enumerate(actions):
        arguments = dict(action.get("arguments") or {})
        if action["name"] in mutating:
            items.append({"say": _spelled_out(action["name"], arguments)})
            items.append({"hear": "Yes, please go ahead."})
        items.append({"call": {"tool": action["name"], "args": arguments, "ref": str(number)}})
    items.append({"say": "That is done. Is there anything else I can help you with?"})
    items.append({"done": "Followed the reference actions of the benchmark's task."})
    return Case(
        ref=f"task/{domain}/{task['id']}",
        domain=domain,
        agent_kind="reference",
        agent_label="reference actions",
        customer=_customer(actions),
        request=request,
        items=tuple(items),
        tools=frozenset(a["name"] for a in actions),
        world=world,
        dialect="tau2",
    )


def recorded_case(
    episode: Mapping[str, Any], *, world: str, mapping: Mapping[str, Any] | None = None
) -> Case:
    """A case that proposes what a recorded model did. Only what that model and its customer said
    and called is read. ``mapping`` is the domain's way to read recordings: other names of tools,
    and the field that holds the request."""
    mapping = mapping or {}
    tools = mapping.get("tools") or {}
    items: list[dict[str, Any]] = []
    for step in episode["steps"]:
        if step["role"] == "user":
            items.append({"hear": str(step.get("content") or "")})
        elif step["role"] == "assistant":
            if step.get("content"):
                items.append({"say": str(step["content"])})
        elif step.get("actor", "agent") == "agent":
            tool = tools.get(step["tool"], step["tool"])
            call = {"tool": tool, "args": step["args"] or {}, "ref": str(step["i"])}
            items.append({"call": call})
    items.append({"done": "The recording ends here."})
    tokens_in, tokens_out = _tokens(episode["steps"])
    return Case(
        ref=str(episode["episode_id"])[:200],
        domain=str(episode["domain"]),
        agent_kind="recorded",
        agent_label=f"recorded {episode['model']}"[:160],
        customer=str(episode.get("customer") or "")[:120],
        request=str(episode.get(mapping.get("request", "user_request")) or _first_words(items)),
        items=tuple(items),
        tools=frozenset(i["call"]["tool"] for i in items if "call" in i),
        world=world,
        dialect="tau1" if episode.get("suite") == "tau-bench" else "tau2",
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost_microusd=_cost_microusd(episode),
    )


def live_case(task: Mapping[str, Any], *, domain: str, label: str, world: str) -> Case:
    """A case that a live model works on by itself: it is told what the customer asks, nothing else.
    The reference actions only name the job and the customer, as a front desk would."""
    actions = list(task["evaluation_criteria"].get("actions") or ())
    request = _brief(task["user_scenario"]["instructions"])
    return Case(
        ref=f"task/{domain}/{task['id']}",
        domain=domain,
        agent_kind="model",
        agent_label=label,
        customer=_customer(actions),
        request=request,
        items=({"hear": request},),
        tools=frozenset(a["name"] for a in actions),
        world=world,
        dialect="tau2",
    )


def _tokens(steps: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Tokens that the recording says its model read and wrote, where it says so."""
    pairs = [s.get("tokens") for s in steps]
    known = [p for p in pairs if isinstance(p, list) and len(p) == 2 and all(map(_is_count, p))]
    return sum(p[0] for p in known), sum(p[1] for p in known)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _cost_microusd(episode: Mapping[str, Any]) -> int | None:
    """What the recorded agent cost, in millionths of a US dollar; ``None`` where nobody knows."""
    cost = episode.get("agent_cost_usd")
    known = exactjson.is_number(cost) and 0 < cost < 10**6
    return round(cost * 1_000_000) if known else None


def narrowest_job(tools: frozenset[str], jobs: Sequence[tuple[str, frozenset[str]]]) -> str:
    """The job with the fewest tools whose contract lists all of ``tools``; if none does, the one
    that lists the most of them. ``jobs`` are (slug, tools)."""
    if not jobs:
        raise LookupError("there are no jobs in this domain")
    fitting = [j for j in jobs if tools <= j[1]]
    if fitting:
        return min(fitting, key=lambda j: (len(j[1]), j[0]))[0]
    return max(jobs, key=lambda j: (len(tools & j[1]), -len(j[1]), j[0]))[0]


def with_result(
    items: Sequence[Mapping[str, Any]], output: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """The script with what its agent gives back, where the contract asks for an ``answer``: what
    the customer was told last. A live one, whose script has no end, gives its own."""
    asked = output.get("properties")
    if not isinstance(asked, Mapping) or "answer" not in asked or "done" not in items[-1]:
        return tuple(items)
    told = next((str(i["say"]) for i in reversed(items) if "say" in i), None)
    if told is None:
        return tuple(items)
    return (*items[:-1], {"result": {"answer": told[:MOST_ANSWER]}}, items[-1])


def _brief(brief: Any) -> str:
    if isinstance(brief, str):
        return brief
    parts = [brief.get("reason_for_call"), brief.get("known_info")]
    return "\n\n".join(str(p).strip() for p in parts if p)


def _first_words(items: Sequence[Mapping[str, Any]]) -> str:
    return next((str(i["hear"]) for i in items if "hear" in i), "")


def _customer(actions: Sequence[Mapping[str, Any]]) -> str:
    for action in actions:
        if user := (action.get("arguments") or {}).get("user_id"):
            return str(user)
    return ""


def _spelled_out(tool: str, arguments: Mapping[str, Any]) -> str:
    listed = "\n".join(f"- {name}: {_plain(value)}" for name, value in arguments.items())
    what = tool.replace("_", " ")
    return f"I am going to {what} with these details:\n{listed}\nShall I go ahead (yes or no)?"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_plain(v) for v in value) or "none"
    return str(value)
