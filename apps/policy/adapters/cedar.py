"""Cedar behind one evaluator: a text is parsed once, asked in batches, and checked with places.

Nothing outside this module knows the language. No schema is needed to answer (requests are typed
when their context is built); it is needed to check a text before it is published.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import cedarpy
import orjson

from apps.kernel.documents import Problem
from apps.policy.domain.bounds import TO_SPLIT, TOO_DEEP, excess
from apps.policy.domain.decision import PolicyDecision, PolicyOutcome, combine, roles_to_ask
from apps.policy.domain.document import read_document
from apps.policy.domain.effects import EFFECTS
from apps.policy.domain.locate import (
    Span,
    first_bad_offset,
    line_and_column,
    offset_of_annotation,
    offset_of_subject,
    offset_of_token,
    policy_spans,
)
from apps.policy.domain.proofs.answers import Policy
from apps.policy.domain.request import Request, reads_of
from apps.policy.domain.rules import Rule, annotation_faults, names_read, read_rule
from apps.policy.domain.schema import FactDeclaration, declared_facts, with_limits
from apps.policy.domain.unknown import ROLE, Gap, gaps, held

EVALUATORS_KEPT = 64  # versions in use at a time, by far
OUTCOMES_KEPT = 8192  # of each version
END_OF_INPUT = "unexpected end of input"

Json = dict[str, Any]


class Evaluator:
    """One published text, parsed. Raises ``ValueError`` when the text is no Cedar.
    ``may_go_without_facts``: the tools that the text lets go although what they would change is
    not known, with the reason it gives."""

    def __init__(
        self,
        policies: str,
        limits: Mapping[str, int],
        schema: Mapping[str, Any],
        may_go_without_facts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._policies = _parsed(policies)
        self._limits = dict(limits)
        # What no rule mentions is not sent: texts and sets can be long, and questions that differ
        # in nothing else are the same question.
        self._declared = {
            tool: {name: FactDeclaration.of(facts[name]) for name in sorted(facts)}
            for tool, facts in declared_facts(schema).items()
        }
        self._facts = {
            tool: {name: fact.kind for name, fact in facts.items() if name in policies}
            for tool, facts in self._declared.items()
        }
        self._exempt = dict(may_go_without_facts)
        self._reads = reads_of(policies)
        self._known: dict[bytes, PolicyOutcome] = {}
        stored = _policies_as_json(policies)
        self.rules: dict[str, Rule] = _rules(stored)
        self._asks = {rule.role for rule in self.rules.values() if rule.role} | {ROLE}

    def evaluate_batch(
        self, requests: Sequence[Request], *, limits: Mapping[str, int] | None = None
    ) -> list[PolicyDecision]:
        """Answer requests in their order. Never raises for a request: what can't be evaluated is
        denied with the error. ``limits`` asks as if the text had other limits."""
        used = self._limits if limits is None else limits
        contexts = [self._context(r, used) for r in requests]
        first = self._ask(requests, contexts)
        retried = [i for i, outcome in enumerate(first) if roles_to_ask(outcome)]
        approved = self._ask(
            [requests[i] for i in retried],
            [_with_approvals(contexts[i], roles_to_ask(first[i])) for i in retried],
        )
        second = dict(zip(retried, approved, strict=True))
        verdicts = [
            combine(
                outcome,
                second.get(i),
                [rule.shown(contexts[i]) for rule in outcome.rules],
            )
            for i, outcome in enumerate(first)
        ]
        return [self._held(r, verdict) for r, verdict in zip(requests, verdicts, strict=True)]

    @property
    def tools(self) -> Collection[str]:
        """The tools that it can judge."""
        return self._declared.keys()

    def allows(self, request: Request) -> bool:
        """Whether the text alone lets a request through: nobody is asked, and what isn't known is
        not looked at."""
        outcome = self._ask([request], [self._context(request, self._limits)])[0]
        return outcome.allowed and not outcome.errors

    def unknown(self, request: Request) -> tuple[Gap, ...]:
        """What would have to be known of this change and isn't."""
        return gaps(request, self._declared.get(request.tool, {}))

    def _held(self, request: Request, verdict: PolicyDecision) -> PolicyDecision:
        return held(
            verdict,
            self.unknown(request),
            exemption=self._exempt.get(request.tool),
            asked=bool(request.approvals & self._asks),
        )

    def _context(self, request: Request, limits: Mapping[str, int]) -> Json:
        return request.context(self._facts.get(request.tool, {}), limits, self._reads)

    def _ask(self, requests: Sequence[Request], contexts: Sequence[Json]) -> list[PolicyOutcome]:
        """Each question's outcome. One that was answered before is answered from memory: an
        outcome depends on nothing but the text and the question."""
        keys = [_key(r, context) for r, context in zip(requests, contexts, strict=True)]
        answers = {i: self._known[key] for i, key in enumerate(keys) if key in self._known}
        askable = []
        for i, request in enumerate(requests):
            if i in answers:
                continue
            if error := self._unknown(request):
                answers[i] = PolicyOutcome(allowed=False, errors=(error,))
            else:
                askable.append(i)
        for entities, members in _compatible(requests, askable):
            asked = [_question(requests[i], contexts[i]) for i in members]
            for i, outcome in zip(members, self._batch(asked, entities), strict=True):
                answers[i] = outcome
                self._remember(keys[i], outcome)
        return [answers[i] for i in range(len(requests))]

    def _remember(self, key: bytes, outcome: PolicyOutcome) -> None:
        if outcome.errors:
            return
        if len(self._known) >= OUTCOMES_KEPT:
            self._known.clear()
        self._known[key] = outcome

    def _unknown(self, request: Request) -> str:
        """Why the rules can't speak about this request: they would not apply, so a general permit
        would let it pass."""
        if request.tool not in self._facts:
            return f"this policy was published without knowing the tool “{request.tool}”"
        if request.effect not in EFFECTS:
            return f"“{request.effect}” is no effect class"
        return ""

    def _batch(self, asked: list[Json], entities: tuple[str, ...]) -> list[PolicyOutcome]:
        known = _entities(entities)
        try:
            results = cedarpy.is_authorized_batch(asked, self._policies, known)
        except Exception as error:
            # Fail closed: one bad question must neither pass nor take the worker down.
            failed = PolicyOutcome(
                allowed=False, errors=(f"{type(error).__name__}: {error}"[:300],)
            )
            return [failed] * len(asked)
        return [self._outcome(result) for result in results]

    def _outcome(self, result: cedarpy.AuthzResult) -> PolicyOutcome:
        found = sorted((self.rules[key] for key in result.diagnostics.reasons), key=_rule_order)
        errors = tuple(str(e)[:300] for e in result.diagnostics.errors)
        if not errors and result.decision is cedarpy.Decision.NoDecision:
            errors = ("the question could not be evaluated",)
        return PolicyOutcome(result.allowed, tuple(found), errors)


