"""Every field of a contract: who makes it true, and what proves it.

A field that people read as a promise is somebody's duty. ``ENFORCED`` names the code that would
have to be broken for the promise to break, and the test that would then fail. ``TOLD`` are words
for people, which promise nothing. ``STATED`` are promises that nobody keeps yet: pages say so
beside them. A test fails for a field of the schema that stands in none of the three.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.documents.domain.terms import Enforced

ENFORCED: Mapping[str, Enforced] = {
    "input": Enforced(
        "apps.api.services.running.new_run",
        "api/rest/test_runs.py::test_what_was_refused_may_be_mended_under_the_same_key",
    ),
    "output": Enforced(
        "apps.runs.domain.result.problem",
        "engine/test_results.py::test_a_run_succeeds_only_with_a_result_that_fits",
    ),
    "outcome.success": Enforced(
        "apps.runs.domain.outcome.judge",
        "runs/domain/test_outcome.py::test_a_run_is_judged_by_what_was_really_done",
    ),
    "outcome.when_any_of": Enforced(
        "apps.runs.domain.outcome.judge",
        "runs/domain/test_outcome.py::test_a_wanted_receipt_outweighs_a_refused_extra",
    ),
    "outcome.hand_over": Enforced(
        "apps.runs.domain.outcome.judge",
        "engine/test_handing_over.py::test_a_run_that_hands_over_neither_fails_nor_resolves",
    ),
    "outcome.target": Enforced(
        "apps.outcomes.kpis.target_of",
        "outcomes/test_kpis.py::test_target_is_weighted_by_what_finished_under_each_version",
    ),
    "agent.slug": Enforced(
        "apps.runs.engine.asking.think",
        "engine/test_model.py::test_the_contracts_fallback_is_asked_when_the_model_fails",
    ),
    "agent.fallbacks": Enforced(
        "apps.calls.domain.fallback.choose",
        "engine/test_model.py::test_the_contracts_fallback_is_asked_when_the_model_fails",
    ),
    "agent.timeout_s": Enforced(
        "apps.calls.agents.think",
        "engine/test_terms.py::test_an_agents_turn_takes_no_longer_than_the_contract_allows",
    ),
    "agent.fallback_at": Enforced(
        "apps.calls.domain.fallback.choose",
        "engine/test_fallback.py::"
        "test_when_most_of_a_budget_is_used_the_fallback_serves_and_the_run_says_so",
    ),
    "tools.name": Enforced(
        "apps.oversight.gate.gate_batch",
        "engine/test_drain.py::test_a_tool_outside_the_contract_is_denied_and_the_run_told",
    ),
    "tools.timeout_s": Enforced(
        "apps.calls.executor.ToolClient",
        "engine/test_terms.py::test_a_call_takes_no_longer_than_the_contract_allows",
    ),
    "tools.retry.attempts": Enforced(
        "apps.calls.domain.retry.decide",
        "engine/test_terms.py::test_a_call_is_tried_as_often_as_the_contract_allows",
    ),
    "tools.retry.base_s": Enforced(
        "apps.calls.domain.retry.decide",
        "calls/domain/test_retry.py::test_delays_are_never_negative_nor_absurd",
    ),
    "tools.retry.cap_s": Enforced(
        "apps.calls.domain.retry.decide",
        "calls/domain/test_retry.py::test_delays_are_never_negative_nor_absurd",
    ),
    "tools.concurrency": Enforced(
        "apps.calls.executor.slots.Slots",
        "engine/test_terms.py::test_no_more_calls_are_made_at_once_than_the_contract_allows",
    ),
    "tools.rate_per_minute": Enforced(
        "apps.runs.journal.pressure.part",
        "engine/test_pressure.py::test_a_rate_is_charged_with_the_claim_and_kept_for_all",
    ),
    "tools.repeatable": Enforced(
        "apps.runs.course.advance_runs",
        "engine/test_terms.py::test_the_same_change_is_made_again_only_where_the_contract_says_so",
    ),
    "tools.errors": Enforced(
        "apps.runs.engine.deciding.decided",
        "engine/test_terms.py::test_an_error_means_what_the_contract_says",
    ),
    "tools.compensation": Enforced(
        "apps.runs.services.undo_run",
        "engine/test_undoing.py::test_everything_is_put_back_from_the_last_to_the_first",
    ),
    "limits.deadline_s": Enforced(
        "apps.workers.recovery.end_overdue_runs",
        "engine/test_terms.py::test_a_run_ends_at_the_contracts_deadline",
    ),
    "limits.steps": Enforced(
        "apps.runs.course.advance_runs",
        "engine/test_terms.py::test_a_run_makes_no_more_steps_than_the_contract_allows",
    ),
    "limits.tokens": Enforced(
        "apps.runs.course.advance_runs",
        "engine/test_model.py::test_a_model_that_has_used_its_tokens_up_is_stopped",
    ),
    "limits.cost_usd": Enforced(
        "apps.runs.course.advance_runs",
        "engine/test_terms.py::test_a_run_costs_no_more_than_the_contract_allows",
    ),
    "slo.latency_p95_s": Enforced(
        "apps.outcomes.kpis.time_to_outcome",
        "outcomes/test_kpis.py::test_time_is_held_against_the_strictest_promise",
    ),
    "slo.latency_budget_s": Enforced(
        "apps.runs.selectors.spending.spending",
        "engine/test_fallback.py::test_time_is_a_budget_too",
    ),
    "decisions.policy": Enforced(
        "apps.oversight.gate.gate_batch",
        "engine/test_terms.py::test_the_policy_that_the_contract_names_judges",
    ),
    "decisions.votes": Enforced(
        "apps.oversight.gate.gate_batch",
        "engine/test_terms.py::test_a_held_step_waits_for_as_many_people_as_the_contract_wants",
    ),
    "decisions.window_s": Enforced(
        "apps.oversight.services.asking.request_batch",
        "engine/test_terms.py::test_a_question_is_open_as_long_as_the_contract_says",
    ),
    "decisions.escalation": Enforced(
        "apps.oversight.services.escalating.escalate_due",
        "engine/test_escalating.py::test_it_is_escalated_stays_open_and_ends_with_its_run",
    ),
    "decisions.on_timeout": Enforced(
        "apps.oversight.services.escalating.escalate_due",
        "engine/test_escalating.py::test_it_is_escalated_stays_open_and_ends_with_its_run",
    ),
    "decisions.undo_s": Enforced(
        "apps.oversight.services.undoing.release_due",
        "engine/test_terms.py::test_an_approval_waits_as_long_as_the_contract_lets_it_be_undone",
    ),
    "decisions.approve_reasons": Enforced(
        "apps.oversight.views.sheet.detail",
        "engine/test_terms.py::test_the_reasons_of_the_contract_are_offered",
    ),
    "decisions.reject_reasons": Enforced(
        "apps.oversight.views.sheet.detail",
        "engine/test_terms.py::test_the_reasons_of_the_contract_are_offered",
    ),
    "data.redact": Enforced(
        "apps.calls.services.hiding.taken_in",
        "engine/test_redaction.py::test_what_the_contract_hides_is_found_nowhere",
    ),
    "lane": Enforced(
        "apps.runs.journal.claiming",
        "engine/test_terms.py::test_a_run_is_worked_on_in_the_lane_and_order_of_its_contract",
    ),
    "priority": Enforced(
        "apps.runs.journal.claiming",
        "engine/test_terms.py::test_a_run_is_worked_on_in_the_lane_and_order_of_its_contract",
    ),
    "criticality": Enforced(
        "apps.calls.domain.admission.class_of",
        "calls/domain/test_admission.py::test_a_criticality_names_a_class_that_can_only_be_lowered",
    ),
    "signals": Enforced(
        "apps.evidence.domain.evidence.hearing",
        "engine/test_drain.py::test_a_published_signal_that_cannot_be_tried_has_a_person_asked",
    ),
}

TOLD = frozenset({"job", "name", "owner", "purpose", "failure_modes", "runbook"})

STATED: Mapping[str, str] = {
    "data.contracts": "The data that the job reads is not held against them yet.",
    "data.freshness_s": "The age of data is not looked at yet.",
    "data.classification": "Nothing is kept from anybody or any model for it yet.",
}
