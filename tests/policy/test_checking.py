"""What somebody wrote is parsed in a process of its own before this one parses it."""

from __future__ import annotations

import time

import cedarpy
import pytest

from apps.policy import services
from apps.policy.adapters import check_policies, checking
from apps.policy.adapters.checking import checked_apart
from tests.policy.texts import RULES, SCHEMA, document

LIMITS = {"most_cents": 5_000}
ROLES = ("operator",)
HEAD = "permit(principal, action, resource) when { "


def rule(condition: str) -> str:
    return f"{HEAD}{condition} }};"


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    checking._checked.cache_clear()


def test_it_says_what_is_wrong_as_this_process_would() -> None:
    unknown = rule("context.facts has nothing_known")
    for rules in (RULES, RULES.replace("most_cents", "least_cents"), "permit(", unknown):
        assert checked_apart(rules, LIMITS, SCHEMA, ROLES) == check_policies(
            rules, LIMITS, SCHEMA, ROLES
        )


HOSTILE = {
    "parentheses": rule("(" * 1_500 + "true" + ")" * 1_500),
    "very many parentheses": rule("(" * 30_000 + "true" + ")" * 30_000),
    "64 kB of !": rule("!" * (64 * 1024 - 100) + "true"),
    "a chain of &&": rule(" && ".join(["true"] * 10_000)),
    "a chain of +": rule("+".join(["1"] * 20_000) + " == 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_that_ends_the_parser_ends_its_process_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the bounds let all through, so that each gets to the parser."""
    monkeypatch.setattr(checking, "CHILD", "tests.policy.unbounded")
    started = time.monotonic()

    found = checked_apart(HOSTILE[name], LIMITS, SCHEMA, ROLES)

    assert found
    assert found[0].message
    assert time.monotonic() - started < checking.SECONDS + 10


def test_one_that_ends_it_is_a_problem_of_the_text_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checking, "CHILD", "tests.policy.unbounded")
    (found,) = checked_apart(HOSTILE["very many parentheses"], LIMITS, SCHEMA, ROLES)

    assert found.message == "The rules can't be read: it ended with -11."
    assert found.is_error
    monkeypatch.undo()
    (found,) = checked_apart(HOSTILE["very many parentheses"], LIMITS, SCHEMA, ROLES)
    assert "more than 64 levels deep" in found.message


def test_one_that_takes_too_long_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "SECONDS", 0.01)

    (found,) = checked_apart(RULES, LIMITS, SCHEMA, ROLES)

    assert found.message == "The rules can't be read: it was not done within 0.01 s."


def test_a_draft_is_parsed_there_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed_here(text: str) -> None:
        raise AssertionError("this process parsed it")

    monkeypatch.setattr(cedarpy.PolicySet, "from_str", parsed_here)
    monkeypatch.setattr(cedarpy, "policies_to_json_str", parsed_here)

    assert services.validate(text=document(), schema=SCHEMA) == []
    with pytest.raises(AssertionError, match="this process parsed it"):
        check_policies(RULES, LIMITS, SCHEMA, ROLES)


def test_a_text_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert services.validate(text=document(), schema=SCHEMA) == []
    monkeypatch.setattr(checking, "said_apart", None)

    assert services.validate(text=document(), schema=SCHEMA) == []