def evaluator_of(
    digest: str, text: str, limits: Mapping[str, int], schema: Mapping[str, Any]
) -> Evaluator:
    """The evaluator of a published document, parsed once a process; ``digest`` names text, limits
    and schema together. Raises ``ValueError`` for a text that holds no rules."""
    known = _EVALUATORS.get(digest)
    if known is None:
        document, _ = read_document(text)
        if document is None:
            raise ValueError("the text holds no policy document")
        known = Evaluator(document.policies, limits, schema, document.may_go_without_facts)
        if len(_EVALUATORS) >= EVALUATORS_KEPT:
            _EVALUATORS.clear()
        _EVALUATORS[digest] = known
    return known


def known_evaluator(digest: str) -> Evaluator | None:
    """The evaluator of this digest, if this process has it already."""
    return _EVALUATORS.get(digest)


_EVALUATORS: dict[str, Evaluator] = {}


def check_policies(
    policies: str, limits: Mapping[str, int], schema: Mapping[str, Any], roles: Sequence[str]
) -> list[Problem]:
    """Everything wrong with a text, by place in it (lines and columns from 1): syntax first and
    alone, then annotations, names and types."""
    if wrong := unreadable(policies):
        return [wrong]
    try:
        return _problems(policies, limits, schema, roles)
    except (RecursionError, ValueError):  # a long chain is deep as JSON
        return [_problem(1, 1, "policies", TOO_DEEP, TO_SPLIT)]


def unreadable(policies: str) -> Problem | None:
    """Why a text can't be parsed, by place in it; None for one that can."""
    if found := excess(policies):
        line, column = line_and_column(policies, found.offset)
        return _problem(line, column, "policies", found.message, found.fix)
    try:
        cedarpy.PolicySet.from_str(policies)
    except ValueError as error:
        return _syntax_problem(policies, str(error))
    return None


def _problems(
    policies: str, limits: Mapping[str, int], schema: Mapping[str, Any], roles: Sequence[str]
) -> list[Problem]:
    stored = _policies_as_json(policies)
    if not stored:
        return [_problem(1, 1, "policies", "there is no rule, so everything would be denied")]
    spans = dict(zip(stored, policy_spans(policies), strict=True))
    named = {key: (read_rule(key, policy).id, spans[key]) for key, policy in stored.items()}
    found = [
        *_annotation_problems(policies, stored, named, roles),
        *_same_ids(policies, named),
        *_unknown_facts(policies, stored, named, schema),
        *_type_problems(policies, limits, schema, named),
    ]
    return sorted(set(found), key=lambda p: (p.line, p.column, p.message))


