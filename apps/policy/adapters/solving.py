"""The solver's own process: ``python -m apps.policy.adapters.solving``, a task as JSON on its
standard input, one finding as JSON a line on its output. Nothing else imports the solver.

It may be killed at any moment: what it has said by then counts, and what it hasn't is not known.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import z3

from apps.policy.adapters.cedar import Evaluator, policy_of
from apps.policy.domain.bounds import excess
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.proofs.answers import Answers, Policy
from apps.policy.domain.proofs.claims import Judge, ProofClaim, case_of
from apps.policy.domain.proofs.defaults import IDLE
from apps.policy.domain.proofs.examples import smallest, telling
from apps.policy.domain.proofs.questions import About, ProofQuestion, tools_of
from apps.policy.domain.proofs.requests import request_of
from apps.policy.domain.proofs.sentences import Sentence
from apps.policy.domain.proofs.symbols import ToolShape
from apps.policy.domain.proofs.values import UntranslatableError
from apps.policy.domain.proofs.words import TooManyError

warnings.filterwarnings("ignore")
Json = dict[str, Any]
HOLDS, BROKEN, SILENT, UNKNOWN, REFUSED = "holds", "broken", "silent", "unknown", "refused"


class Solver:
    """The formulas of one tool, parsed once; each question is put to a fresh solver."""

    def __init__(self, about: About, formulas: list[str], milliseconds: int) -> None:
        self._about, self._milliseconds = about, milliseconds
        text = "\n".join([*about.script.lines, *(f"(assert {f})" for f in formulas)])
        self._context = z3.Context()  # of its own: names of one tool mean nothing for the next
        parsed = list(z3.parse_smt2_string(text, ctx=self._context))
        base = len(parsed) - len(formulas)
        self._base = z3.And(*parsed[:base], self._context)
        self._asked = dict(zip(formulas, parsed[base:], strict=True))

    def check(self, formula: str) -> tuple[str, z3.ModelRef | None]:
        """``sat`` with a model, ``unsat`` or ``unknown``."""
        if formula == "false":
            return "unsat", None
        solver = z3.Solver(ctx=self._context)
        solver.set("timeout", self._milliseconds)
        solver.add(self._base, self._asked[formula])
        result = str(solver.check())
        return result, solver.model() if result == "sat" else None


def value_in(model: z3.ModelRef) -> Any:
    """Reads what a model says a term is worth: the unknowns by name, and functions of words."""
    names = {str(found): found for found in model.decls() if str(found).startswith("x")}

    def found(term: str) -> Any:
        if term in ("true", "false"):
            return term == "true"
        name, _, rest = term.strip("()").partition(" ")
        if name not in names:
            return False if rest else _unnamed(term)
        declared = names[name]
        asked = declared(z3.IntVal(int(rest), model.ctx)) if rest else declared()
        value = model.eval(asked, model_completion=True)
        return value.as_long() if z3.is_int_value(value) else z3.is_true(value)

    return found


def _unnamed(term: str) -> int:
    """A term that the model leaves open, or a number."""
    return int(term) if term.lstrip("-").isdigit() else 0


class Study:
    """One policy, perhaps beside another, and what is asked about it."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._schema, self._domain = task["schema"], task["domain"]
        self._milliseconds = int(task["milliseconds"])
        self._policy, self._judge = self._read(task["policy"])
        before = task.get("before")
        self._before, self._judge_before = self._read(before) if before else (None, None)
        self._sentences = [
            Sentence(**{**s, "tools": _tuple(s["tools"]), "needs": tuple(s["needs"])})
            for s in task["sentences"]
        ]
        self._conditions: dict[str, Mapping[str, Any]] = {}
        self._tests: dict[str, Evaluator] = {}
        self._alive: set[str] = set()
        self._perhaps: set[str] = set()

    def _read(self, given: Mapping[str, Any]) -> tuple[Policy, Evaluator]:
        parts = (given["policies"], given["limits"], self._schema, given["exempt"])
        return policy_of(*parts), Evaluator(*parts)

    def findings(self) -> Iterator[Json]:
        """Everything, tool by tool."""
        yield from self._read_conditions()
        for tool in tools_of(self._schema, self._domain):
            yield from self._of_tool(tool)
            yield {"kind": "tool", "tool": tool.name}
        named = {key: rule.id for key, rule in self._policy.rules.items()}
        yield from ({"kind": "rule", "rule": named[key], "status": SILENT} for key in self._never())
        yield {"kind": "end"}

    def _never(self) -> list[str]:
        """Rules of which it is certain that no request makes them apply."""
        seen = self._alive | self._perhaps
        return [key for key in self._policy.rules if key not in seen] if self._idle_asked else []

    @property
    def _idle_asked(self) -> bool:
        return any(s.twin == IDLE and not s.waived for s in self._sentences)

    def _read_conditions(self) -> Iterator[Json]:
        for sentence in list(self._sentences):
            if not sentence.condition or sentence.waived:
                continue
            text = f"permit(principal, action, resource) when {{ {sentence.condition} }};"
            try:
                self._conditions[sentence.id] = _only_rule(text, self._policy.limits, self._schema)
                self._tests[sentence.id] = Evaluator(text, self._policy.limits, self._schema)
            except ValueError as error:
                self._sentences.remove(sentence)
                why = f"Its condition is no Cedar: {error}"[:300]
                yield {"kind": "sentence", "id": sentence.id, "status": REFUSED, "why": why}

    def _of_tool(self, tool: ToolShape) -> Iterator[Json]:
        try:
            about = About(tool, self._policy, before=self._before, conditions=self._conditions)
            asked = list(self._asked(about))
        except (UntranslatableError, TooManyError, RecursionError) as error:
            why = str(error) or "too much to be looked through"
            yield {"kind": "refused", "tool": tool.name, "why": why}
            return
        solver = Solver(about, _formulas(about, asked), self._milliseconds)
        for claim, question in asked:
            yield {**claim.named, "tool": tool.name, **self._found(about, solver, claim, question)}
        if self._idle_asked:
            self._look_for_rules(about, solver)

    def _asked(self, about: About) -> Iterator[tuple[ProofClaim, ProofQuestion]]:
        judge = Judge(self._judge, self._judge_before, self._tests)
        if self._before is not None and about.differs:
            yield ProofClaim("weaker", judge), about.weaker()
            yield ProofClaim("stricter", judge), about.stricter()
        for sentence in self._sentences:
            if sentence.waived or sentence.twin == IDLE or not about.speaks_of(sentence):
                continue
            if (question := about.question(sentence)) is not None:
                yield ProofClaim("sentence", judge, sentence), question

    def _found(
        self, about: About, solver: Solver, claim: ProofClaim, question: ProofQuestion
    ) -> Json:
        result, model = solver.check(question.broken)
        if model is not None:
            return _example(about, claim, question, model)
        if result == "unknown":
            return {"status": UNKNOWN, "why": "The solver came to no answer in its time"}
        if question.met != "true" and solver.check(question.met)[0] == "unsat":
            return {"status": SILENT}
        return {"status": HOLDS}

    def _look_for_rules(self, about: About, solver: Solver) -> None:
        for key, applies in about.rules():
            if key not in self._alive:
                result, _ = solver.check(applies)
                if result == "sat":
                    self._alive.add(key)
                elif result == "unknown":
                    self._perhaps.add(key)


