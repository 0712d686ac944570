"""Put steps into the gate's words: facts, conversation and history, and what a person would see.

Everything here comes from the system of record, the conversation and the run's own steps. Labels
that exist to score the tower never reach these functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from apps.calls.domain import plan
from apps.calls.domain.fallback import choose
from apps.calls.domain.given import last_given
from apps.calls.domain.reply import BAD_RESULT
from apps.calls.domain.turn import Misfit, Question
from apps.calls.services import hiding
from apps.catalog import adapters as servers
from apps.catalog.domain.contract import Contract, ToolUse
from apps.catalog.domain.entries import agent_settings, told_of_tool
from apps.catalog.domain.sentence import look_up, render
from apps.catalog.selectors import contract
from apps.catalog.selectors import pinned as catalog
from apps.evidence.domain import crossing, evidence
from apps.evidence.domain.crossing import Mutation
from apps.kernel.errors import UnavailableError
from apps.kernel.schemas import Schema, compiled
from apps.oversight.domain import preview
from apps.oversight.domain.binding import binding
from apps.oversight.gate import Doubt, GateRequest
from apps.policy import selectors as policy
from apps.policy.domain.effects import Effect
from apps.policy.domain.mistyped import CAME
from apps.policy.domain.request import Request
from apps.policy.domain.schema import FactDeclaration
from apps.runs import course
from apps.runs.course import RunCache
from apps.runs.domain.origin import is_self_told
from apps.runs.domain.outcome import StepEnd
from apps.runs.domain.result import problem
from apps.runs.engine import progress
from apps.runs.journal.forking import conflicts
from apps.runs.journal.undoing import undone_seq
from apps.runs.models import Attempt, Message, Step
from apps.runs.selectors.spending import spending
from apps.runs.work import Carried, Claimed, Think


def terms(work: Claimed) -> Contract:
    """The contract version that the run pins."""
    return contract(work.contract_version_id)


def tool_terms(work: Claimed) -> ToolUse:
    """The contract's terms for the step's tool; the usual ones for a tool it doesn't list, or for
    a live agent's turn."""
    return _tool_terms(work.contract_version_id, work.tool_name)


@lru_cache(maxsize=4096)
def _tool_terms(contract_version_id: int, tool: str) -> ToolUse:
    return contract(contract_version_id).tool(tool) or ToolUse(tool)


def schema_error(work: Claimed) -> str:
    """What is wrong with a step's arguments by the tool's schema; empty when they fit or nobody
    knows the schema. A schema that can't be used fits nothing. Never raises."""
    if not work.tool_version_id:
        return ""
    schema = _schema(work.tool_version_id)
    return hiding.misfit(work.hidden, schema, work.arguments) if schema else ""


@lru_cache(maxsize=1024)
def _schema(tool_version_id: int) -> Schema | None:
    """The tool's schema, ready to be tried; ``None`` when the catalog states none."""
    schema = catalog.tool_document(tool_version_id).get("input_schema")
    return None if schema in (None, {}) else compiled(schema)


def tool_document(work: Claimed) -> Mapping[str, Any]:
    """The tool's catalog entry at the pinned version; empty for a tool that nobody knows."""
    return catalog.tool_document(work.tool_version_id) if work.tool_version_id else {}


def dry_run(work: Claimed) -> str:
    """The tool that says what the step would change; empty for reads, which change nothing, and
    where the catalog names none."""
    return str(tool_document(work).get("preview") or "") if work.effect != Effect.READ else ""


def asks(works: Sequence[Claimed], cache: RunCache) -> list[GateRequest]:
    """The questions to the gate about these steps, in their order."""
    met = conflicts(works)
    digests, drifts = _Digests(), _Drifts()
    asked = [_ask(w, cache[w.run_id], digests, drifts) for w in progress.each(works)]
    if not met:
        return asked
    return [_with_conflict(a, w, met.get(w.step_id, ())) for a, w in zip(asked, works, strict=True)]


class _Drifts(dict[int, list[str]]):
    """What servers say otherwise of tool versions than when they were published, read when first
    asked for: only of what is held or was."""

    def __missing__(self, version_id: int) -> list[str]:
        self[version_id] = catalog.drift(version_id)
        return self[version_id]


class _Digests(dict[str, str]):
    """Digests of the policies in force, read when first asked for."""

    def __missing__(self, slug: str) -> str:
        self[slug] = policy.current_digest(slug)
        return self[slug]