def policy_of(
    policies: str,
    limits: Mapping[str, int],
    schema: Mapping[str, Any],
    exempt: Iterable[str] = (),
) -> Policy:
    """A text as proofs read it. Raises ``ValueError`` for one that can't be parsed."""
    stored = _policies_as_json(policies)
    facts = {name for declared in declared_facts(schema).values() for name in declared}
    return Policy(
        rules=_rules(stored),
        stored=stored,
        limits=dict(limits),
        mentioned=frozenset(name for name in facts if name in policies),
        reads=reads_of(policies),
        exempt=frozenset(exempt),
    )


def rules_of(policies: str) -> list[tuple[Rule, int, str]]:
    """Each rule of a right text with its line and its source, in the order of the text. Raises
    ``ValueError`` for a text that can't be parsed."""
    stored = _policies_as_json(policies)
    rules, spans = _rules(stored), policy_spans(policies)
    return [
        (rules[key], line_and_column(policies, span.start)[0], _source(policies, span))
        for key, span in zip(stored, spans, strict=True)
    ]


def _rules(stored: Mapping[str, Json]) -> dict[str, Rule]:
    try:
        return {key: read_rule(key, policy) for key, policy in stored.items()}
    except RecursionError:
        raise ValueError(f"{TOO_DEEP}: {TO_SPLIT}") from None


Named = Mapping[str, tuple[str, Span]]


def _problem(line: int, column: int, path: str, message: str, fix: str = "") -> Problem:
    """Messages and fixes start in lower case here, as Cedar's do; people see sentences."""
    return Problem(_sentence(message), _sentence(fix), path, line, column)


def _sentence(text: str) -> str:
    whole = text[:1].upper() + text[1:]
    return whole if not whole or whole.endswith((".", "?", ";", ")", "…")) else f"{whole}."


def _source(text: str, span: Span) -> str:
    return text[span.start : span.end]


def _syntax_problem(text: str, message: str) -> Problem:
    offset = offset_of_token(text, first_bad_offset(text, _is_wrong), message)
    line, column = line_and_column(text, offset)
    ended = END_OF_INPUT in message
    fix = "close what is open, and end each rule with “;”" if ended else ""
    return _problem(line, column, "policies", message, fix)


def _is_wrong(prefix: str) -> bool:
    try:
        cedarpy.PolicySet.from_str(prefix)
    except ValueError as error:
        return END_OF_INPUT not in str(error)
    return False


def _annotation_problems(
    text: str, stored: Mapping[str, Json], named: Named, roles: Sequence[str]
) -> Iterator[Problem]:
    for key, policy in stored.items():
        rule_id, span = named[key]
        for annotation, message, fix in annotation_faults(policy, roles):
            line, column = line_and_column(text, offset_of_annotation(text, span, annotation))
            yield _problem(line, column, f"policies.{rule_id}", message, fix)


def _same_ids(text: str, named: Named) -> Iterator[Problem]:
    seen: set[str] = set()
    for rule_id, span in named.values():
        if rule_id in seen:
            line, column = line_and_column(text, offset_of_annotation(text, span, "id"))
            message = f"another rule is already called “{rule_id}”"
            yield _problem(line, column, f"policies.{rule_id}", message, "give it its own id")
        seen.add(rule_id)


def _unknown_facts(
    text: str, stored: Mapping[str, Json], named: Named, schema: Mapping[str, Any]
) -> Iterator[Problem]:
    """A ``has`` test of a fact that no tool declares is legal Cedar and never true: a typing
    mistake that would switch a rule off without a word."""
    facts = declared_facts(schema)
    known = sorted({name for declared in facts.values() for name in declared})
    for key, policy in stored.items():
        rule_id, span = named[key]
        for name in sorted(names_read(policy, "facts") - set(known)):
            offset = offset_of_subject(text, span, f"`{name}`")
            message = f"no tool supplies the fact “{name}”"
            at = line_and_column(text, offset)
            yield _problem(*at, f"policies.{rule_id}", message, _nearest(name, known))


def _type_problems(
    text: str, limits: Mapping[str, int], schema: Mapping[str, Any], named: Named
) -> Iterator[Problem]:
    result = cedarpy.validate_policies(text, json.dumps(with_limits(schema, limits)))
    names = {"limits": list(limits), "facts": sorted(_all_facts(schema))}
    seen: set[tuple[str, str]] = set()
    for error in result.errors:
        rule_id, span = named.get(error.policy_id, ("", Span(0, len(text))))
        message = error.error.removeprefix(f"for policy `{error.policy_id}`, ")
        short = message.partition(" in context for Action::")[0]
        if (rule_id, short) in seen:  # said once, not once for each action it concerns
            continue
        seen.add((rule_id, short))
        line, column = line_and_column(text, offset_of_subject(text, span, short))
        path = f"policies.{rule_id}" if rule_id else "policies"
        yield _problem(line, column, path, message, _fix(message, names))


