from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.policy.domain.document import read_document
from tests.policy.texts import RULES, document


def test_a_document_is_read_with_the_place_of_its_rules() -> None:
    found, problems = read_document(document())

    assert problems == []
    assert found is not None
    assert (found.slug, found.name, found.limits) == ("toys", "Toys", {"most_cents": 5_000})
    assert found.policies.rstrip() == RULES.rstrip()
    assert found.position(1, 1) == (6, 3)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("- a\n- b", 1, "group of keys"),
        ("policy: [", 1, "YAML"),
        ("policy: a\nname: b\n", 1, "policies"),
        ("policy: a\nname: b\npolicies: permit(principal, action, resource);", 3, "literal block"),
        ("policy: a\nname: b\nlimit: 3\npolicies: |\n  x", 3, "limit"),
        ("policy: a\nname: b\nlimits:\n  x: 1.5\npolicies: |\n  x", 4, "whole number"),
        ("policy: a\nname: b\nlimits:\n  x: yes\npolicies: |\n  x", 4, "whole number"),
        ("policy: a\nname: b\nlimits: 3\npolicies: |\n  x", 3, "group"),
        ("policy: a\nname: b\nlimits: {a b: 1}\npolicies: |\n  x", 3, "name"),
        ("policy: a\nname: b\nmay_go_without_facts: [x]\npolicies: |\n  x", 3, "group"),
        ("policy: a\nname: b\nmay_go_without_facts: {x: }\npolicies: |\n  x", 3, "reason"),
        ("policy: a\npolicy: c\nname: b\npolicies: |\n  x", 2, "policy"),
        ("policy: 3\nname: b\npolicies: |\n  x", 1, "text"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, said: str) -> None:
    _, problems = read_document(text)

    assert [p.line for p in problems] == [line], problems
    assert said in f"{problems[0].path} {problems[0].message}", problems


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    found, problems = read_document(text)

    assert found is not None or problems