def _with_conflict(ask: GateRequest, work: Claimed, others: Sequence[Mutation]) -> GateRequest:
    """A change that crosses another branch's is put to a person. The answer is bound to what that
    person saw: should another change come in between, they are asked again."""
    if not others:
        return ask
    words = crossing.question(others, tool=work.tool_name, arguments=work.arguments)

    def seen() -> Mapping[str, Any]:
        return {**ask.binding(), "branches": [str(m.step_id) for m in others]}

    return replace(ask, binding=seen, doubts=(*ask.doubts, Doubt(crossing.RULE, words)))


def _ask(work: Claimed, carried: Carried, digests: _Digests, drifts: _Drifts) -> GateRequest:
    contract = terms(work)
    slug = contract.decisions.policy
    said = [(role, words) for seq, role, words in carried.messages if seq <= work.after_message]
    untried = evidence.hearing(said, contract.signals).untried
    document = tool_document(work)
    request = Request(
        agent=catalog.agent_slug(work.agent_version_id),
        agent_kind=work.agent_kind,
        agent_model=work.agent_label,
        tool=work.tool_name,
        domain=work.domain_slug,
        effect=work.effect,
        listed=contract.tool(work.tool_name) is not None,
        facts=_declared(work, document),
        preview_error=_preview_error(work, document),
        conversation=evidence.conversation_facts(
            said,
            contract.signals,
            arguments=work.arguments,
            facts=work.facts,
            is_attested=not is_self_told(carried.run.origin, work.agent_kind),
        ),
        run=evidence.run_facts(
            [s for s in carried.steps if s.seq < work.seq],
            tool=work.tool_name,
            arguments=work.arguments,
        ),
        arguments=work.arguments,
    )
    return GateRequest(
        step_id=work.step_id,
        run_id=work.run_id,
        policy_slug=slug,
        request=request,
        binding=lambda: _binding(work, digests[slug], drifts),
        question=lambda: _question(work, document, said),
        approval_id=work.approval_id,
        doubts=[*_unheard(untried, work), *_clashing(work), *_unseen(work)],
        votes=contract.decisions.votes,
        is_undoing=lambda: undone_seq(work.step_id) is not None,
    )


def _unheard(signals: Sequence[str], work: Claimed) -> list[Doubt]:
    """Nobody knows what these signals would have said, so a person reads the conversation before
    anything is changed."""
    if not signals or not work.mutates:
        return []
    names = ", ".join(f"“{name}”" for name in signals[:5])
    words = (
        f"The contract listens for {names}, which can't be tried on this conversation: the pattern"
        " can't be used, or too much was said. Read it before you decide; an admin can mend the"
        " contract."
    )
    return [Doubt("signals_untried", words)]


def _unseen(work: Claimed) -> list[Doubt]:
    """No rule could judge by a value that it can't see, where its author didn't hide it."""
    words = hiding.unseen(work.hidden, work.arguments, work.facts) if work.mutates else ""
    return [Doubt(hiding.RULE, words)] if words else []


def _clashing(work: Claimed) -> list[Doubt]:
    """A change that makes a later one of its own plan impossible is put to a person first."""
    kept = _clashes_of(work)
    return [Doubt(plan.RULE, plan.question(kept))] if kept else []


def _clashes_of(work: Claimed) -> list[Mapping[str, Any]]:
    return ((work.preview or {}).get("plan") or {}).get("clashes") or []


def _declared(work: Claimed, document: Mapping[str, Any]) -> dict[str, Any]:
    """Only facts that the catalog declares reach the policy, and words about what came in the place
    of one; anything else is not typed."""
    declared = document.get("facts") or {}
    odd = (work.preview or {}).get("odd_facts") or {}
    found = {**work.facts, **{name: {CAME: words} for name, words in odd.items()}}
    return {name: found[name] for name in declared if name in found}


def _preview_error(work: Claimed, document: Mapping[str, Any]) -> str:
    """Why the dry run told nothing; empty if it did, or if there is none. Where facts have to be
    known, they are judged one by one; else the list of changes is all that there is to know."""
    if not dry_run(work):
        return ""
    if work.preview is None:
        return preview.NOT_ASKED
    if why := work.preview.get("unavailable"):
        return str(why)
    facts = (document.get("facts") or {}).values()
    needs_facts = any(not FactDeclaration.of(written).optional for written in facts)
    return "" if needs_facts or preview.tells(work.preview) else preview.NOTHING_TOLD