def _formulas(about: About, asked: list[tuple[ProofClaim, ProofQuestion]]) -> list[str]:
    found = [f for _, question in asked for f in (question.broken, question.met)]
    return list(dict.fromkeys([*found, *(applies for _, applies in about.rules())]))


def _example(about: About, claim: ProofClaim, question: ProofQuestion, model: z3.ModelRef) -> Json:
    """What the solver found, if Cedar says the same of it, and as small as it gets."""
    found = value_in(model)
    first = request_of(about.symbols, about.words, found)
    case = case_of(claim, question, first, about, found)
    predicted = predicted_of(about.answers, model, about)
    if not case.shows(first) or predicted != said(claim.judge.now(first)):
        return {"status": UNKNOWN, "why": "Cedar answers otherwise than the solver foretold"}
    paths = about.paths
    small = smallest(first, case.shows, paths)
    return {"status": BROKEN, "example": case.shown(small, telling(small, case.shows, paths))}


def predicted_of(answers: Answers, model: z3.ModelRef, about: About) -> tuple[Any, ...]:
    """Answer, roles and votes as the formulas have them in a model."""
    votes = {n: v for n, v in answers.votes.items() if _true(v, model, about)}
    answer = next(
        name for name in ("permit", "hold", "deny") if _true(getattr(answers, name), model, about)
    )
    if answer != "hold":
        return answer, (), 0
    roles = tuple(sorted(r for r, v in answers.roles.items() if _true(v, model, about)))
    return answer, roles, max(votes, default=1)


def said(verdict: PolicyDecision) -> tuple[Any, ...]:
    return verdict.answer.value, verdict.roles, verdict.votes


def _true(formula: str, model: z3.ModelRef, about: About) -> bool:
    text = "\n".join([*about.script.lines, f"(assert {formula})"])
    parsed = z3.parse_smt2_string(text, ctx=model.ctx)
    return z3.is_true(model.eval(parsed[len(parsed) - 1], model_completion=True))


def _only_rule(
    text: str, limits: Mapping[str, int], schema: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The one rule that a condition makes; a text that makes more is none."""
    stored = list(policy_of(text, limits, schema).stored.values())
    if len(stored) != 1 or len(stored[0].get("conditions", ())) != 1 or excess(text):
        raise ValueError("it is more than one expression")
    return stored[0]


def _tuple(tools: Any) -> Any:
    return tuple(tools) if isinstance(tools, list) else tools


def main() -> None:
    """Read the task, say what is found."""
    for finding in Study(json.load(sys.stdin)).findings():
        sys.stdout.write(json.dumps(finding) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
