from __future__ import annotations

import pytest

from apps.catalog.domain.pack import parse_pack, parse_policy

PACK = """\
domain: {{slug: toys, name: Toys}}
server: {{slug: toys}}
tools:
  - {{name: pay, effect: {effect}{more}}}
"""


def said(effect: str = "write", more: str = "") -> list[str]:
    _, problems = parse_pack(PACK.format(effect=effect, more=more))
    return [f"{p.severity} {p.path}: {p.message} {p.fix}" for p in problems]


@pytest.mark.parametrize("kind", ["bool", "long?", "string?", "set?"])
def test_a_fact_may_be_declared_as_one_that_may_be_absent(kind: str) -> None:
    assert said(more=f", preview: try_it, facts: {{cents: {kind}}}") == []


@pytest.mark.parametrize("kind", ["?", "long ?", "long??", "?long", "integer?"])
def test_another_mark_is_refused(kind: str) -> None:
    assert said(more=f', preview: try_it, facts: {{cents: "{kind}"}}')[0].startswith("error")


def test_facts_that_nobody_can_supply_are_warned_of() -> None:
    (warning,) = said(more=", facts: {cents: long}")

    assert warning.startswith("warning tools[0].facts: “pay” declares facts and no preview")
    assert "Add “preview: <tool name>”" in warning
    assert said("read", ", facts: {cents: long}") == []


def test_a_policy_file_may_name_what_goes_without_facts() -> None:
    text = "policy: a\nname: b\nmay_go_without_facts: {{pay: {why}}}\npolicies: |\n  x\n"

    assert parse_policy(text.format(why="Coins."))[1] == []
    assert parse_policy(text.format(why='""'))[1] != []
    assert parse_policy(text.format(why="[]"))[1] != []


def test_looking_ahead_without_a_preview_is_refused() -> None:
    assert said(more=", preview: try_it, preview_then: true") == []
    (error,) = said(more=", preview_then: true")
    assert "needs a preview tool" in error


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{temperature: 0.5, seed: 7}", ""),
        ("{temperatur: 0.5}", "Did you mean “temperature”?"),
        ("{temperature: 3}", "agents[0].settings.temperature"),
        ("{max_tokens: 0}", "agents[0].settings.max_tokens"),
    ],
)
def test_an_agents_settings_are_those_that_a_model_is_asked_with(settings: str, words: str) -> None:
    agent = f"agents: [{{slug: a, name: A, kind: model, settings: {settings}}}]\n"
    pack, problems = parse_pack(PACK.format(effect="read", more="") + agent)

    assert (pack is None) is bool(words)
    assert words in " ".join(str(p) for p in problems)


def test_there_is_one_protocol() -> None:
    toys = PACK.format(effect="read", more="")

    assert parse_pack(toys.replace("{slug: toys}", "{slug: toys, protocol: mcp}"))[1] == []
    pack, [problem] = parse_pack(toys.replace("{slug: toys}", "{slug: toys, protocol: soap}"))
    assert pack is None
    assert problem.path == "server.protocol"
