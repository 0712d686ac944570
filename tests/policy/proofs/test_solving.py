"""What the solver's own process says, and what is made of it when it says nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

import psutil
import pytest

from apps.policy.adapters import Evaluator, apart
from apps.policy.adapters.apart import ChildOutput, said_apart
from apps.policy.domain.proofs.assessment import Assessment, Status, assessed
from apps.policy.domain.proofs.defaults import DEFAULTS, all_of
from apps.policy.domain.proofs.sentences import Sentence, read_sentences
from apps.policy.domain.request import Request
from apps.policy.domain.schema import declared_facts
from tests.policy.proofs.packs import pack
from tests.policy.texts import RULES, SCHEMA

LIMITS = {"most_cents": 5_000}
SOLVER = "apps.policy.adapters.solving"


def studied(
    rules: str = RULES,
    *,
    before: str | None = None,
    sentences: list[Sentence] | None = None,
    limits: dict[str, int] = LIMITS,
    schema: Any = SCHEMA,
    domain: str = "toys",
    seconds: float = 120,
    milliseconds: int = 20_000,
) -> Assessment:
    asked = all_of([]) if sentences is None else sentences
    task = {
        "policy": {"policies": rules, "limits": limits, "exempt": {}},
        "before": {"policies": before, "limits": limits, "exempt": {}} if before else None,
        "schema": schema,
        "domain": domain,
        "sentences": [asdict(s) for s in asked],
        "milliseconds": milliseconds,
    }
    said = said_apart(SOLVER, task, seconds=seconds)
    compared = before is not None
    tools = sorted(declared_facts(schema))
    return assessed(asked, tools, said.lines, ended=said.ended, compared=compared)


def statuses(found: Assessment) -> dict[str, str]:
    return {f.id: f.status.value for f in found.findings}


def stated(**changes: Any) -> list[Sentence]:
    entry = {"id": "mine", "says": "As it should be", "tools": ["refund"], "never": "permit"}
    return read_sentences([{**entry, **changes}])


@pytest.mark.parametrize(
    ("domain", "broken"),
    [("airline", set()), ("retail", {"any-agent-is-judged-alike", "charge-above-the-limit"})],
)
def test_what_holds_of_every_tower_holds_of_the_packs(domain: str, broken: set[str]) -> None:
    rules, limits, schema = pack(domain)

    found = studied(rules, sentences=list(DEFAULTS), limits=limits, schema=schema, domain=domain)

    assert {f.id for f in found.broken} == broken, "and these are waived, with a reason"
    held = {f.id for f in found.findings if f.status is Status.PROVED}
    assert held == {s.id for s in DEFAULTS} - broken


def test_a_sentence_that_is_broken_is_shown_by_the_smallest_request_that_cedar_confirms() -> None:
    (finding,) = studied(
        sentences=stated(when={"facts.amount_cents": "above 3000"}),
    ).findings

    assert finding.status is Status.BROKEN
    (shown,) = finding.shown
    assert {"name": "facts.amount_cents", "value": 3_001} in shown.example["telling"]
    request = Request.from_json(shown.example["request"])
    assert Evaluator(RULES, LIMITS, SCHEMA).evaluate_batch([request])[0].answer == "permit"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"when": {"facts.amount_cents": "above limits.most_cents"}}, "proved"),
        ({"when": {"facts.amount_cents": "at least limits.most_cents"}}, "broken"),
        ({"when": {"facts.amount_cents": "missing"}}, "proved"),
        ({"when": {"facts.own": "no"}, "approved": "by anybody"}, "proved"),
        ({"when": {"facts.own": "not no"}, "approved": "by anybody"}, "broken"),
        ({"when": {"conversation.confirmed": False}, "approved": "not by operator"}, "proved"),
        ({"when": {"facts.amount_cents": "below 3", "facts.own": "known"}}, "broken"),
        ({"when_rule": "context.facts.amount_cents > 6000"}, "proved"),
        ({"when_rule": 'context.run.reads_before.contains("look")'}, "broken"),
        ({"when_rule": "context.run.steps > 3 && context.run.steps < 2"}, "silent"),
        ({"when": {"run.reads_before": "lacks look", "agent.kind": "like ref*"}}, "broken"),
        ({"when_rule": "true }; permit(principal, action, resource) when { true"}, "unknown"),
        ({"when_rule": 'ip("::1").isLoopback()'}, "unknown"),
        ({"tools": ["nobody-knows-it"]}, "silent"),
    ],
)
def test_conditions_in_plain_words(changes: dict[str, Any], status: str) -> None:
    assert statuses(studied(sentences=stated(**changes))) == {"mine": status}


def test_always_is_broken_by_any_other_answer() -> None:
    never = stated(when={"facts.own": "no"})
    always = read_sentences(
        [
            {
                "id": "a",
                "says": "s",
                "tools": ["refund"],
                "when": {"facts.own": "no"},
                "always": "deny",
            }
        ]
    )

    assert statuses(studied(sentences=[*never, *always])) == {"mine": "proved", "a": "proved"}
    harmless = read_sentences([{"id": "a", "says": "s", "tools": ["refund"], "always": "deny"}])
    assert statuses(studied(sentences=harmless)) == {"a": "broken"}


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("when { resource.listed }", "", "outside-the-contract"),
        ("when { !context.conversation.confirmed }", "when { false }", "no-change-without-a-yes"),
        ("context.facts has own && !", "!", "no-rule-fails"),
        (
            "context.facts.amount_cents > context.limits.most_cents",
            "context.facts.amount_cents < context.limits.most_cents",
            "more-money-is-never-easier",
        ),
        (
            "context.facts has own && !context.facts.own",
            'principal.kind == "new" && context.facts has own && !context.facts.own',
            "any-agent-is-judged-alike",
        ),
        (
            "when { context.facts has own && !context.facts.own }",
            'when { context.approvals.contains("operator") }',
            "one-more-approval-is-never-harder",
        ),
        (
            "when { context.facts has own && !context.facts.own }",
            'when { !context.approvals.contains("clerk") }',
            "only-asked-approvals-count",
        ),
    ],
)
def test_each_general_sentence_is_refuted_by_a_policy_that_breaks_it(
    old: str, new: str, broken: str
) -> None:
    assert old in RULES
    found = studied(RULES.replace(old, new))

    by_id = {f.id: f for f in found.findings}
    assert by_id[broken].status is Status.BROKEN
    assert by_id[broken].shown[0].example["answer"]


def test_a_rule_that_can_never_apply_is_named() -> None:
    idle = '@id("idle") @reason("r") forbid(principal, action == Action::"look", resource)'
    body = "when { context.run.steps > 3 && context.run.steps < 2 };"

    found = {f.id: f for f in studied(f"{RULES}\n{idle} {body}").findings}

    assert found["every-rule-can-matter"].status is Status.SILENT
    assert found["every-rule-can-matter"].rules == ("idle",)


@pytest.mark.parametrize(
    ("old", "new", "weaker", "stricter"),
    [
        ("amount_cents > context", "amount_cents >= context", [], ["refund"]),
        ("amount_cents >", "amount_cents > 1 + ", ["refund"], []),
        ('@votes("2")', '@votes("1")', ["refund"], []),
        ("!context.conversation.confirmed", "true", [], ["refund"]),
        ("context.facts has own && !context.facts.own", "false", ["refund"], []),
        ("&& !context.facts.own", "&& context.facts.own", ["refund"], ["refund"]),
        ("!context.facts.own", "(context.facts.own == false)", [], []),
        ("when { resource.listed }", "", ["look", "refund"], []),
    ],
)
def test_a_draft_is_judged_by_what_it_answers(
    old: str, new: str, weaker: list[str], stricter: list[str]
) -> None:
    assert old in RULES
    found = studied(RULES.replace(old, new), before=RULES, sentences=[])

    assert [s.tool for s in found.weaker] == weaker
    assert [s.tool for s in found.stricter] == stricter
    assert not found.undecided


def test_what_is_not_modelled_is_refused_by_name_and_never_proved() -> None:
    rules = RULES + (
        '@id("d") @reason("r") forbid(principal, action == Action::"refund", resource)'
        ' when { decimal("1.0").lessThan(decimal("2.0")) };'
    )

    found = studied(rules, before=RULES)

    assert "decimal" in found.undecided["refund"] or "lessThan" in found.undecided["refund"]
    assert Status.PROVED not in {f.status for f in found.findings if f.id != "no-rule-fails"} - {
        Status.SILENT
    } or all(f.tools == 0 or f.status is not Status.PROVED for f in found.findings)


def test_a_solver_that_is_out_of_time_proves_nothing_and_is_gone() -> None:
    """The clock is the child's: it is killed in the midst of its work."""
    rules, limits, schema = pack("airline")
    started = time.monotonic()

    found = studied(
        rules, sentences=list(DEFAULTS), limits=limits, schema=schema, domain="airline", seconds=0.7
    )

    assert time.monotonic() - started < 10
    assert {f.status for f in found.findings} <= {Status.UNKNOWN, Status.BROKEN}
    assert [f.why for f in found.findings if f.status is Status.UNKNOWN]
    assert not [c for c in psutil.Process().children() if SOLVER in " ".join(_line(c))]


def _line(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.Error:
        return []


def test_a_child_that_takes_too_much_memory_or_dies_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart, "MEMORY", 40 * 2**20)  # too little for its libraries

    said = said_apart(SOLVER, {}, seconds=30)

    assert said == ChildOutput((), said.ended)
    assert said.ended


def test_the_solver_is_in_no_process_of_the_product() -> None:
    """Not in web processes, not in workers: it would cost each of them memory and time."""
    script = (
        "import django, sys; django.setup(); import controltower.urls, apps.runs.tasks,"
        " apps.workers.management.commands.worker, apps.policy.services, apps.policy.urls;"
        " sys.exit('z3' in sys.modules)"
    )
    env = {"DJANGO_SETTINGS_MODULE": "controltower.settings", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=apart.ROOT, env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]
