"""Every field of a policy document and every annotation of its rules: who makes it true.

See ``documents.domain.terms``. An annotation stands with its ``@``.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.documents.domain.terms import ChangeClass, Enforced

ENFORCED: Mapping[str, Enforced] = {
    "policy": Enforced(
        "apps.oversight.gate.gate_batch",
        "engine/test_terms.py::test_the_policy_that_the_contract_names_judges",
        "templates/policy/detail.html",
        ChangeClass.TOLD,
    ),
    "limits": Enforced(
        "apps.policy.adapters.Evaluator",
        "policy/test_terms.py::test_a_limit_is_what_rules_compare_with",
        "templates/policy/detail.html",
    ),
    "may_go_without_facts": Enforced(
        "apps.policy.domain.unknown.gaps",
        "policy/test_services.py::test_an_exemption_is_in_force_and_stored_with_the_decision",
        "templates/policy/detail.html",
    ),
    "invariants": Enforced(
        "apps.policy.services.proving.assess",
        "policy/proofs/test_publishing.py::test_a_broken_sentence_needs_two_and_a_reason",
        "templates/policy/_proofs.html",
    ),
    "tests": Enforced(
        "apps.policy.services.publishing.tested",
        "policy/test_cases.py::test_a_failing_test_keeps_a_draft_from_being_published",
        "templates/policy/_proofs.html",
    ),
    "policies": Enforced(
        "apps.policy.adapters.Evaluator",
        "policy/test_adapters.py::test_three_answers",
        "templates/policy/detail.html",
    ),
    "@id": Enforced(
        "apps.policy.domain.rules.read_rule",
        "policy/test_terms.py::test_an_annotation_makes_the_difference_that_it_names",
        "templates/policy/detail.html",
    ),
    "@reason": Enforced(
        "apps.policy.domain.rules.annotation_faults",
        "policy/test_terms.py::test_an_annotation_makes_the_difference_that_it_names",
        "templates/oversight/_review.html",
        ChangeClass.NEUTRAL,
    ),
    "@require_approval": Enforced(
        "apps.policy.domain.decision.roles_to_ask",
        "policy/test_terms.py::test_an_annotation_makes_the_difference_that_it_names",
        "templates/policy/detail.html",
    ),
    "@votes": Enforced(
        "apps.policy.domain.decision.combine",
        "engine/test_terms.py::test_the_larger_number_of_votes_of_policy_and_contract_counts",
        "templates/policy/detail.html",
    ),
    "@risk": Enforced(
        "apps.policy.domain.decision.combine",
        "policy/test_terms.py::test_an_annotation_makes_the_difference_that_it_names",
        "templates/policy/detail.html",
    ),
    "@passkey": Enforced(
        "apps.oversight.services.passkeys.without_passkey",
        "engine/test_passkeys.py::test_without_the_passkey_that_the_policy_asks_for_nothing_runs",
        "templates/policy/detail.html",
    ),
    "@grants": Enforced(
        "apps.oversight.domain.grants.why_never",
        "oversight/test_grants.py::test_a_rule_may_want_a_person_each_time",
        "templates/policy/detail.html",
    ),
}

TOLD = frozenset({"name", "@purpose"})