def _binding(work: Claimed, policy_digest: str, drifts: _Drifts) -> Mapping[str, Any]:
    """What an approval is bound to; beside the action, who would be called, and what its server
    says of the tool where that isn't what was published."""
    bound = binding(
        tool=f"{work.domain_slug}/{work.tool_name}",
        tool_fingerprint=catalog.tool_fingerprint(work.tool_version_id),
        contract_digest=catalog.contract_digest(work.contract_version_id),
        policy_digest=policy_digest,
        agent=f"{catalog.agent_slug(work.agent_version_id)}:{work.agent_label}",
        subject=work.customer,
        arguments=work.arguments,
        run_id=str(work.run_id),
        context=work.context,
    )
    if kept := _clashes_of(work):
        bound = bound | {"plan": plan.bound(kept)}
    if work.tool_version_id is None:
        return bound
    live = drifts[work.tool_version_id]
    return bound | {"server": _server_of(work.tool_version_id)} | ({"live": live} if live else {})


def _server_of(tool_version_id: int) -> str:
    """Where a call would go."""
    try:
        return servers.look_up(catalog.tool_server(tool_version_id)).identity
    except UnavailableError:
        return "unknown"


def _question(
    work: Claimed, document: Mapping[str, Any], heard: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    said = [words for role, words in heard if role == "agent"]
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
        "amount_cents": amount if _is_amount(amount) else None,
        "arguments": work.arguments,
        "preview": {k: v for k, v in (work.preview or {}).items() if k != "facts"},
        "facts": work.facts,
        "agent_text": said[-1] if said else "",
        **terms(work).decisions.asked(),
        "deadline_at": work.deadline_at,
    }


def _is_amount(value: Any) -> bool:
    """Whether it can stand in the column of amounts: cents, and no more than it holds."""
    return type(value) is int and abs(value) < 2**63


def sentence(work: Claimed, document: Mapping[str, Any]) -> str:
    """The plain sentence of what would happen, from the tool's template in the catalog."""
    template = document.get("sentence") or f"Call {work.tool_name}"
    words = render(template, work.arguments, work.facts)
    undone = undone_seq(work.step_id)
    return words if undone is None else f"Undo step {undone}: {words}"


def think(work: Claimed, attempt_id: UUID, number: int) -> Think:
    """What a live agent is given for its next turn: prompt, tools, and all that was said and
    answered so far."""
    agent = catalog.agent_document(work.agent_version_id)
    known = catalog.tool_versions(work.contract_version_id)
    listed = terms(work).tool_names
    used = spending(work.run_id, terms(work), failures=number - 1)
    models = catalog.asked_models(work.agent_version_id, work.contract_version_id)
    chosen = choose(models.names, used, at=terms(work).agent.fallback_at)
    question = Question(
        models=chosen.models,
        known=models.known,
        preferred=chosen.preferred,
        reason=chosen.reason,
        settings=agent_settings(agent),
        prompt=catalog.prompt_text(str(agent["prompt"]), int(agent["prompt_number"])),
        tools=[
            {"name": name, **told_of_tool(version.document)}
            for name, version in known.items()
            if name in listed
        ],
        history=[*_transcript(work.run_id), *_about_result(work, number)],
        timeout_s=terms(work).agent.timeout_s,
        output=(output := course.output_of(work.contract_version_id)),
        misfit=_misfit_now(work, output) if output else None,
    )
    return Think(work, attempt_id, number, question)


def _about_result(work: Claimed, number: int) -> list[dict[str, Any]]:
    """What the model is told of a result that it gave in this turn and that did not fit."""
    if number == 1:
        return []
    tried = Attempt.objects.filter(step_id=work.step_id, error_class=BAD_RESULT)
    wrong = tried.order_by("-number").values_list("error", flat=True).first()
    return [{"role": "tower", "content": f"Not accepted. {wrong} Give it again."}] if wrong else []


def _misfit_now(work: Claimed, output: Schema) -> Misfit:
    """What is wrong with a result that these items give, if the agent ends its run with them."""
    done = Step.objects.filter(run_id=work.run_id, kind="tool").exclude(disposition="")
    ends = [StepEnd(*row) for row in done.values_list("tool_name", "effect", "disposition")]
    end = course.judged(ends, terms(work), answered=True)
    return lambda items: problem(output, last_given(items), end=end, hidden=work.hidden)


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
