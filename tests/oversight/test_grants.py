"""Bounded grants: given by two people, used as often as they say and no oftener, and void as soon
as anything that they are bound to is another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Membership, User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.ids import new_id
from apps.ops.selectors import troubles
from apps.oversight import adapters, services
from apps.oversight.gate import GateDecision, GateRequest, gate_batch
from apps.oversight.models import Approval, Grant, GrantUse
from apps.oversight.selectors import past
from apps.oversight.selectors.grants import asked_of_people
from apps.policy import selectors as policies
from tests.factories.accounts import TeamFactory, UserFactory
from tests.factories.approvals import bound, decide
from tests.factories.grants import WHY, confirmed, coverable, given, proposed
from tests.factories.policy import published
from tests.policy.texts import SCHEMA, document, refund
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db
ClientAs = Callable[[str], Client]
OPEN = {"arguments.order_id": ("any", "")}
UNCONFIRMED = {"confirmed": False}


@pytest.fixture
def ann() -> User:
    return UserFactory.create(username="ann", role="operator")


@pytest.fixture
def ben() -> User:
    return UserFactory.create(username="ben", role="operator")


@pytest.fixture
def toys() -> None:
    published("toys", text=document(), schema=SCHEMA)


def at_the_gate(
    order: str = "#A17", *, approval: Approval | None = None, **changes: Any
) -> GateDecision:
    """A refund that a rule holds, since the customer did not clearly say yes."""
    run_id = approval.run_id if approval else new_id()
    arguments = changes.pop("arguments", {"order_id": order})
    binding = {
        **bound(run_id, arguments, shop="main"),
        "tool": "toys/refund",
        "server": "http://toys",
        "policy_digest": policies.current_digest("toys"),
        **changes.pop("bound_to", {}),
    }
    shown = {
        "sentence": "Refund it",
        "preview": {"changes": [{"path": f"/o/{order}", "before": 0, "after": 1}]},
        "domain_slug": "toys",
        "job_slug": "refunds",
        "contract_number": 1,
        "agent_slug": "a",
        "tool_name": "refund",
        "amount_cents": 1_000,
        "arguments": arguments,
        **changes.pop("shown", {}),
    }
    ask = GateRequest(
        step_id=approval.step_id if approval else new_id(),
        run_id=run_id,
        policy_slug="toys",
        request=refund(conversation=UNCONFIRMED, arguments=arguments, **changes.pop("asked", {})),
        binding=lambda: binding,
        question=lambda: shown,
        approval_id=approval.pk if approval else None,
        **changes,
    )
    with transaction.atomic():
        (answer,) = gate_batch([ask])
    return answer


def question(answer: GateDecision) -> Approval:
    return Approval.objects.get(pk=answer.approval_id)


@pytest.fixture
def source(toys: None) -> Approval:
    return question(at_the_gate("#A00"))


@pytest.fixture
def grant(source: Approval, ann: User, ben: User) -> Grant:
    return given(source, ann, ben, opened=OPEN, most_cents=2_000)


def used() -> int:
    return Grant.objects.get().used


# --- given by two ---------------------------------------------------------------------------------


def test_it_covers_nothing_until_another_person_has_confirmed_it(
    source: Approval, ann: User, ben: User
) -> None:
    waiting = proposed(source, ann, opened=OPEN)
    assert question(at_the_gate("#A1")).state == "pending"

    with pytest.raises(NotPermittedError, match="another person"):
        confirmed(waiting, ann)
    assert confirmed(waiting, ben).state == "active"

    covered = question(at_the_gate("#A2"))
    assert (covered.state, covered.decided_by, covered.is_by_grant) == ("approved", None, True)
    assert "a grant of" in covered.reason
    kinds = list(Event.objects.filter(kind__startswith="grant.").values_list("kind", flat=True))
    assert kinds == ["grant.proposed", "grant.confirmed", "grant.used"]


def test_a_reason_says_something(source: Approval, ann: User, ben: User) -> None:
    for nothing in ("", "ok", "x"):
        with pytest.raises(InvalidInputError):
            proposed(source, ann, reason=nothing)
    waiting = proposed(source, ann)
    with pytest.raises(InvalidInputError):
        services.confirm_grant(
            grant_id=waiting.pk, user=ben, digest=_digest(waiting), reason="fine"
        )
    with pytest.raises(ConflictError, match="waits for confirmation"):
        proposed(source, ben)


def _digest(grant: Grant) -> str:
    return services.granting.bounds_of(grant).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"risk": 3},
        {"votes_required": 2},
        {"amount_cents": None},
        {"state": "rejected"},
        {"rules": [{"id": "a-doubt", "reason": "x", "observed": [], "roles": ["operator"]}]},
        {"arguments": {"reservation_id": "Q\u202e1"}},
        {"bound_to": {"edited": {"number": 1}}},
        {"roles": ["admin"]},
    ],
)
def test_none_is_proposed_from_what_a_person_has_to_look_at(
    ann: User, changes: dict[str, Any]
) -> None:
    request = coverable(**changes)
    assert services.why_no_grant(request, ann)
    with pytest.raises(ConflictError):
        proposed(request, ann)
    assert not Grant.objects.exists()


def test_whoever_has_a_part_in_it_neither_proposes_nor_confirms(
    source: Approval, ann: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = proposed(source, ann)
    monkeypatch.setattr(services.parties, "parties_to", lambda _: {"ben": "asked for this run"})
    assert "asked for this run" in services.why_no_grant(source, ben)
    with pytest.raises(NotPermittedError, match="asked for this run"):
        confirmed(waiting, ben)


def test_a_run_of_somebody_who_gave_the_grant_is_not_covered(
    grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.parties, "parties_to", lambda _: {"ann": "asked for this run"})
    assert question(at_the_gate("#A1")).state == "pending"
    assert used() == 0


@pytest.mark.parametrize("change", [{"role": "auditor"}, {"is_active": False}])
def test_it_counts_no_more_once_one_of_them_may_not_decide(
    grant: Grant, change: dict[str, Any]
) -> None:
    covered = question(at_the_gate("#A1"))
    User.objects.filter(username="ann").update(**change)

    assert question(at_the_gate("#A2")).state == "pending"
    assert at_the_gate("#A1", approval=covered).answer == "hold", "what was covered before too"


@pytest.mark.parametrize("giver", ["ann", "ben"])
def test_it_covers_only_what_both_may_decide_by_their_teams(grant: Grant, giver: str) -> None:
    held = question(at_the_gate("#A17"))
    assert held.state == "approved"
    narrow = TeamFactory.create(most_cents=999)
    Membership.objects.filter(user__username=giver).update(team=narrow)

    assert at_the_gate(approval=held).answer == "hold"
    assert question(at_the_gate("#A18")).state == "pending"


def test_nobody_proposes_or_confirms_what_their_teams_do_not_decide(
    source: Approval, ann: User, ben: User
) -> None:
    waiting = proposed(source, ann, opened=OPEN, most_cents=2_000)
    narrow = TeamFactory.create(most_cents=999)
    Membership.objects.filter(user=ben).update(team=narrow)

    with pytest.raises(NotPermittedError, match="Not yours to decide"):
        confirmed(waiting, ben)
    assert "Not yours to decide" in services.why_no_grant(source, ben)


def test_what_was_declined_or_lapsed_is_confirmed_no_more(
    source: Approval, ann: User, ben: User
) -> None:
    waiting = proposed(source, ann)
    services.decline_grant(grant_id=waiting.pk, user=ben, reason="too wide")
    with pytest.raises(ConflictError, match="declined"):
        confirmed(waiting, ben)

    late = proposed(source, ann)
    with past_triggers("approvals_grant"):
        Grant.objects.filter(pk=late.pk).update(lapses_at=timezone.now())
    with pytest.raises(ConflictError, match="over"):
        confirmed(late, ben)
    services.end_grants_due()
    late.refresh_from_db()
    assert late.state in {"ended", "refused"}


# --- use ------------------------------------------------------------------------------------------


def test_each_use_is_an_answer_of_its_own_and_is_carried_out_once(grant: Grant) -> None:
    covered = question(at_the_gate("#A1"))

    assert services.is_signed(covered)
    use = GrantUse.objects.get(approval=covered)
    assert (use.grant_id, use.number, used()) == (grant.pk, 1, 1)
    assert not covered.votes.exists()
    assert at_the_gate("#A1", approval=covered).answer == "permit"
    assert at_the_gate("#A1", approval=covered).answer == "hold", "an answer serves once"


def test_it_is_used_as_often_as_it_says(grant: Grant) -> None:
    states = [question(at_the_gate(f"#A{n}")).state for n in range(1, 6)]
    assert states == ["approved"] * 3 + ["pending"] * 2
    assert (Grant.objects.get().state, used()) == ("used", 3)
    first = Approval.objects.filter(state="approved").order_by("created_at")[0]
    order = first.arguments["order_id"]
    assert at_the_gate(order, approval=first).answer == "permit", "what it covered runs"


OTHERS: dict[str, dict[str, Any]] = {
    "policy": {"bound_to": {"policy_digest": "q" * 64}},
    "contract": {"bound_to": {"contract_digest": "d" * 64}},
    "schema": {"bound_to": {"tool_fingerprint": "g" * 64}},
    "server": {"bound_to": {"server": "http://evil"}},
    "agent": {"bound_to": {"agent": "another:1"}},
    "customer": {"bound_to": {"subject": "eve"}},
    "context": {"bound_to": {"context": {"shop": "other"}}},
    "job": {"shown": {"job_slug": "others"}},
    "version": {"shown": {"contract_number": 2}},
    "amount": {"shown": {"amount_cents": 2_001}},
    "no amount": {"shown": {"amount_cents": None}},
    "one argument more": {"arguments": {"order_id": "#A1", "note": "x"}},
    "another type": {"arguments": {"order_id": 17}},
    "hidden": {"arguments": {"order_id": "#A\u200b1"}},
    "no preview": {"shown": {"preview": {}}},
    "refusal": {"shown": {"preview": {"changes": [], "refusal": "no"}}},
    "another rule": {"asked": {"facts": {"own": True, "amount_cents": 9_000}}},
    "unknown fact": {"asked": {"facts": {"own": True}}},
    "votes": {"votes": 2},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_each_single_thing_that_is_another_is_held(grant: Grant, changes: dict[str, Any]) -> None:
    held = at_the_gate("#A1", **changes)
    assert (held.answer, question(held).state, used()) == ("hold", "pending", 0)


def test_the_same_twice_needs_a_second_look(grant: Grant) -> None:
    assert question(at_the_gate("#A1")).state == "approved"
    assert question(at_the_gate("#A1")).state == "pending"
    assert question(at_the_gate("#A00")).state == "pending", "the request itself waits"
    assert used() == 1


def test_what_was_rejected_is_not_covered(grant: Grant, ann: User) -> None:
    services.revoke_grant(grant_id=grant.pk, user=ann, reason="first a person")
    rejected = question(at_the_gate("#A1"))
    decide(rejected, ann, approve=False)
    again = given(Approval.objects.get(arguments__order_id="#A00"), ann, _ben(), opened=OPEN)

    assert question(at_the_gate("#A1")).state == "pending"
    assert Grant.objects.get(pk=again.pk).used == 0


def _ben() -> User:
    return User.objects.get(username="ben")


def test_what_changed_since_it_was_covered_is_asked_of_people(grant: Grant) -> None:
    covered = question(at_the_gate("#A1"))
    dearer = at_the_gate("#A1", approval=covered, shown={"amount_cents": 1_500})
    assert (dearer.answer, question(dearer).state) == ("hold", "pending")
    assert question(dearer).pk != covered.pk


def test_it_can_be_taken_back_as_an_approval_can(grant: Grant, ann: User) -> None:
    covered = question(at_the_gate("#A1", shown={"undo_s": 30}))
    assert covered.state == "granted"

    services.undo(approval_id=covered.pk, user=ann)

    covered.refresh_from_db()
    assert (covered.state, used()) == ("pending", 1)
    assert covered.reversals.get().decided_by is None
    decide(covered, ann)
    covered.refresh_from_db()
    assert services.is_signed(covered), "a person's own answer now"


def test_once_revoked_nothing_of_it_is_carried_out(grant: Grant, ben: User) -> None:
    covered = question(at_the_gate("#A1"))
    with pytest.raises(InvalidInputError):
        services.revoke_grant(grant_id=grant.pk, user=ben, reason=" ")
    services.revoke_grant(grant_id=grant.pk, user=ben, reason="the parcels arrived")

    covered.refresh_from_db()
    assert covered.state == "void"
    assert at_the_gate("#A1", approval=covered).answer == "hold"
    assert question(at_the_gate("#A2")).state == "pending"
    with pytest.raises(ConflictError, match="revoked"):
        services.revoke_grant(grant_id=grant.pk, user=ben, reason="again")


def test_a_use_that_slipped_past_the_revocation_is_refused_when_it_is_to_be_used(
    grant: Grant,
) -> None:
    covered = question(at_the_gate("#A1"))
    Grant.objects.filter(pk=grant.pk).update(state="revoked")
    assert at_the_gate("#A1", approval=covered).answer == "hold"


def test_its_end_is_the_databases(grant: Grant) -> None:
    covered = question(at_the_gate("#A1"))
    _shift(grant, timedelta(hours=5))
    assert question(at_the_gate("#A2")).state == "pending"
    assert at_the_gate("#A1", approval=covered).answer == "hold"


def _shift(grant: Grant, by: timedelta) -> None:
    with past_triggers("approvals_grant"):
        Grant.objects.filter(pk=grant.pk).update(
            confirmed_at=grant.confirmed_at - by, ends_at=grant.ends_at - by
        )


def test_what_is_published_anew_ends_it_and_says_so(grant: Grant) -> None:
    with transaction.atomic():
        services.void_for_tool("toys", "refund")
    ended = Grant.objects.get()
    assert (ended.state, ended.ended_why) == ("void", "The tool was published anew.")
    told = Event.objects.get(kind="grant.ended").payload
    assert told["why"] == "The tool was published anew."


def test_a_contract_that_is_published_anew_ends_it(grant: Grant) -> None:
    with transaction.atomic():
        services.void_for_job("refunds")
    assert Grant.objects.get().ended_why == "The contract was published anew."
    assert question(at_the_gate("#A1")).state == "pending"


def test_a_policy_that_is_published_anew_ends_it(grant: Grant, monkeypatch: Any) -> None:
    assert services.end_grants_due() == 0
    monkeypatch.setattr(services.granting.policies, "current_digest", lambda _: "new")
    assert services.end_grants_due() == 1
    assert Grant.objects.get().ended_why == "The policy was published anew."


def test_those_whose_time_is_over_are_ended_before_others_are_looked_at(
    source: Approval, ann: User, ben: User
) -> None:
    proposed(source, ann)
    with past_triggers("approvals_grant"):
        Grant.objects.update(lapses_at=timezone.now())
    given(question(at_the_gate("#A01")), ann, ben)

    assert services.end_grants_due(limit=1) == 1


def test_a_rule_may_want_a_person_each_time(ann: User, ben: User) -> None:
    text = document().replace('@reason("No clear yes")', '@reason("No clear yes") @grants("never")')
    published("toys", text=text, schema=SCHEMA)
    held = question(at_the_gate("#A1"))
    assert held.rules[0]["grants"] == "never"
    assert "wants a person each time" in services.why_no_grant(held, ann)


def test_teams_are_held_once_for_all_that_a_batch_covers(
    source: Approval, ann: User, ben: User, monkeypatch: Any
) -> None:
    """All people before all teams: held one grant after the other, whoever changes a role between
    two of them and the batch would wait for each other."""
    held = [question(at_the_gate(order)) for order in ("#A1", "#A2", "#A3")]
    given(source, ann, ben, opened=OPEN, most_cents=2_000)

    holding, of = services.covering.hold_scopes, []
    monkeypatch.setattr(
        services.covering, "hold_scopes", lambda ids: (of.append(ids), holding(ids))
    )

    with transaction.atomic():
        services.cover({row.pk: row.tool_name for row in held})

    assert used() == 3
    assert of == [[ann.pk, ben.pk]]


# --- counted exactly, and not as people's ---------------------------------------------------------


def test_without_an_active_grant_a_batch_costs_one_query(
    source: Approval, ann: User, ben: User, django_assert_num_queries: Any
) -> None:
    proposed(source, ann, opened=OPEN)
    with transaction.atomic(), django_assert_num_queries(1):
        services.cover({new_id(): "refund" for _ in range(50)})
    with transaction.atomic(), django_assert_num_queries(0):
        services.cover({})
    with CaptureQueriesContext(connection) as seen:
        at_the_gate("#A1")
    assert sum('FROM "approvals_grant"' in query["sql"] for query in seen.captured_queries) == 1


def test_uses_are_none_of_peoples_decisions(grant: Grant, source: Approval) -> None:
    covered = question(at_the_gate("#A1"))
    assert set(asked_of_people().values_list("pk", flat=True)) == {source.pk}
    other = question(at_the_gate("#A2", shown={"amount_cents": 9_999}))
    assert covered.pk not in {row.pk for row in past.similar_to(other)}


# --- forged ---------------------------------------------------------------------------------------


def forge(grant: Grant, **columns: Any) -> None:
    with past_triggers("approvals_grant"):
        Grant.objects.filter(pk=grant.pk).update(**columns)


def altered(grant: Grant, **changes: Any) -> dict[str, Any]:
    return {**grant.bounds, **changes}


FORGED: dict[str, Callable[[Grant], dict[str, Any]]] = {
    "amount": lambda g: {"bounds": altered(g, most_cents=10**9)},
    "count": lambda g: {"bounds": altered(g, count=50), "most_uses": 50},
    "count column": lambda g: {"most_uses": 50},
    "end": lambda g: {"ends_at": g.ends_at + timedelta(days=30)},
    "reason": lambda g: {"reason": "another"},
    "signature": lambda g: {"signature": g.proposal_signature},
    "proposal": lambda g: {"proposal_signature": ""},
    "people": lambda g: {"confirmed_by": UserFactory.create(role="operator")},
    "used set back": lambda g: {"used": 0},
}


@pytest.mark.parametrize("how", FORGED.values(), ids=FORGED)
def test_a_grant_that_was_altered_is_refused_and_reported(
    grant: Grant, how: Callable[[Grant], dict[str, Any]]
) -> None:
    first = question(at_the_gate("#A1"))
    assert first.state == "approved"
    grant.refresh_from_db()
    forge(grant, **how(grant))

    assert question(at_the_gate("#A2")).state == "pending"

    refused = Grant.objects.get()
    assert refused.state == "refused"
    assert Event.objects.filter(kind="grant.refused").exists()
    [told] = troubles._forged_grants(None)  # type: ignore[arg-type]  # it looks at rows alone
    assert "was not signed as it stands" in str(told)
    assert at_the_gate("#A1", approval=first).answer == "hold"


def test_the_signatures_of_another_grant_are_none(
    grant: Grant, source: Approval, ann: User, ben: User
) -> None:
    forged = Grant.objects.get()
    forged.pk = new_id()
    forged.bounds = altered(grant, id=str(forged.pk), most_cents=10**8)
    forged.save(force_insert=True)
    Grant.objects.filter(pk=grant.pk).update(state="revoked")

    assert question(at_the_gate("#A1", shown={"amount_cents": 10**7})).state == "pending"
    assert Grant.objects.get(pk=forged.pk).state == "refused"


def test_a_question_that_somebody_marked_as_covered_is_refused(grant: Grant) -> None:
    held = question(at_the_gate("#A1", shown={"amount_cents": 9_999}))
    now = timezone.now()
    GrantUse.objects.create(grant=grant, approval=held, number=2, at=now)
    Approval.objects.filter(pk=held.pk).update(
        state="approved", decided_at=now, signature=grant.signature, key_id=grant.key_id
    )
    again = at_the_gate("#A1", approval=held, shown={"amount_cents": 9_999})
    assert again.answer == "hold"
    held.refresh_from_db()
    assert held.signature_refused_at is not None


def test_a_key_that_was_revoked_ends_it(grant: Grant) -> None:
    covered = question(at_the_gate("#A1"))
    adapters.rotate()
    adapters.revoke(grant.key_id)
    assert question(at_the_gate("#A2")).state == "pending"
    assert Grant.objects.get().state == "refused"
    assert at_the_gate("#A1", approval=covered).answer == "hold"


def test_the_sweep_refuses_what_was_altered_before_anything_fits_it(grant: Grant) -> None:
    forge(grant, bounds={"odd": 1})
    assert services.end_grants_due() == 1
    assert Grant.objects.get().state == "refused"


def test_a_keyless_tower_asks_people_and_accuses_nobody(
    grant: Grant, settings: Any, tmp_path: Any
) -> None:
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "gone" / "ring")
    settings.APPROVAL_KEY_FILE = str(tmp_path / "gone" / "key")
    assert question(at_the_gate("#A1")).state == "pending"
    assert Grant.objects.get().state == "active"


# --- pages ----------------------------------------------------------------------------------------


def squeezed(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_from_the_sheet_to_a_use(source: Approval, client_as: ClientAs, people: Any) -> None:
    client = client_as("operator")
    sheet = squeezed(client.get(f"/approvals/{source.pk}/"))
    assert "Propose a grant" in sheet
    form = squeezed(client.get(f"/approvals/{source.pk}/grant/"))
    assert "arguments.order_id" in form
    names = sorted(services.granting.CoverableCall.of(source).fields)
    typed: dict[str, Any] = {f"takes_{n}": "equal" for n in range(len(names))}
    typed |= {f"values_{n}": "" for n in range(len(names))}
    typed[f"takes_{names.index('arguments.order_id')}"] = "any"
    typed |= {"limit": "20.00", "count": 3, "hours": 2, "reason": WHY}
    at_the_gate("#A9", shown={"amount_cents": 2_001})

    live = squeezed(client.post(f"/approvals/{source.pk}/grant/covers/", typed))
    assert '<strong class="num">0</strong> of 1' in live
    assert "the amount is $20.01" in live
    made = client.post(f"/approvals/{source.pk}/grant/", typed)
    grant = Grant.objects.get()
    assert made.status_code == 302
    own = squeezed(client.get(f"/approvals/grants/{grant.pk}/"))
    assert "another person has to confirm it" in own
    assert "1 grant to confirm" in squeezed(client.get("/approvals/"))

    other = UserFactory.create(role="operator")
    second = Client()
    second.force_login(other, backend="django.contrib.auth.backends.ModelBackend")
    sheet = squeezed(second.get(f"/approvals/grants/{grant.pk}/"))
    assert "any text" in sheet
    assert "up to $20.00" in sheet
    sent = {"digest": _digest(grant), "reason": WHY}
    assert second.post(f"/approvals/grants/{grant.pk}/confirm/", sent).status_code == 302
    covered = question(at_the_gate("#A1"))

    page = squeezed(second.get("/approvals/grants/"))
    assert "1 of 3" in page
    assert f"/approvals/{covered.pk}/" in squeezed(second.get(f"/approvals/grants/{grant.pk}/"))
    sheet = squeezed(second.get(f"/approvals/{covered.pk}/"))
    assert "use 1 of 3 of a grant" in sheet
    assert "the signatures fit the grant of both people" in sheet
    assert "a grant" in squeezed(second.get("/approvals/?tab=decided"))
    ended = second.post(f"/approvals/grants/{grant.pk}/revoke/", {"reason": "enough"})
    assert ended.status_code == 302
    assert "enough" in squeezed(second.get(f"/approvals/grants/{grant.pk}/"))


def test_what_is_wrong_with_the_form_is_said_at_its_field(
    source: Approval, client_as: ClientAs
) -> None:
    client = client_as("operator")
    names = sorted(services.granting.CoverableCall.of(source).fields)
    typed: dict[str, Any] = {f"takes_{n}": "equal" for n in range(len(names))}
    typed |= {"limit": "much", "count": 51, "hours": 25, "reason": "looks good to me"}
    answer = client.post(f"/approvals/{source.pk}/grant/", typed)
    page = squeezed(answer)
    assert answer.status_code == 422
    assert "Write an amount, such as 120.50." in page
    assert "less than or equal to 50" in page
    typed |= {"limit": "20", "count": 5, "hours": 2}
    answer = client.post(f"/approvals/{source.pk}/grant/", typed)
    assert "These words fit any request" in squeezed(answer)
    typed |= {"limit": "1", "reason": WHY}
    assert "It would not cover this very request" in squeezed(
        client.post(f"/approvals/{source.pk}/grant/", typed)
    )
    assert not Grant.objects.exists()


def test_whoever_only_reads_sees_and_can_do_nothing(grant: Grant, client_as: ClientAs) -> None:
    client = client_as("auditor")
    assert client.get("/approvals/grants/").status_code == 200
    page = squeezed(client.get(f"/approvals/grants/{grant.pk}/"))
    assert "Revoke" not in page
    for what in ("revoke", "decline", "confirm"):
        assert client.post(f"/approvals/grants/{grant.pk}/{what}/").status_code == 403


def test_a_grant_that_cannot_be_read_is_drawn(grant: Grant, client_as: ClientAs) -> None:
    forge(grant, bounds=[1])
    client = client_as("operator")
    assert client.get("/approvals/grants/").status_code == 200
    assert "be read any more" in squeezed(client.get(f"/approvals/grants/{grant.pk}/"))


def test_a_proposal_is_drawn_and_can_be_declined_where_the_keys_cannot_be_read(
    source: Approval, ann: User, client_as: ClientAs, settings: Any, tmp_path: Any
) -> None:
    waiting = proposed(source, ann)
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "gone" / "ring")
    settings.APPROVAL_KEY_FILE = str(tmp_path / "gone" / "key")
    client, url = client_as("operator"), f"/approvals/grants/{waiting.pk}/"

    shown = client.get(url)
    assert shown.status_code == 200
    assert "Nobody can check here who signed it" in squeezed(shown)
    sent = client.post(f"{url}confirm/", {"digest": _digest(waiting), "reason": WHY})
    assert sent.status_code == 503
    assert "Nobody can check here who signed it" in squeezed(sent)
    assert client.post(f"{url}decline/", {"reason": "too wide"}).status_code == 302
    assert Grant.objects.get().state == "declined"
