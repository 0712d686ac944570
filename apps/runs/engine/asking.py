"""Put steps into the gate's words: facts, conversation and history, and what a person would see.

Everything here comes from the system of record, the conversation and the run's own steps. Labels
that exist to score the tower never reach these functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

import jsonschema

from apps.approvals.domain.binding import binding
from apps.approvals.gate import Ask, Doubt
from apps.catalog.domain.contract import Contract, ToolUse
from apps.catalog.selectors import agent_version, contract
from apps.catalog.selectors import pinned as catalog
from apps.policy import selectors as policy
from apps.policy.domain.request import Request
from apps.runs.domain import evidence, forking
from apps.runs.domain.forking import Mutation
from apps.runs.domain.sentence import look_up, render
from apps.runs.journal.forking import conflicts
from apps.runs.models import Message, Step
from apps.runs.work import Claimed, Think


@dataclass(slots=True)
class History:
    """What a run has said and done so far."""

    messages: list[tuple[int, str, str]] = field(default_factory=list)
    steps: list[evidence.PastStep] = field(default_factory=list)

    def until(self, work: Claimed) -> History:
        return History(
            [m for m in self.messages if m[0] <= work.after_message],
            [s for s in self.steps if s.seq < work.seq],
        )


def terms(work: Claimed) -> Contract:
    """The contract version that the run pins."""
    return contract(work.contract_version_id)


def tool_terms(work: Claimed) -> ToolUse:
    """The contract's terms for the step's tool; the usual ones for a tool it doesn't list, or for
    a live agent's turn."""
    return terms(work).tool(work.tool_name) or ToolUse(work.tool_name)


def misfit(work: Claimed) -> str:
    """What is wrong with a step's arguments by the tool's schema; empty when they fit or nobody
    knows the schema."""
    validator = _validator(work.tool_version_id) if work.tool_version_id else None
    found = next(validator.iter_errors(work.arguments), None) if validator else None
    if found is None:
        return ""
    where = ".".join(str(p) for p in found.path) or "arguments"
    return f"{where}: {found.message}"[:500]


@lru_cache(maxsize=1024)
def _validator(tool_version_id: int) -> jsonschema.Draft202012Validator | None:
    schema = catalog.tool_document(tool_version_id).get("input_schema")
    return jsonschema.Draft202012Validator(schema) if schema else None


def tool_document(work: Claimed) -> Mapping[str, Any]:
    """The tool's catalog entry at the pinned version; empty for a tool that nobody knows."""
    return catalog.tool_document(work.tool_version_id) if work.tool_version_id else {}


def histories(works: Sequence[Claimed]) -> dict[UUID, History]:
    """Conversations and past steps of these works' runs, in two queries."""
    runs = {w.run_id for w in works}
    found: dict[UUID, History] = defaultdict(History)
    rows = Message.objects.filter(run_id__in=runs).order_by("run_id", "seq")
    for run_id, seq, role, content in rows.values_list("run_id", "seq", "role", "content"):
        found[run_id].messages.append((seq, role, content))
    columns = ("run_id", "seq", "tool_name", "effect", "disposition", "arguments", "result")
    past = Step.objects.filter(run_id__in=runs, kind="tool").exclude(disposition="")
    for run_id, *rest in past.order_by("run_id", "seq").values_list(*columns):
        found[run_id].steps.append(evidence.PastStep(*rest))
    return found


def asks(works: Sequence[Claimed]) -> list[Ask]:
    """The questions to the gate about these steps, in their order."""
    past = histories(works)
    slugs = {terms(w).decisions.policy for w in works}
    in_force = {slug: policy.current_digest(slug) for slug in slugs}
    met = conflicts(works)
    asked = [_ask(w, past[w.run_id], in_force[terms(w).decisions.policy]) for w in works]
    return [_with_conflict(a, w, met.get(w.step_id, ())) for a, w in zip(asked, works, strict=True)]


def _with_conflict(ask: Ask, work: Claimed, others: Sequence[Mutation]) -> Ask:
    """A change that crosses another branch's is put to a person. The answer is bound to what that
    person saw: should another change come in between, they are asked again."""
    if not others:
        return ask
    seen = {**ask.binding, "branches": [str(m.step_id) for m in others]}
    words = forking.question(others, tool=work.tool_name, arguments=work.arguments)
    return replace(ask, binding=seen, must_hold=Doubt(forking.RULE, words))


