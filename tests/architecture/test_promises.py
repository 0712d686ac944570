"""What pages promise in so many words, and the tests that prove it.

A sentence of a template with one of the words below is a promise. It stands in ``PROMISES`` with
the test that fails when it is broken, or in ``PLAIN``, where it promises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.architecture.test_terms import assert_test

TEMPLATES = Path(settings.BASE_DIR) / "templates"
WORDS = re.compile(
    r"\b(never|always|at most|signed|signature|guarantee\w*|hidden from|happens once|by itself"
    r"|for good|whatever|this once|no rule lets|twice)\b",
    re.IGNORECASE,
)
PROMISES: dict[tuple[str, str], str] = {
    ("503.html", "is picked up by itself"): (
        "engine/test_kills.py::test_killed_workers_lose_nothing_and_double_nothing"
    ),
    ("accounts/services.html", "shown this once"): (
        "accounts/test_services_page.py::test_a_token_is_made_shown_once_and_works"
    ),
    ("accounts/users.html", "shown this once"): (
        "accounts/test_enrolment.py::test_an_admin_makes_an_account_and_sees_its_link_once"
    ),
    ("accounts/codes.html", "shown this once"): (
        "accounts/test_factors.py::test_a_recovery_code_counts_once"
    ),
    ("accounts/locked.html", "15 minutes at most"): (
        "accounts/test_doors.py::test_the_wait_doubles_to_a_quarter_of_an_hour_and_trying_does_not_lengthen_it"
    ),
    ("oversight/_after.html", "The run resumes by itself"): (
        "engine/test_drain.py::test_an_approved_step_resumes_by_itself_and_uses_its_approval_up"
    ),
    ("oversight/_snooze.html", "Hidden from your queue until"): (
        "oversight/test_snoozing.py::test_it_leaves_ones_own_queue_and_nobody_elses"
    ),
    ("oversight/_review.html", "the signature fits this answer"): (
        "oversight/test_views.py::test_a_signature_is_checked_before_the_page_says_so"
    ),
    ("oversight/_review.html", "signed with a passkey"): (
        "oversight/test_passkeys.py::test_the_sheet_says_that_it_is_signed_and_by_whom_it_was"
    ),
    ("oversight/_review.html", "the answer signed by your own device"): (
        "oversight/test_passkeys.py::test_without_it_nothing_is_recorded"
    ),
    ("oversight/_review.html", "the signature was not checked"): (
        "oversight/test_views.py::test_a_signature_is_checked_before_the_page_says_so"
    ),
    ("oversight/_review.html", "the signature proves nothing"): (
        "oversight/test_views.py::test_a_page_says_what_a_revoked_or_an_older_signature_proves"
    ),
    ("oversight/_review.html", "before votes were signed each"): (
        "oversight/test_views.py::test_a_page_says_what_a_revoked_or_an_older_signature_proves"
    ),
    ("oversight/_review.html", "The signature does not fit"): (
        "oversight/test_views.py::test_a_signature_is_checked_before_the_page_says_so"
    ),
    ("ops/audit.html", "What is signed outside the database would show it"): (
        "audit/test_verifying.py::test_it_is_found_from_the_file_alone"
    ),
    ("ops/_verified.html", "Whatever it covers"): (
        "audit/test_verifying.py::test_each_way_of_rewriting_is_found_at_its_place"
    ),
    ("catalog/job.html", "at most … steps"): (
        "engine/test_terms.py::test_a_run_makes_no_more_steps_than_the_contract_allows"
    ),
    ("catalog/job.html", "It is never approved by itself"): (
        "oversight/test_escalating.py::test_the_deadline_rejects_it_and_nobody_can_answer_then"
    ),
    ("catalog/tool.html", "it happens once"): (
        "engine/test_drain.py::test_a_keyed_mutation_survives_an_error_of_the_server"
    ),
    ("dashboards/_needs.html", "What arrives appears here by itself"): (
        "e2e/test_live.py::test_without_a_socket_the_page_asks_every_five_seconds"
    ),
    ("dashboards/_outcomes.html", "Refresh by itself"): (
        "e2e/test_dashboards.py::test_the_page_refreshes_itself_and_keeps_what_is_open"
    ),
    ("policy/detail.html", "a hard rule stops it for good"): (
        "policy/test_adapters.py::test_three_answers"
    ),
    ("policy/index.html", "a hard rule stops it for good"): (
        "policy/test_adapters.py::test_three_answers"
    ),
    ("policy/detail.html", "No rule lets a change through"): (
        "policy/domain/test_unknown.py::test_no_rule_can_lift_the_hold"
    ),
    ("ops/_breaker_states.html", "At most two calls go through"): (
        "runs/test_breakers.py::test_workers_that_ask_at_once_never_send_more_than_two_probes"
    ),
    ("ops/_lineage.html", "is inherited, never done again"): (
        "engine/test_forking.py::test_a_branch_takes_its_past_over_and_does_nothing_of_it_again"
    ),
    ("ops/fork.html", "never made twice"): (
        "engine/test_forking.py::test_branches_that_race_for_one_change_cause_it_once"
    ),
    ("ops/fork.html", "whatever is published later"): (
        "catalog/test_drafts.py::test_a_running_contract_keeps_its_version"
    ),
    ("ops/_load.html", "never shed"): (
        "calls/domain/test_admission.py::test_undoing_and_approved_work_is_always_taken_in"
    ),
    ("ops/_load_tools.html", "at most what the contract says"): (
        "engine/test_terms.py::test_no_more_calls_are_made_at_once_than_the_contract_allows"
    ),
    ("ops/_reconcile.html", "by itself"): (
        "engine/test_tool_errors.py::test_a_lost_call_is_looked_up_until_its_server_is_back"
    ),
    ("ops/_unknown.html", "It is never tried again by itself"): (
        "engine/test_drain.py::test_an_unkeyed_mutation_whose_answer_is_lost_waits_for_a_person"
    ),
}
PLAIN = {
    ("404.html", "It may never have existed"),
    ("accounts/services.html", "never"),  # used
    ("accounts/services.html", "At most"),  # a heading of what a token may do
    ("api/_duties.html", "never"),  # done yet
    ("api/_system.html", "never heard of"),
    ("oversight/_review.html", "Signed with key"),  # and then, what was checked
    ("catalog/_servers.html", "never"),  # asked yet
    ("ops/_breaker.html", "It has never opened"),
    ("ops/_step.html", "The tool was never called"),
    ("ops/_unknown.html", "the tool never answered"),
}


def sentences() -> Iterator[tuple[str, str]]:
    """(template, sentence) of every text with one of the words."""
    for path in sorted(TEMPLATES.rglob("*.html")):
        text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "…", text, flags=re.DOTALL)
        text = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
        text = re.sub(r"\s+", " ", text)  # a sentence goes on in the next line
        for line in re.split(r"<[^>]*>|(?<=[.!?]) ", text):
            if WORDS.search(line):
                yield str(path.relative_to(TEMPLATES)), line.strip()


SENTENCES = list(sentences())


def test_every_promise_has_its_proof() -> None:
    known = {*PROMISES, *PLAIN}
    unproven = [
        (template, said)
        for template, said in SENTENCES
        if not any(template == place and words in said for place, words in known)
    ]
    assert unproven == [], "name the test that proves it, or say it otherwise"


def test_no_proof_is_kept_of_what_is_promised_no_more() -> None:
    gone = [
        (place, words)
        for place, words in {*PROMISES, *PLAIN}
        if not any(template == place and words in said for template, said in SENTENCES)
    ]
    assert gone == []


@pytest.mark.parametrize("test", sorted(set(PROMISES.values())))
def test_the_proof_is_there(test: str) -> None:
    assert_test(test)