def _fix(message: str, names: Mapping[str, Sequence[str]]) -> str:
    if "optional attribute" in message:
        return "ask first whether it is known: context.facts has <name> && …"
    for group, known in names.items():
        if f"`{group}." in message:
            wanted = message.partition(f"`{group}.")[2].partition("`")[0]
            return _nearest(wanted, known)
    return ""


def _nearest(word: str, known: Sequence[str]) -> str:
    found = get_close_matches(word, known, n=1, cutoff=0.55)
    if found:
        return f"did you mean “{found[0]}”?"
    return f"known: {', '.join(known)}" if known else ""


def _all_facts(schema: Mapping[str, Any]) -> set[str]:
    return {name for declared in declared_facts(schema).values() for name in declared}


def _parsed(policies: str) -> cedarpy.PolicySet:
    """The text parsed. Raises ``ValueError``, also for one that the parser would die of."""
    if found := excess(policies):
        raise ValueError(f"{found.message}: {found.fix}")
    return cedarpy.PolicySet.from_str(policies)


def _policies_as_json(policies: str) -> dict[str, Json]:
    """Policies in the order of the text: Cedar numbers them policy0, policy1, … Raises
    ``ValueError`` for a text that can't be parsed."""
    if found := excess(policies):
        raise ValueError(f"{found.message}: {found.fix}")
    try:
        stored = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"]
    except RecursionError:
        raise ValueError(f"{TOO_DEEP}: {TO_SPLIT}") from None
    return {key: stored[key] for key in sorted(stored, key=lambda key: int(key[6:]))}


def _rule_order(rule: Rule) -> tuple[bool, int, int]:
    """Hard rules first, then by risk, then as written: the first is the reason that people see."""
    return rule.is_hold, -rule.risk, int(rule.key[6:])


def _with_approvals(context: Json, roles: Sequence[str]) -> Json:
    return {**context, "approvals": sorted({*context["approvals"], *roles})}


def _question(request: Request, context: Json) -> Json:
    return {
        "principal": {"type": "Agent", "id": request.agent},
        "action": {"type": "Action", "id": request.tool},
        "resource": {"type": "Tool", "id": f"{request.domain}/{request.tool}"},
        "context": orjson.dumps(context).decode(),
    }


def _key(request: Request, context: Json) -> bytes:
    """Everything that an outcome depends on, but for the text of the rules."""
    r = request
    who = (r.agent, r.agent_kind, r.agent_model, r.domain, r.tool, r.effect, r.listed)
    return orjson.dumps((who, context), option=orjson.OPT_SORT_KEYS)


def _compatible(
    requests: Sequence[Request], chosen: Sequence[int]
) -> Iterator[tuple[tuple[str, ...], list[int]]]:
    """Group requests that see one set of entities: a tool that one contract lists and another
    doesn't can't be both in a single question to Cedar."""
    groups: list[tuple[dict[str, str], list[int]]] = []
    for index in chosen:
        wanted = _own_entities(requests[index])
        for known, members in groups:
            if all(known.get(uid, text) == text for uid, text in wanted.items()):
                known.update(wanted)
                members.append(index)
                break
        else:
            groups.append((dict(wanted), [index]))
    for known, members in groups:
        yield tuple(sorted(known.values())), members


def _own_entities(request: Request) -> dict[str, str]:
    r = request
    agent = (r.agent, r.agent_kind, r.agent_model)
    return _entities_of(agent, r.domain, r.tool, r.effect, listed=r.listed)


@lru_cache(maxsize=4096)
def _entities_of(
    agent: tuple[str, str, str], domain: str, tool: str, effect: str, *, listed: bool
) -> dict[str, str]:
    slug, kind, model = agent
    uid = f"{domain}/{tool}"
    attributes = {"domain": domain, "name": tool, "effect": effect, "listed": listed}
    group = {"type": "Action", "id": effect}
    return {
        f"Agent {slug}": _entity("Agent", slug, {"kind": kind, "model": model}),
        f"Tool {uid}": _entity("Tool", uid, attributes),
        f"Action {tool}": _entity("Action", tool, {}, [group]),
    }


def _entity(kind: str, name: str, attributes: Json, parents: Sequence[Json] = ()) -> str:
    uid = {"type": kind, "id": name}
    return json.dumps({"uid": uid, "attrs": attributes, "parents": list(parents)})


EFFECT_GROUPS = tuple(_entity("Action", effect, {}) for effect in EFFECTS)


@lru_cache(maxsize=1024)
def _entities(members: tuple[str, ...]) -> cedarpy.Entities:
    return cedarpy.Entities.from_json_str(f"[{','.join([*EFFECT_GROUPS, *members])}]")
