"""Tests that stand beside a policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.kernel.errors import InvalidInputError
from apps.policy import selectors, services
from apps.policy.models import PolicySet
from tests.factories.policy import published
from tests.policy.texts import SCHEMA, document

As = Callable[[str], Client]
CASES = """tests:
  - name: Small ones go
    tool: refund
    facts: {amount_cents: 5000, own: true}
    conversation: {confirmed: true}
    expect: permit
    by: [listed]
  - name: Large ones wait
    tool: refund
    facts: {amount_cents: 5001}
    conversation: {confirmed: true}
    expect: hold
    by: [large]
  - name: What nobody knows waits
    tool: refund
    missing: [amount_cents]
    conversation: {confirmed: true}
    expect: hold
    by: [facts-unknown]
  - name: An operator lifts it
    tool: refund
    facts: {amount_cents: 5001}
    conversation: {confirmed: true}
    approvals: [operator]
    expect: permit
  - name: Somebody else's never goes
    tool: refund
    facts: {own: false}
    conversation: {confirmed: true}
    approvals: [operator]
    expect: deny
  - name: Nobody may use what isn't listed
    tool: look
    listed: false
    expect: deny
"""


def with_cases(text: str, cases: str = CASES) -> str:
    return text.replace("policies: |", f"{cases}policies: |")


def problems(cases: str, **changes: Any) -> list[str]:
    text = with_cases(document(**changes), cases)
    return [p.message for p in services.validate(text=text, schema=SCHEMA)]


def test_cases_that_get_what_they_expect_are_no_problem() -> None:
    assert problems(CASES) == []


def test_a_case_that_fails_is_a_problem_at_its_line() -> None:
    text = with_cases(document(most_cents=6_000))

    (problem,) = services.validate(text=text, schema=SCHEMA)

    assert problem.message == (
        "The test “Large ones wait” fails: expected hold by large, got permit by listed."
    )
    assert text.split("\n")[problem.line - 1].strip() == "expect: hold"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{name: a, tool: fly, expect: hold}", "There is no tool “fly”"),
        ("{name: a, tool: refund, facts: {amout: 1}, expect: hold}", "knows no facts “amout”"),
        ("{name: a, tool: refund, missing: [amout], expect: hold}", "knows no fact “amout”"),
        ("{name: a, tool: look, run: {stepps: 1}, expect: permit}", "knows no run “stepps”"),
        ("{name: a, tool: look, run: {steps: many}, expect: permit}", "not of its type, long"),
        ("{name: a, tool: look, expect: maybe}", "doesn't say what to expect"),
        ("{tool: look, expect: permit}", "It has no name"),
        ("{name: a, tool: look, expect: permit, becuase: x}", "“becuase” is not a key"),
        ("{name: a, tool: look, expect: permit, by: listed}", "not a list of names"),
        ("{name: a, tool: look, expect: permit, agent: {nmae: x}}", "An agent has no “nmae”"),
        ("{name: a, tool: look, expect: permit, preview: late}", "only say that it failed"),
        ("{name: a, tool: look, expect: deny, by: [listed]}", "got permit by listed"),
        ("look", "This is no test"),
    ],
)
def test_a_case_that_could_test_nothing_is_refused(entry: str, says: str) -> None:
    assert any(says in message for message in problems(f"tests:\n  - {entry}\n")), problems(
        f"tests:\n  - {entry}\n"
    )


@pytest.fixture
def toys(db: None) -> PolicySet:
    return published("toys", text=with_cases(document()), schema=SCHEMA)


def test_a_failing_test_keeps_a_draft_from_being_published(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    text = with_cases(document(most_cents=6_000))
    draft = services.save_draft(toys, text=text, revision=0, author=people["admin"])

    with pytest.raises(InvalidInputError, match="Large ones wait"):
        services.submit_draft(toys, revision=draft.revision, author=people["admin"], note="why")

    assert selectors.current_version("toys").number == 1  # type: ignore[union-attr]


def test_the_page_shows_tests_and_which_one_fails(
    toys: PolicySet, people: dict[str, Any], client_as: As
) -> None:
    part = client_as("operator").get(reverse("policy:proofs", args=["toys"])).content.decode()
    assert "Somebody else&#x27;s never goes" in part
    assert part.count("passes") == 6
    text = with_cases(document(most_cents=6_000))
    services.save_draft(toys, text=text, revision=0, author=people["admin"])

    draft = client_as("admin").get(reverse("policy:draft_proofs", args=["toys"])).content.decode()

    assert "test fails" in draft
    assert "“Large ones wait” fails" in draft


def test_tests_that_changed_are_told(toys: PolicySet) -> None:
    said = services.check_text(toys, document()).changes

    assert "The test “Large ones wait” is gone" in [c.sentence for c in said]
    assert {c.kind.value for c in said} == {"neutral"}


@pytest.mark.django_db
@pytest.mark.parametrize("domain", ["airline", "retail"])
def test_catalog_check_runs_them(domain: str, tmp_path: Path, capsys: Any) -> None:
    folder = Path("controltower/practice/packs") / domain
    copy = tmp_path / domain
    copytree(folder, copy)
    call_command("catalog", "check", str(copy))
    policy = copy / "policies" / f"{domain}.yaml"
    policy.write_text(policy.read_text().replace("expect: permit", "expect: deny", 1))

    with pytest.raises((CommandError, SystemExit)):
        call_command("catalog", "check", str(copy), "--json")

    assert "expected deny" in json.dumps(capsys.readouterr().out, ensure_ascii=False)
