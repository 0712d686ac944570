"""The packs of this repository: every document reads without a remark and names what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apps.catalog.domain.contract import CheckContext, Contract, parse
from apps.catalog.domain.entries import sentence_problems
from apps.catalog.domain.pack import Pack, parse_pack
from controltower.practice.world.companies import COMPANIES
from controltower.practice.world.schemas import parameters

PACKS = Path(__file__).parents[3] / "controltower" / "practice" / "packs"
DOMAINS = ("airline", "retail")
SHARED = {"calculate", "think", "transfer_to_human_agents"}


def pack_of(domain: str) -> Pack:
    pack, problems = parse_pack((PACKS / domain / "pack.yaml").read_text(encoding="utf-8"))
    assert not problems, [str(problem) for problem in problems]
    assert pack is not None
    return pack


def contract_of(domain: str, file: str) -> Contract:
    pack = pack_of(domain)
    known = CheckContext(
        tools={tool["name"]: tool["effect"] for tool in pack.tools},
        agents=frozenset(agent["slug"] for agent in pack.agents),
        policies=frozenset({domain}),
    )
    parsed = parse((PACKS / domain / file).read_text(encoding="utf-8"), known)
    assert not parsed.problems, [str(problem) for problem in parsed.problems]
    assert parsed.contract is not None
    return parsed.contract


def jobs() -> list[tuple[str, str]]:
    return [
        (domain, f"jobs/{path.name}")
        for domain in DOMAINS
        for path in sorted((PACKS / domain / "jobs").glob("*.yaml"))
    ]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_pack_has_every_tool_of_its_company(domain: str) -> None:
    tools = {tool["name"]: tool for tool in pack_of(domain).tools}
    company = COMPANIES[domain]
    assert set(tools) == set(company.functions)
    mutating = {name for name, t in tools.items() if t["effect"] in ("write", "irreversible")}
    assert mutating == set(company.mutating)
    assert {t["idempotency"] for n, t in tools.items() if n in mutating} == {"keyed"}
    assert tools["transfer_to_human_agents"]["effect"] == "draft"


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_sentence_names_only_arguments_and_declared_facts(domain: str) -> None:
    pack = pack_of(domain)
    for index, tool in enumerate(pack.tools):
        schema = parameters(domain, tool["name"])
        assert tool["sentence"]
        assert not sentence_problems(pack.source, ("tools", index), tool, schema)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_pack_lists_the_jobs_and_prompts_that_lie_in_it(domain: str) -> None:
    pack = pack_of(domain)
    folder = PACKS / domain
    listed = {entry.file for entry in pack.jobs}
    assert listed == {f"jobs/{path.name}" for path in (folder / "jobs").glob("*.yaml")}
    assert all((folder / entry.file).read_text(encoding="utf-8") for entry in pack.prompts)
    assert {agent["kind"] for agent in pack.agents} == {"reference", "recorded", "model"}


@pytest.mark.parametrize(("domain", "file"), jobs())
def test_a_contract_is_complete(domain: str, file: str) -> None:
    contract = contract_of(domain, file)
    assert contract.job == f"{domain}-{Path(file).stem}"
    assert contract.decisions.policy == domain
    assert contract.decisions.window_s <= contract.limits.deadline_s
    assert contract.decisions.escalation
    assert contract.decisions.on_timeout == "reject"
    assert contract.signals
    assert contract.runbook
    assert len(contract.failure_modes) >= 3
    assert all(mode.sign and mode.response for mode in contract.failure_modes)


@pytest.mark.parametrize(("domain", "file"), jobs())
def test_a_job_may_read_everything_and_change_what_makes_it_succeed(domain: str, file: str) -> None:
    contract = contract_of(domain, file)
    company = COMPANIES[domain]
    reads = set(company.functions) - set(company.mutating)
    assert reads | SHARED <= set(contract.tool_names)
    changing = set(contract.tool_names) & set(company.mutating)
    assert set(contract.outcome.when_any_of) <= changing
    assert bool(contract.outcome.when_any_of) == bool(changing)
    assert contract.outcome.hand_over == ("transfer_to_human_agents",)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_jobs_of_a_domain_cover_its_tools_and_share_their_signals(domain: str) -> None:
    contracts = [contract_of(d, file) for d, file in jobs() if d == domain]
    single = [c for c in contracts if c.job != f"{domain}-mixed-request"]
    assert set().union(*(c.tool_names for c in single)) == set(COMPANIES[domain].functions)
    assert all(c.signals == contracts[0].signals for c in contracts)


def heard(domain: str, words: str) -> set[str]:
    signals = contract_of(domain, "jobs/mixed-request.yaml").signals
    return {name for name, pattern in signals.items() if re.search(pattern, words)}


@pytest.mark.parametrize(
    ("domain", "words", "signals"),
    [
        ("airline", "I'm sick, and my flight was delayed", {"health_or_weather", "airline_fault"}),
        ("airline", "My plans have changed", {"change_of_plan"}),
        ("airline", "I'll want some compensation", {"compensation_asked"}),
        ("airline", "I'll take the 9 am one, thanks", set()),
        ("airline", "There was a death in the family", {"bereavement"}),
        ("retail", "I no longer need it", {"no_longer_needed"}),
        ("retail", "Ordered by mistake", {"by_mistake"}),
        ("retail", "I moved, it is for my friend's order", {"moved_house", "someone_elses_order"}),
        ("retail", "Yes, please", set()),
    ],
)
def test_signals_are_heard_in_the_customers_words(
    domain: str, words: str, signals: set[str]
) -> None:
    assert heard(domain, words) == signals
