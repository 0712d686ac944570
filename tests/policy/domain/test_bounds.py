"""A text that the parser would die of never gets there; one that is only large is told where."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from apps.policy.adapters import check_policies, rules_of
from apps.policy.domain.bounds import MOST_BYTES, excess

HEAD = "permit(principal, action, resource) when { "


def rule(condition: str) -> str:
    return f"{HEAD}{condition} }};"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (rule("(" * 1500 + "true" + ")" * 1500), "more than 64 levels"),
        (rule("[" * 1500 + "1" + "]" * 1500 + " == [1]"), "more than 64 levels"),
        (rule("{a: " * 1500 + "1" + "}" * 1500 + " == 1"), "more than 64 levels"),
        ("(" * 1500, "more than 64 levels"),
        (rule("(" * 40 + "if [" * 40), "more than 64 levels"),
        (rule(" && ".join(["true"] * 600)), "more than 500 operators"),
        (rule("+".join(["1"] * 600) + " == 1"), "more than 500 operators"),
        (rule("if true then " * 600 + "true" + " else false" * 600), "more than 500 operators"),
        (rule("!" * 600 + "true"), "more than 500 operators"),
        (f"{HEAD}true }}" + " unless { false }" * 600 + ";", "more than 500 operators"),
        (rule("context" + ".a" * 2100), "more than 500 operators"),
        ("permit(principal, action, resource);\n" * 1 + "// " + "é" * MOST_BYTES, "longer than 64"),
        ('@id("' + "x" * MOST_BYTES + '") permit(principal, action, resource);', "longer than 64"),
    ],
)
def test_what_would_end_the_process_is_refused_with_its_place(text: str, says: str) -> None:
    (found,) = check_policies(text, {}, {}, ())

    assert says in found.message
    assert found.fix
    with pytest.raises(ValueError, match=says):
        rules_of(text)


@pytest.mark.parametrize(
    "text",
    [
        rule("(" * 63 + "true" + ")" * 63),
        rule(" && ".join(["true"] * 150)),
        "\n".join([rule(" || ".join(["context.a == 1"] * 200))] * 15),
        rule('"' + "(" * 1500 + '" == "a"'),
        "// " + "(" * 1500 + "\n" + rule("true"),
    ],
)
def test_what_the_parser_takes_is_let_through(text: str) -> None:
    assert excess(text) is None
    assert rules_of(text)


def test_a_chain_that_is_deep_only_for_us_is_a_problem_and_no_crash() -> None:
    text = rule(" && ".join(["true"] * 490))

    assert excess(text) is None
    (found,) = check_policies(text, {}, {}, ())
    assert "too long a chain" in found.message
    with pytest.raises(ValueError, match="too long a chain"):
        rules_of(text)


def test_the_parser_has_room_for_the_largest_text_that_is_let_in() -> None:
    """In a process of its own: were it wrong, no test would be told."""
    inner = " && ".join(["true"] * 7)
    deep = rule(f"({inner} && " * 62 + "true" + ")" * 62)
    assert excess(deep) is None
    code = (
        "import sys, threading, cedarpy\n"
        "def go():\n"
        "    cedarpy.PolicySet.from_str(sys.argv[1]); cedarpy.policies_to_json_str(sys.argv[1])\n"
        "    print('lived')\n"
        "t = threading.Thread(target=go); t.start(); t.join()"
    )
    ended = subprocess.run([sys.executable, "-c", code, deep], capture_output=True, check=False)

    assert ended.stdout == b"lived\n", ended


def test_a_mistake_in_a_long_rule_is_looked_for_in_bounded_time() -> None:
    text = rule("context.x in [" + ", ".join(['"abc"'] * 9000) + ", =]")
    started = time.process_time()

    (found,) = check_policies(text, {}, {}, ())

    assert found.message
    assert time.process_time() - started < 20
