"""Who may change evidence: nobody by mistake, and not the application at all."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.audit import registry
from apps.audit.domain.guard import Guard
from apps.audit.selectors import guarding
from apps.kernel.models import AppendOnly
from apps.oversight.models import Reversal, Vote
from tests.factories.approvals import ApprovalFactory
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db
GUARDS = registry.guards()


def refuses(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except IntegrityError as error:
        return "append-only" in str(error)
    return False


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.table)
def test_a_table_of_evidence_is_not_emptied_even_by_its_owner(guard: Guard) -> None:
    assert refuses(f"TRUNCATE {guard.table} CASCADE")


def test_each_guarded_table_has_triggers_for_what_is_not_to_be_done() -> None:
    assert [line for line in guarding.weaknesses() if "triggers" in line] == []

    with past_triggers("runs_receipt"):
        off = guarding.weaknesses()

    assert "The triggers that refuse changes are missing or switched off on runs_receipt." in off


def test_whoever_writes_once_is_guarded_or_says_that_it_isnt() -> None:
    tables = {m._meta.db_table for m in apps.get_models() if issubclass(m, AppendOnly)}
    # What may be forgotten some day: texts of conversations and files, not the proof of them.
    forgettable = {"runs_answerbody", "runs_message", "runs_runresult", "runs_ticket"}

    assert tables - {guard.table for guard in GUARDS} == forgettable


def test_votes_are_kept_but_unsigned_ones_go_while_the_question_is_open(people: Any) -> None:
    open_one, decided = ApprovalFactory(), ApprovalFactory(state="approved")
    for approval in (open_one, decided):
        Vote.objects.create(
            approval=approval, user=people["operator"], approve=True, digest="d", nonce="n"
        )

    assert refuses("UPDATE approvals_vote SET approve = false")
    assert refuses(f"DELETE FROM approvals_vote WHERE approval_id = '{decided.pk}'")
    assert Vote.objects.filter(approval=open_one).delete()[0] == 1
    assert refuses("DELETE FROM approvals_approval")


def test_answers_that_were_taken_back_are_kept(people: Any) -> None:
    Reversal.objects.create(
        approval=ApprovalFactory(),
        by=people["operator"],
        decided_by=people["operator2"],
        decided_at=timezone.now(),
        votes=[],
    )

    assert refuses("UPDATE approvals_reversal SET reason = 'I never did'")
    assert refuses("DELETE FROM approvals_reversal")
