"""Every field of ``pack.yaml``: who makes it true, and what proves it.

See ``documents.domain.terms``. A pack is applied from files that were reviewed elsewhere: what
changes is told, and a contract that pins something that changed gets a new version. ``TOLD`` are
words for people, ``STATED`` what nobody acts upon yet, as the tool's page says.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.documents.domain.terms import ChangeClass, Enforced

README = "docs/packs.md"


def _by(code: str, test: str, shown: str = README) -> Enforced:
    return Enforced(code, test, shown, ChangeClass.TOLD)


_TOOL = "templates/catalog/tool.html"
ENFORCED: Mapping[str, Enforced] = {
    "domain.slug": _by(
        "apps.catalog.selectors.pinned.beginning",
        "practice/replay/test_mapping.py::test_a_domain_of_the_catalog_is_read_by_its_own_mapping",
    ),
    "server.slug": _by(
        "apps.catalog.adapters.addresses.look_up",
        "catalog/test_applying.py::test_a_server_without_address_is_named_with_what_to_set",
    ),
    "server.protocol": _by(
        "apps.catalog.domain.pack.parse_pack",
        "catalog/domain/test_pack.py::test_there_is_one_protocol",
    ),
    "server.url": _by(
        "apps.catalog.adapters.addresses.look_up",
        "catalog/adapters/test_addresses.py"
        "::test_the_address_of_a_pack_is_known_inside_an_event_loop",
    ),
    "tools.name": _by(
        "apps.calls.executor.ToolClient",
        "calls/executor/test_revisions.py::test_a_tools_name_reaches_the_server_as_it_is",
    ),
    "tools.effect": _by(
        "apps.runs.course.advance_runs",
        "engine/test_pack_terms.py::test_a_tools_effect_decides_which_rules_apply",
        _TOOL,
    ),
    "tools.idempotency": _by(
        "apps.runs.engine.deciding.decided",
        "engine/test_drain.py::test_an_unkeyed_mutation_whose_answer_is_lost_waits_for_a_person",
        _TOOL,
    ),
    "tools.preview": _by(
        "apps.runs.engine.asking.dry_run",
        "engine/test_unknown.py"
        "::test_what_is_not_known_waits_for_a_person_and_nothing_waits_with_it",
        _TOOL,
    ),
    "tools.preview_then": _by(
        "apps.runs.engine.inspecting.later_changes",
        "engine/test_plan.py::test_a_change_that_makes_a_later_one_impossible_is_held_and_says_so",
    ),
    "tools.lookup": _by(
        "apps.catalog.selectors.pinned.look_up_tool",
        "engine/test_tool_errors.py::test_an_error_is_looked_up_before_it_is_believed",
        _TOOL,
    ),
    "tools.sentence": _by(
        "apps.runs.engine.asking.sentence",
        "engine/test_pack_terms.py::test_a_question_is_asked_in_the_tools_words_with_its_amount",
        _TOOL,
    ),
    "tools.amount": _by(
        "apps.runs.engine.asking.asks",
        "engine/test_pack_terms.py::test_a_question_is_asked_in_the_tools_words_with_its_amount",
        _TOOL,
    ),
    "tools.facts": _by(
        "apps.policy.domain.unknown.gaps",
        "oversight/test_gate.py::test_a_change_whose_facts_are_missing_is_asked_of_a_person",
        _TOOL,
    ),
    "tools.input_schema": _by(
        "apps.runs.engine.asking.schema_error",
        "engine/test_drain.py::test_arguments_that_do_not_fit_the_schema_never_reach_the_tool",
        _TOOL,
    ),
    "prompts.slug": _by(
        "apps.runs.engine.asking.think",
        "engine/test_pack_terms.py::test_a_model_is_asked_as_its_agent_says",
    ),
    "prompts.file": _by(
        "apps.runs.engine.asking.think",
        "engine/test_pack_terms.py::test_a_model_is_asked_as_its_agent_says",
    ),
    "agents.slug": _by(
        "apps.catalog.selectors.agent_version",
        "engine/test_model.py::test_the_contracts_fallback_is_asked_when_the_model_fails",
    ),
    "agents.kind": _by(
        "apps.catalog.selectors.pinned.agent_of_kind",
        "engine/test_model.py::test_a_models_tool_calls_are_proposals_that_the_gate_sees",
    ),
    "agents.prompt": _by(
        "apps.runs.engine.asking.think",
        "engine/test_pack_terms.py::test_a_model_is_asked_as_its_agent_says",
    ),
    "agents.model": _by(
        "apps.runs.engine.asking.think",
        "engine/test_pack_terms.py::test_a_model_is_asked_as_its_agent_says",
    ),
    "agents.fallback_models": _by(
        "apps.runs.engine.asking.think",
        "engine/test_pack_terms.py::test_a_model_is_asked_as_its_agent_says",
    ),
    "agents.settings": _by(
        "apps.runs.engine.asking.think",
        "engine/test_pack_terms.py::test_a_model_is_asked_as_its_agent_says",
    ),
    "tool_files": _by(
        "apps.catalog.services.apply_packs",
        "catalog/test_exporting.py::test_a_pack_goes_round",
    ),
    "server_files": _by(
        "apps.catalog.services.apply_packs",
        "catalog/test_tool_servers.py::test_a_server_goes_round_with_its_pack",
    ),
    "model_files": _by(
        "apps.catalog.services.apply_packs",
        "catalog/test_models.py::test_a_model_goes_round_with_its_pack",
    ),
    "agent_files": _by(
        "apps.catalog.services.apply_packs",
        "catalog/test_exporting.py::test_a_pack_goes_round",
    ),
    "policies": _by(
        "apps.catalog.services.apply_packs",
        "engine/test_terms.py::test_the_policy_that_the_contract_names_judges",
    ),
    "jobs": _by(
        "apps.catalog.services.apply_packs",
        "catalog/test_applying.py::test_apply_makes_versioned_rows",
    ),
    "replay.recordings": _by(
        "controltower.practice.replay.mapping.mappings",
        "practice/replay/test_mapping.py::test_a_domain_of_the_catalog_is_read_by_its_own_mapping",
    ),
    "replay.tools": _by(
        "controltower.practice.cases.scripts.recorded_case",
        "practice/replay/test_mapping.py::test_a_domain_of_the_catalog_is_read_by_its_own_mapping",
    ),
    "replay.request": _by(
        "controltower.practice.cases.scripts.recorded_case",
        "practice/replay/test_mapping.py::test_a_domain_of_the_catalog_is_read_by_its_own_mapping",
    ),
    "replay.jobs": _by(
        "apps.catalog.domain.replaying.choose_job",
        "practice/replay/test_mapping.py::test_the_tools_that_a_recording_uses_choose_no_job",
    ),
    "replay.otherwise": _by(
        "apps.catalog.domain.replaying.choose_job",
        "practice/replay/test_mapping.py::test_the_tools_that_a_recording_uses_choose_no_job",
    ),
    "replay.ledger": _by(
        "controltower.practice.replay.running.Replay",
        "practice/replay/test_mapping.py::test_the_ledger_is_asked_of_the_tool_that_the_pack_names",
    ),
}

TOLD = frozenset({"domain.name", "tools.title", "agents.name"})

STATED: Mapping[str, str] = {
    "tools.resource": (
        "What a call is about is told from the ids among its arguments; this is not read yet."
    ),
}