def _ask(work: Claimed, history: History, policy_digest: str) -> Ask:
    now = history.until(work)
    conversation = evidence.conversation_facts(
        [(role, content) for _, role, content in now.messages],
        terms(work).signals,
        arguments=work.arguments,
        facts=work.facts,
    )
    document = tool_document(work)
    listed = work.tool_name in terms(work).tool_names
    request = Request(
        agent=catalog.agent_slug(work.agent_version_id),
        agent_kind=work.agent_kind,
        agent_model=work.agent_label,
        tool=work.tool_name,
        domain=work.domain_slug,
        effect=work.effect,
        listed=listed,
        facts=_declared(work.facts, document),
        conversation=conversation,
        run=evidence.run_facts(now.steps, tool=work.tool_name, arguments=work.arguments),
        arguments=work.arguments,
    )
    return Ask(
        step_id=work.step_id,
        run_id=work.run_id,
        policy_slug=terms(work).decisions.policy,
        request=request,
        binding=_binding(work, policy_digest),
        question=_question(work, document, now) if work.mutates else {},
        approval_id=work.approval_id,
    )


def _declared(facts: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Only facts that the catalog declares reach the policy; anything else is not typed."""
    declared = document.get("facts") or {}
    return {k: v for k, v in facts.items() if k in declared and v is not None}


def _binding(work: Claimed, policy_digest: str) -> Mapping[str, Any]:
    return binding(
        tool=f"{work.domain_slug}/{work.tool_name}",
        tool_fingerprint=catalog.tool_fingerprint(work.tool_version_id),
        contract_digest=catalog.contract_digest(work.contract_version_id),
        policy_digest=policy_digest,
        agent=f"{catalog.agent_slug(work.agent_version_id)}:{work.agent_label}",
        subject=work.customer,
        arguments=work.arguments,
        run_id=str(work.run_id),
    )


def _question(work: Claimed, document: Mapping[str, Any], history: History) -> dict[str, Any]:
    said = [content for _, role, content in history.messages if role == "agent"]
    amount = look_up({"facts": work.facts, "arguments": work.arguments}, document.get("amount", ""))
    return {
        "sentence": sentence(work, document),
        "domain_slug": work.domain_slug,
        "job_slug": work.job_slug,
        "contract_number": work.contract_number,
        "tool_name": work.tool_name,
        "agent_slug": catalog.agent_slug(work.agent_version_id),
        "agent_label": work.agent_label,
        "customer": work.customer,
        "amount_cents": amount if isinstance(amount, int) else None,
        "arguments": work.arguments,
        "preview": {k: v for k, v in (work.preview or {}).items() if k != "facts"},
        "facts": work.facts,
        "agent_text": said[-1] if said else "",
        "window_s": terms(work).decisions.window_s,
        "on_timeout": terms(work).decisions.on_timeout,
    }


def sentence(work: Claimed, document: Mapping[str, Any]) -> str:
    """The plain sentence of what would happen, from the tool's template in the catalog."""
    template = document.get("sentence") or f"Call {work.tool_name}"
    return render(template, work.arguments, work.facts)


def think(work: Claimed, attempt_id: UUID, number: int) -> Think:
    """What a live agent is given for its next turn: prompt, tools, and all that was said and
    answered so far."""
    agent = catalog.agent_document(work.agent_version_id)
    known = catalog.tool_versions(work.contract_version_id)
    listed = terms(work).tool_names
    return Think(
        work=work,
        attempt_id=attempt_id,
        number=number,
        models=_models(agent, terms(work).agent.fallbacks),
        prompt=catalog.prompt_text(str(agent["prompt"]), int(agent["prompt_number"])),
        tools=[
            {"name": name, **_described(version.document)}
            for name, version in known.items()
            if name in listed
        ],
        history=_transcript(work.run_id),
        timeout_s=terms(work).agent.timeout_s,
    )


def _models(agent: Mapping[str, Any], fallbacks: Sequence[str]) -> tuple[str, ...]:
    """The models to ask, in order: the agent's own, then those of the contract's fallbacks."""
    named = [agent.get("model"), *agent.get("fallback_models", ())]
    named += [agent_version(slug).document.get("model") for slug in fallbacks]
    return tuple(dict.fromkeys(str(name) for name in named if name))


def _described(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": document.get("description") or document.get("title", ""),
        "schema": document.get("input_schema") or {"type": "object"},
    }


def _transcript(run_id: UUID) -> list[dict[str, Any]]:
    """Utterances and tool results in the order in which they happened."""
    said = [
        (m.seq, 0, {"role": m.role, "content": m.content})
        for m in Message.objects.filter(run_id=run_id)
    ]
    done = [
        (s.after_message, s.seq, _told(s))
        for s in Step.objects.filter(run_id=run_id, kind="tool").exclude(disposition="")
    ]
    return [entry for _, _, entry in sorted([*said, *done], key=lambda e: e[:2])]


def _told(step: Step) -> dict[str, Any]:
    content = (step.result or {}).get("content") or f"{step.disposition}: {step.error}"
    return {
        "role": "tool",
        "id": str(step.id),
        "tool": step.tool_name,
        "arguments": step.arguments,
        "content": content,
    }
