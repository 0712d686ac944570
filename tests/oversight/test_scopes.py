"""What a person may decide: refused at every door, asked again at the answer's use, and seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.domain.standing import Standing
from apps.accounts.domain.teams import TeamScope
from apps.accounts.models import Membership, Team, User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.ops.selectors import health, troubles
from apps.oversight import selectors, services
from apps.oversight.domain.ladder import UNDECIDABLE
from apps.oversight.models import Approval, Escalation, Vote
from apps.oversight.selectors.scopes import matter_of, undecidable, within
from apps.oversight.services.together import answer_table, give_table
from tests.conftest import BACKEND
from tests.factories.accounts import TeamFactory, UserFactory
from tests.factories.approvals import EACH_ITS_JOB, ApprovalFactory, decide, has_read
from tests.factories.policy import published
from tests.oversight.test_escalating import waiting
from tests.oversight.test_gate import KNOWN, Step, approve
from tests.oversight.test_views import HTMX, sentences, text
from tests.policy.texts import SCHEMA, document
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db
People = dict[str, User]
ClientAs = Callable[[str], Client]
# A request is about airline, refund of $1,240.00, at risk 2 (see ApprovalFactory).
IN = (
    {},
    {"domains": ["airline"]},
    {"jobs": ["airline-cancel-reservation"]},
    {"most_cents": 124_000},
    {"highest_risk": 2},
    {"domains": ["retail", "airline"], "most_cents": 200_000, "highest_risk": 4},
)
OUT = (
    {"domains": ["retail"]},
    {"jobs": ["another"]},
    {"most_cents": 123_999},
    {"highest_risk": 1},
    {"domains": ["airline"], "jobs": ["another"]},
    {"domains": ["airline"], "most_cents": 5},
)


def member(*bounds: dict[str, Any], leads: bool = False, **more: Any) -> User:
    """An operator in teams with these bounds, and in no other."""
    user = UserFactory.create(teams=[], **more)
    for bound in bounds:
        Membership.objects.create(team=TeamFactory.create(**bound), user=user, leads=leads)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def bound(user: User, **changes: Any) -> None:
    """Give all teams of a person other bounds."""
    Team.objects.filter(memberships__user=user).update(**changes)


# --- the doors ------------------------------------------------------------------------------------


def _decide(answer: str) -> Callable[[Client, Approval, User], Any]:
    def send(client: Client, approval: Approval, user: User) -> Any:
        has_read(approval, user)
        given = {"answer": answer, "reason": "Fare rules", "digest": approval.digest}
        given["nonce"] = "nonce-12345"
        return client.post(f"/approvals/{approval.pk}/decide/", given, headers=HTMX)

    return send


def _claim(client: Client, approval: Approval, user: User) -> Any:
    return client.post(f"/approvals/{approval.pk}/claim/", headers=HTMX)


def _delegate(client: Client, approval: Approval, user: User) -> Any:
    to = UserFactory.create()  # who may decide everything
    given = {"to_id": to.pk, "note": "You know her", "seen": 0}
    return client.post(f"/approvals/{approval.pk}/delegate/", given, headers=HTMX)


def _edit(client: Client, approval: Approval, user: User) -> Any:
    """By the service: what is proposed anew belongs to a run."""
    try:
        services.edit(
            approval_id=approval.pk,
            user=user,
            arguments={"reservation_id": "OTHER"},
            reason="The other one",
            digest=approval.digest,
        )
    except NotPermittedError:
        return 403
    except ConflictError:  # let through, to a step that there isn't
        return 200
    return 200


DOORS: dict[str, Callable[[Client, Approval, User], Any]] = {
    "approve": _decide("approve"),
    "reject": _decide("reject"),
    "claim": _claim,
    "delegate": _delegate,
    "edit": _edit,
}
CASES = [(True, bounds) for bounds in IN] + [(False, bounds) for bounds in OUT]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_each_door_opens_to_whom_a_team_lets_through_and_to_nobody_else(
    door: str, case: int
) -> None:
    may, bounds = CASES[case]
    approval, user = ApprovalFactory.create(), member(bounds)

    response = DOORS[door](client_of(user), approval, user)

    status = response if isinstance(response, int) else response.status_code
    assert status == (200 if may else 403)
    approval.refresh_from_db()
    if not may:
        assert (approval.state, approval.claimed_by) == ("pending", None)
        assert not Vote.objects.exists()
        assert not Event.objects.filter(subject_id=str(approval.pk)).exists()
        if door != "edit":
            assert "Not yours to decide, and nobody else" in text(
                response
            ) or "decides this" in text(response)


def test_somebody_in_no_team_decides_nothing() -> None:
    user, approval = member(), ApprovalFactory.create()

    with pytest.raises(NotPermittedError, match="Not yours to decide"):
        decide(approval, user)
    with pytest.raises(NotPermittedError):
        decide(approval, user, approve=False)


def test_two_teams_never_mix() -> None:
    retail = {"domains": ["retail"], "most_cents": 10**9}
    small = {"domains": ["airline"], "most_cents": 500}
    user = member(retail, small)

    with pytest.raises(NotPermittedError):
        decide(ApprovalFactory.create(), user)
    assert decide(ApprovalFactory.create(amount_cents=-500), user).state == "approved"
    assert decide(ApprovalFactory.create(domain_slug="retail"), user).state == "approved"


def test_an_amount_that_is_not_known_is_nobodys_with_a_bound() -> None:
    approval = ApprovalFactory.create(amount_cents=None)

    with pytest.raises(NotPermittedError):
        decide(approval, member({"most_cents": 10**15}))
    assert decide(approval, member({"domains": ["airline"]})).state == "approved"


def test_it_is_delegated_only_to_whose_teams_decide_it(people: People) -> None:
    approval, other = ApprovalFactory.create(), member({"domains": ["retail"]}, username="rita")

    with pytest.raises(InvalidInputError, match="No team of rita decides it") as refused:
        services.delegate(
            approval_id=approval.pk,
            user=people["operator"],
            to_id=other.pk,
            note="You know her",
            seen=0,
        )
    assert refused.value.detail["field"] == "to"
    page = text(client_of(people["operator"]).get(f"/approvals/{approval.pk}/"))
    assert ">operator2<" in page
    assert ">rita<" not in page


def test_an_approval_is_taken_back_only_by_whose_teams_decide_it(people: People) -> None:
    approval = ApprovalFactory.create(undo_s=60)
    decide(approval, people["operator"], page=services.PageAnswer())

    with pytest.raises(NotPermittedError):
        services.undo(approval_id=approval.pk, user=member({"most_cents": 5}))
    assert services.undo(approval_id=approval.pk, user=people["operator2"]).pk == approval.pk


def test_a_table_leaves_out_what_is_not_ones_to_decide() -> None:
    small = ApprovalFactory.create(amount_cents=500)
    large = ApprovalFactory.create(amount_cents=600)
    user = member({"most_cents": 500})

    table = give_table(approval_id=small.pk, user=user)

    why = dict(table.rows.values_list("approval", "singly"))
    assert why[small.pk] == ""
    assert why[large.pk].startswith("Not yours to decide")


def test_a_row_that_left_ones_scope_since_the_table_was_given_is_refused_alone() -> None:
    user = member({"domains": ["airline", "retail"]})
    rows = [ApprovalFactory.create(amount_cents=500, risk=1) for _ in range(2)]
    table = give_table(approval_id=rows[0].pk, user=user)
    bound(user, most_cents=1)

    done = answer_table(
        table_id=table.pk,
        user=user,
        approve=False,
        reason="Not now",
        chosen=[row.pk for row in rows],
    )

    assert {row.result for row in done.rows.all()} == {"team"}
    assert {a.state for a in Approval.objects.all()} == {"pending"}


# --- when it is used ------------------------------------------------------------------------------


def used(approval: Approval) -> bool:
    with transaction.atomic():
        return services.consume(approval.pk, approval.digest)


@pytest.mark.parametrize(
    "changes",
    [{"domains": ["retail"]}, {"jobs": ["x"]}, {"most_cents": 1}, {"highest_risk": 1}],
)
def test_a_vote_of_somebody_who_may_no_longer_decide_it_is_not_counted(
    changes: dict[str, Any],
) -> None:
    approval, user = ApprovalFactory.create(), member({})
    decide(approval, user)
    bound(user, **changes)

    assert not used(approval)
    bound(user, domains=[], jobs=[], most_cents=None, highest_risk=None)
    assert used(approval)


def test_nor_of_somebody_who_left_the_team() -> None:
    approval, user = ApprovalFactory.create(), member({})
    decide(approval, user)
    user.memberships.all().delete()

    assert not used(approval)


def test_two_votes_need_two_who_may() -> None:
    approval, one, two = ApprovalFactory.create(votes_required=2), member({}), member({})
    decide(approval, one)
    assert decide(approval, two).state == "approved"
    bound(one, most_cents=1)

    assert not used(approval)


def test_people_are_asked_again_and_told_why(people: People) -> None:
    published("toys", text=document(), schema=SCHEMA)
    step, user = Step(), member({}, username="rita")
    held = step.at_the_gate(facts=KNOWN, conversation={}, amount_cents=1_000)
    approve(held.approval_id, user)
    bound(user, most_cents=999)

    again = step.at_the_gate(
        facts=KNOWN, conversation={}, amount_cents=1_000, approval_id=held.approval_id
    )

    assert again.answer == "hold"
    asked = Approval.objects.get(pk=again.approval_id)
    assert asked.pk != held.approval_id
    assert "no team of rita, who had answered" in asked.rules[0]["reason"]
    approve(asked.pk, people["operator"])
    assert (
        step.at_the_gate(
            facts=KNOWN, conversation={}, amount_cents=1_000, approval_id=asked.pk
        ).answer
        == "permit"
    )


# --- seen -----------------------------------------------------------------------------------------


def test_sql_and_domain_agree_on_what_a_scope_covers() -> None:
    for domain, job, cents, risk in itertools.product(
        ("airline", "retail"), ("a", "b"), (None, 0, 500, -500, 501, -501), (1, 3)
    ):
        ApprovalFactory.create(domain_slug=domain, job_slug=job, amount_cents=cents, risk=risk)
    rows = list(Approval.objects.all())
    scopes = [
        TeamScope(frozenset(domains), frozenset(jobs), most, risk)
        for domains, jobs, most, risk in itertools.product(
            ((), ("airline",)), ((), ("b",)), (None, 0, 500), (None, 2)
        )
    ]
    for some in [[], *([one] for one in scopes), scopes[-2:], [scopes[3], scopes[-1]]]:
        found = set(Approval.objects.filter(within(some)).values_list("pk", flat=True))
        expected = {r.pk for r in rows if any(s.covers(matter_of(r)) for s in some)}
        assert found == expected, some
        left = set(Approval.objects.exclude(within(some)).values_list("pk", flat=True))
        assert left == {r.pk for r in rows} - expected, some


def test_the_queue_shows_what_one_may_decide_and_marks_the_others() -> None:
    ApprovalFactory.create(sentence="small", amount_cents=500)
    large = ApprovalFactory.create(sentence="large", amount_cents=501)
    user = member({"most_cents": 500})
    member({"domains": ["airline"], "name": "Refunds"})
    client = client_of(user)

    mine, everything = (text(client.get(f"/approvals/{query}")) for query in ("", "?all=1"))
    sheet = text(client.get(f"/approvals/{large.pk}/"))

    assert sentences(mine) == ["small"]
    assert "<strong>1</strong> of 2 waiting" in mine
    assert "1 for other teams" in mine
    assert 'data-n="1"' in mine
    assert set(sentences(everything)) == {"small", "large"}
    assert everything.count("Not yours to decide: Refunds decides this") == 1
    assert 'data-outside="Not yours to decide: Refunds decides this"' in sheet
    assert 'name="answer"' not in sheet


def test_whoever_decides_nothing_sees_all_as_ever(client_as: ClientAs) -> None:
    ApprovalFactory.create(sentence="large")

    for name in ("admin", "auditor", "product_manager", "operator"):
        page = text(client_as(name).get("/approvals/"))
        assert sentences(page) == ["large"]
        assert 'name="all"' not in page


def test_empty_queues_say_why() -> None:
    ApprovalFactory.create()

    assert "You are in no team, so you decide nothing." in text(
        client_of(member()).get("/approvals/")
    )
    page = text(client_of(member({"most_cents": 1})).get("/approvals/"))
    assert "Nothing waits for you." in page
    assert "1 waits for other teams." in page


def test_a_row_that_is_not_ones_own_costs_no_query() -> None:
    client, costs = client_of(member({"most_cents": 1})), []
    client.get("/approvals/?all=1")
    for number in (2, 6):
        ApprovalFactory.create_batch(number, job_slug=EACH_ITS_JOB)
        with CaptureQueriesContext(connection) as queries:
            client.get("/approvals/?all=1")
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_ten_thousand_waiting_rows_are_read_by_index_within_bounds() -> None:
    ApprovalFactory.create(amount_cents=1)
    user = member({"domains": ["airline"], "most_cents": 500_000, "highest_risk": 3})
    columns = [f.column for f in Approval._meta.fields if f.column not in {"id", "step_id"}]
    listed = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO approvals_approval (id, step_id, {listed})"
            f" SELECT gen_random_uuid(), gen_random_uuid(), {listed}"
            " FROM approvals_approval, generate_series(1, 10000)"
        )
        cursor.execute("ANALYZE approvals_approval")
    filters = selectors.Filters()

    with CaptureQueriesContext(connection) as queries:
        rows, _ = selectors.queue(filters, user)

    assert len(rows) == selectors.PAGE
    plans = []
    for query in queries:
        if "ORDER BY" in query["sql"] and "expires_at" in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
    assert "approvals_waiting" in plans[-1]


def test_the_sheet_says_which_team_decides_and_who_can() -> None:
    approval = ApprovalFactory.create()
    user = member({"name": "Refunds"}, username="rita", leads=True)
    member({"domains": ["retail"]}, username="otto")

    page = text(client_of(user).get(f"/approvals/{approval.pk}/"))

    assert "<dt>Who decides</dt><dd>Refunds (lead rita): rita" in page
    assert "otto" not in page.partition("Who decides")[2][:200]


# --- nobody may -----------------------------------------------------------------------------------


def test_what_nobody_may_decide_is_said_and_the_admins_are_called_once(people: People) -> None:
    stuck = ApprovalFactory.create(sentence="too large")
    Team.objects.update(most_cents=1_000)
    decidable = ApprovalFactory.create(amount_cents=1_000)

    assert list(undecidable()) == [stuck]
    assert [services.call_about_undecidable() for _ in range(2)] == [1, 0]

    (call,) = Escalation.objects.all()
    assert (call.approval, call.role, call.rung) == (stuck, "admin", UNDECIDABLE)
    assert call.why == "nobody may decide it"
    (event,) = Event.objects.filter(kind="approval.escalated")
    assert event.payload["nobody_may_decide"] is True
    admin = client_of(people["admin"])
    assert sentences(text(admin.get("/approvals/?escalated=me"))) == ["too large"]
    sheet = text(admin.get(f"/approvals/{stuck.pk}/"))
    assert "Nobody may decide this as teams and accounts stand." in sheet
    assert "under Users → Teams" in sheet
    assert "Nobody may decide" not in text(admin.get(f"/approvals/{decidable.pk}/"))
    found = [t for t in troubles.troubles(health.overview()) if t.kind == "teams"]
    assert [t.sentence for t in found] == ["1 request waits that nobody may decide"]
    Team.objects.update(most_cents=None)
    assert not undecidable().exists()


@pytest.mark.parametrize("gone", ["disabled", "invited", "another role"])
def test_a_team_without_anybody_who_can_act_decides_nothing(gone: str) -> None:
    user, approval = member({}), ApprovalFactory.create()
    assert not undecidable().exists()

    if gone == "disabled":
        user.is_active = False
    elif gone == "invited":
        user.enrolled_at = None
    else:
        user.role = "product_manager"
    user.save()

    assert list(undecidable()) == [approval]
    assert gone == "another role" or user.standing != Standing.ACTIVE


def test_one_who_may_where_two_have_to_is_said() -> None:
    user, approval = member({}), ApprovalFactory.create(votes_required=2)

    page = text(client_of(user).get(f"/approvals/{approval.pk}/"))

    assert "2 people have to agree, and only 1 may decide it." in page


# --- leads ----------------------------------------------------------------------------------------


def called(user: User) -> list[str]:
    return sentences(text(client_of(user).get("/approvals/?escalated=me")))


def test_the_lead_of_the_team_that_decides_it_is_called(people: People) -> None:
    mine = member({"domains": ["airline"]}, leads=True)
    others = member({"domains": ["retail"]}, leads=True)
    colleague = member()
    Membership.objects.create(team=mine.memberships.get().team, user=colleague)
    waiting(0.9, sentence="late")

    services.escalate_due()

    assert [(c.to, c.role) for c in Escalation.objects.order_by("rung")][-1] == ("lead", "lead")
    assert called(mine) == ["late"]
    assert called(people["admin"]) == []
    assert [called(person) for person in (others,)] == [["late"]]  # as an operator, at the half
    with past_triggers("approvals_escalation"):
        Escalation.objects.filter(to="operators").delete()
    assert [called(person) for person in (mine, others, colleague)] == [["late"], [], []]


def test_without_a_lead_the_admins_are_called_as_ever(people: People) -> None:
    waiting(0.9, sentence="late")

    services.escalate_due()

    assert Escalation.objects.order_by("rung").last().role == "admin"  # type: ignore[union-attr]
    assert called(people["admin"]) == ["late"]


def test_a_lead_who_is_gone_leaves_the_call_to_the_admins(people: People) -> None:
    lead = member({"domains": ["airline"]}, leads=True)
    waiting(0.9, sentence="late")
    services.escalate_due()
    assert called(people["admin"]) == []

    lead.memberships.update(leads=False)

    assert called(people["admin"]) == ["late"]
