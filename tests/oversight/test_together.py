"""Several alike requests are decided in one table, each by the rules of a single one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.ids import new_id
from apps.oversight import services as single
from apps.oversight.domain.reading import PARTS
from apps.oversight.models import Approval, Reading, Reversal, Table, TableRow, Vote
from apps.oversight.selectors import together as tables
from apps.oversight.services import together as services
from apps.web.domain.quantities import money_words
from tests.factories.approvals import ApprovalFactory, bound, same_again
from tests.tampering import past_triggers

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
CENTS = (11000, 12000, 12500, 11800, 12200, 11900)


def asked(number: int = 3, **more: Any) -> list[Approval]:
    """Alike requests, each about another reservation."""
    return [
        ApprovalFactory.create(
            **{
                "arguments": {"reservation_id": f"Q{n:05}", "reason": "change of plan"},
                "amount_cents": CENTS[n % len(CENTS)],
                "undo_s": 10,
                **more,
            }
        )
        for n in range(number)
    ]


def given(rows: Collection[Approval], user: User, *, read: bool = True) -> Table:
    """The table of these, opened a while ago and read to the end."""
    table = services.give_table(approval_id=next(iter(rows)).pk, user=user)
    if read:
        pks = [row.approval_id for row in table.rows.all()]
        services.see_rows(table=table, user=user, approvals=pks)
        minutes(table, 2)
    return table


def minutes(table: Table, number: int) -> None:
    """The table, and its rows, were given so long ago."""
    at = timezone.now() - timedelta(minutes=number)
    with past_triggers("approvals_table"):
        Table.objects.filter(pk=table.pk).update(opened_at=at)
    Reading.objects.filter(approval__in=table.rows.values("approval")).update(opened_at=at)
    table.refresh_from_db()


def answer(table: Table, user: User, rows: Collection[Approval], **changes: Any) -> Table:
    given: dict[str, Any] = {
        "table_id": table.pk,
        "user": user,
        "approve": True,
        "reason": "",
        "chosen": [row.pk for row in rows],
    }
    return services.answer_table(**{**given, **changes})


def results(table: Table) -> dict[UUID, str]:
    return dict(table.rows.values_list("approval", "result"))


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_each_row_is_a_signed_answer_of_its_own(people: People) -> None:
    user, rows = people["operator"], asked(4)
    table = given(rows, user)

    answer(table, user, rows[:3], reason="fare rules")

    for row in Approval.objects.filter(pk__in=[r.pk for r in rows[:3]]):
        assert (row.state, row.decided_by, row.reason) == ("granted", user, "fare rules")
        assert row.not_before is not None
        vote = Vote.objects.get(approval=row)
        assert (vote.nonce, vote.digest) == (table.pk.hex, row.digest)
        assert vote.signature
        assert single.is_signed(row)
    assert Vote.objects.values("signature").distinct().count() == 3
    assert Approval.objects.get(pk=rows[3].pk).state == "pending"
    assert results(table) == dict.fromkeys((r.pk for r in rows[:3]), "granted") | {rows[3].pk: ""}
    kinds = Event.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["approval.granted"] * 3 + ["table.answered"]
    told = Event.objects.get(kind="table.answered")
    assert told.payload["results"] == {str(r.pk): "granted" for r in rows[:3]}
    Approval.objects.filter(state="granted").update(not_before=timezone.now())
    assert single.release_due() == 3
    with transaction.atomic():
        used = single.consume_batch([(row.pk, row.digest) for row in rows[:3]])
    assert set(used) == {row.pk for row in rows[:3]}, "they are used as any answer is"


def test_only_requests_that_stand_in_the_table_are_read_whole(
    people: People, django_assert_num_queries: Any
) -> None:
    rows = asked(3)
    ApprovalFactory.create(rules=[{"id": "another"}], arguments={"letter": "x" * 9_000})

    with django_assert_num_queries(2) as said:
        found = tables.alike(rows[0])

    assert {row.pk for row in found} == {row.pk for row in rows}
    compared, whole = (query["sql"] for query in said.captured_queries)
    assert "LIMIT 200" in compared
    assert '"arguments"' not in compared
    assert '"arguments"' in whole


def test_what_is_decided_singly_was_not_read_in_the_table(people: People) -> None:
    user, rows = people["operator"], asked(5)
    strange = ApprovalFactory.create(
        arguments={"reservation_id": "Q9", "reason": "change of plan"}, amount_cents=900_000
    )
    table = services.give_table(approval_id=rows[0].pk, user=user)

    noted = services.see_rows(table=table, user=user, approvals=[rows[1].pk, strange.pk])

    assert noted == [rows[1].pk]
    assert not Reading.objects.filter(approval=strange).exists(), "its sheet was not given"
    assert Reading.objects.filter(user=user).count() == 5


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"tool_name": "refund"}, None),
        ({"risk": 3}, None),
        ({"contract_number": 4}, None),
        ({"rules": [{"id": "another"}]}, None),
        ({"roles": ["admin"]}, None),
        ({"votes_required": 2}, None),
        ({"expires_at": timezone.now() - timedelta(days=1)}, None),
        ({"state": "rejected"}, None),
        ({"amount_cents": 900_000}, "Far from the rest: the amount is $9,000.00"),
        ({"arguments": {"reservation_id": "Q9"}}, "reason is not given"),
        ({"preview": {}}, "no preview"),
        ({"preview": {"changes": [], "refusal": "flown"}}, "tool would refuse"),
        ({"arguments": {"reservation_id": "Q\u200b9", "reason": "change of plan"}}, "hidden"),
    ],
)
def test_what_is_not_alike_or_is_strange_is_not_in_it(
    people: People, other: dict[str, Any], words: str | None
) -> None:
    user, rows = people["operator"], asked(5)
    with_amount = {"amount_cents": CENTS[1], **other}
    strange = ApprovalFactory.create(
        **{"arguments": {"reservation_id": "Q9", "reason": "change of plan"}, **with_amount}
    )

    table = given(rows, user)

    found = {row.approval_id: row.singly for row in table.rows.all()}
    if words is None:
        assert strange.pk not in found
        return
    assert words in found[strange.pk]
    with pytest.raises(InvalidInputError, match="decided singly"):
        answer(table, user, [*rows[2:], strange])
    assert not Vote.objects.exists()


def test_what_was_asked_before_is_decided_singly_even_if_it_is_only_then_asked_again(
    people: People,
) -> None:
    user, rows = people["operator"], asked(2)
    here = {"undo_s": 10, "amount_cents": CENTS[0]}
    alike = [
        same_again(
            arguments={"reservation_id": f"R{n}", "reason": "change of plan"},
            preview={"changes": [{"path": f"/reservations/R{n}/status", "after": "cancelled"}]},
            **here,
        )
        for n in (1, 1, 2)
    ]
    table = given(rows, user)

    singly = {row.approval_id: row.singly for row in table.rows.all()}
    for row in alike[:2]:
        assert "The same waits in another request" in singly[row.pk]
    assert singly[alike[2].pk] == ""
    same_again(arguments=alike[2].arguments, tool_name="by_another_run", **here)
    answer(table, user, [*rows, alike[2]])

    assert results(table)[alike[2].pk] == "same"
    assert Approval.objects.get(pk=alike[2].pk).state == "pending"
    assert {results(table)[row.pk] for row in rows} == {"granted"}


def test_what_a_person_edited_is_decided_singly(people: People) -> None:
    rows = asked(2)
    edited = ApprovalFactory.create(binding={**bound(new_id()), "edited": {"number": 1}})
    table = given(rows, people["operator"])
    assert "A person edited it" in table.rows.get(approval=edited).singly


def test_of_another_tool_version_or_policy_is_not_in_it(people: People) -> None:
    rows = asked(2)
    for name in ("tool_fingerprint", "contract_digest", "policy_digest"):
        changed = {**bound(new_id()), name: "0" * 64}
        ApprovalFactory.create(binding=changed)
    table = given(rows, people["operator"])
    assert {row.approval_id for row in table.rows.all()} == {row.pk for row in rows}


def test_alone_or_above_medium_there_is_no_table(people: People) -> None:
    (row,) = asked(1)
    high = asked(2, risk=3, tool_name="other")
    for one in (row, high[0]):
        with pytest.raises(ConflictError, match="No other request like it"):
            services.give_table(approval_id=one.pk, user=people["operator"])
    assert not Table.objects.exists()


def test_at_most_twenty_five_stand_in_it(people: People) -> None:
    rows = asked(30)
    table = given([rows[-1]], people["operator"])
    assert table.rows.count() == 25
    assert table.rows.first().approval_id == rows[-1].pk  # type: ignore[union-attr]


@pytest.mark.parametrize("part", sorted(PARTS))
def test_without_each_part_of_each_row_read_nothing_is_approved(people: People, part: str) -> None:
    user, rows = people["operator"], asked(3)
    table = given(rows, user)
    Reading.objects.filter(approval=rows[1]).update(**{f"{part}_at": None})

    with pytest.raises(InvalidInputError, match="1 of 3 rows"):
        answer(table, user, rows)

    assert not Vote.objects.exists()
    assert Table.objects.get().answer == ""
    answer(table, user, [rows[0], rows[2]])
    assert Vote.objects.count() == 2


def test_it_takes_as_long_as_all_sheets_together(people: People) -> None:
    user, rows = people["operator"], asked(3)
    table = services.give_table(approval_id=rows[0].pk, user=user)
    services.see_rows(table=table, user=user, approvals=[row.pk for row in rows])

    with pytest.raises(InvalidInputError, match="3 rows have to be read for 6 s"):
        answer(table, user, rows)
    answer(table, user, rows, approve=False, reason="not wanted")

    assert set(results(table).values()) == {"rejected"}, "to reject, nothing has to be read"


def test_each_row_says_why_it_was_not_decided(people: People) -> None:
    user, other, rows = people["operator"], people["operator2"], asked(6, votes_required=1)
    table = given(rows, user)
    first, claimed, gone, late, fine, two = rows
    single.decide(
        approval_id=first.pk,
        user=other,
        approve=False,
        reason="no",
        digest=first.digest,
        nonce="n" * 9,
    )
    single.claim(approval_id=claimed.pk, user=other)
    Approval.objects.filter(pk=gone.pk).update(state="void")
    Approval.objects.filter(pk=late.pk).update(expires_at=timezone.now())
    Approval.objects.filter(pk=two.pk).update(votes_required=2)

    answer(table, user, rows)

    said = {row.approval_id: (row.result, row.words) for row in table.rows.all()}
    assert said[first.pk] == (
        "decided",
        f"This was rejected meanwhile. It was {other.display_name}.",
    )
    assert said[claimed.pk][0] == "claimed"
    assert other.display_name in said[claimed.pk][1]
    assert said[gone.pk] == ("decided", "This was void meanwhile.")
    assert said[late.pk][0] == "expired"
    assert said[fine.pk] == ("granted", "")
    assert said[two.pk] == ("pending", "")
    assert Vote.objects.filter(user=user).count() == 2


def test_what_concerns_this_person_is_decided_by_another(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, rows = people["operator"], asked(4)
    mine = {rows[1].pk}
    had = "apps.oversight.services.parties.parties_to"
    monkeypatch.setattr(
        had, lambda row: {user.username: "asked for this run"} if row.pk in mine else {}
    )
    table = given(rows, user)

    assert "you asked for this run" in table.rows.get(approval=rows[1]).singly
    mine.add(rows[2].pk)  # a party only by the time of the answer: judged again
    answer(table, user, [rows[0], rows[2]])

    assert results(table)[rows[0].pk] == "granted"
    assert results(table)[rows[2].pk] == "not_permitted"
    assert not Vote.objects.filter(approval=rows[2]).exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chosen": []}, "Choose rows"),
        ({"chosen": [new_id()]}, "Choose rows"),
        ({"approve": False, "reason": "  "}, "Say why you reject"),
    ],
)
def test_a_wrong_answer_does_nothing(people: People, changes: dict[str, Any], words: str) -> None:
    user, rows = people["operator"], asked(2)
    table = given(rows, user)
    with pytest.raises(InvalidInputError, match=words):
        answer(table, user, rows, **changes)
    assert not Vote.objects.exists()
    assert Table.objects.get().answered_at is None


def test_a_table_is_its_persons_and_is_answered_once(people: People) -> None:
    user, rows = people["operator"], asked(3)
    table = given(rows, user)
    for service in (answer, lambda t, u, _: services.undo_table(table_id=t.pk, user=u)):
        with pytest.raises(NotFoundError):
            service(table, people["operator2"], rows)
    answer(table, user, rows[:2])
    answer(table, user, rows)  # the same form again

    assert results(table)[rows[2].pk] == ""
    with pytest.raises(ConflictError, match="has been answered"):
        answer(table, user, rows, approve=False, reason="no")


def test_one_undo_takes_all_back_that_can_be(people: People) -> None:
    user, rows = people["operator"], asked(5)
    table = given(rows, user)
    answer(table, user, rows)
    early, again, later = rows[0], rows[1], rows[2]
    Approval.objects.filter(pk=early.pk).update(not_before=timezone.now())
    single.undo(approval_id=again.pk, user=people["operator2"])
    again.refresh_from_db()
    single.decide(
        approval_id=again.pk,
        user=people["operator2"],
        approve=True,
        reason="looked at it alone",
        digest=again.digest,
        nonce="another-nonce",
    )

    services.undo_table(table_id=table.pk, user=user)

    found = results(table)
    assert found[early.pk] == "late"
    assert found[again.pk] == "undone"
    assert Approval.objects.get(pk=again.pk).state == "approved", "what was given anew stays"
    assert {found[row.pk] for row in rows[2:]} == {"undone"}
    assert Approval.objects.get(pk=later.pk).state == "pending"
    assert Reversal.objects.filter(by=user).count() == 3
    with pytest.raises(ConflictError, match="nothing to take back"):
        services.undo_table(table_id=table.pk, user=user)
    with pytest.raises(ConflictError, match="taken back"):
        single.decide(
            approval_id=later.pk,
            user=user,
            approve=True,
            reason="",
            digest=later.digest,
            nonce=table.pk.hex,
        )


def test_a_fault_on_the_way_leaves_nothing_half_written(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, rows = people["operator"], asked(3)
    table, done = given(rows, user), []

    def take(*args: Any) -> Any:
        if len(done) == 2:
            raise RuntimeError("the machine goes away")
        done.append(args[0])
        return real(*args)

    real = services.take
    monkeypatch.setattr(services, "take", take)
    with pytest.raises(RuntimeError):
        answer(table, user, rows)

    assert len(done) == 2
    assert not Vote.objects.exists()
    assert not TableRow.objects.exclude(result="").exists()
    assert set(Approval.objects.values_list("state", flat=True)) == {"pending"}
    monkeypatch.setattr(services, "take", real)
    answer(table, user, rows)
    assert set(results(table).values()) == {"granted"}


# --- the page -------------------------------------------------------------------------------------


def chosen(*rows: Approval) -> str:
    """What the page says of the choice."""
    cents = sum(row.amount_cents or 0 for row in rows)
    return f'{len(rows)} chosen, <span class="num nowrap">{money_words(cents)}</span>'


def test_answers_that_did_not_count_are_none_of_the_table(
    client_as: ClientAs, people: People
) -> None:
    user, rows = people["operator"], asked(3, votes_required=2)
    first = given(rows, people["operator2"])
    answer(first, people["operator2"], rows[:2])
    table = given(rows, user)
    Approval.objects.filter(pk=rows[2].pk).update(state="expired")
    answer(table, user, rows)
    assert sorted(results(table).values()) == ["expired", "granted", "granted"]

    page = text(client_as("auditor").get(f"/approvals/{rows[0].pk}/"))

    assert "Answered in one table of 2 requests." in page


def test_the_sheet_says_that_it_was_answered_in_a_table(
    client_as: ClientAs, people: People
) -> None:
    user, rows = people["operator"], asked(4)
    table = given(rows, user)
    answer(table, user, rows[:3])
    alone = rows[3]
    single.decide(
        approval_id=alone.pk,
        user=user,
        approve=False,
        reason="no",
        digest=alone.digest,
        nonce="by-itself",
    )

    client = client_as("auditor")

    assert "Answered in one table of 3 requests." in text(client.get(f"/approvals/{rows[0].pk}/"))
    assert "Answered in one table" not in text(client.get(f"/approvals/{alone.pk}/"))


def test_from_the_sheet_to_the_table_and_back(client_as: ClientAs, people: People) -> None:
    rows, client = asked(3), client_as("operator")
    ApprovalFactory.create(tool_name="other")
    sheet = text(client.get(f"/approvals/{rows[0].pk}/"))
    assert "Decide those like it in one table" in sheet
    other = Approval.objects.get(tool_name="other")
    assert "Decide those like it" not in text(client.get(f"/approvals/{other.pk}/"))

    begun = client.post(f"/approvals/{rows[0].pk}/together/")
    table = Table.objects.get()
    assert begun.headers["Location"] == f"/approvals/together/{table.pk}/"
    page = text(client.get(begun.headers["Location"]))
    assert "3 requests in one table" in page
    for row in rows:
        assert row.arguments["reservation_id"] in page
    assert page.count("The customer did not clearly say yes to this change") == 3
    assert page.count('<span class="vh">then </span>') == 3
    path = f"/approvals/together/{table.pk}"
    form = {"rows": [str(row.pk) for row in rows], "answer": "approve", "reason": "kept words"}

    early = client.post(f"{path}/answer/", form)
    assert early.status_code == 422
    assert "3 of 3 rows" in text(early)
    assert "kept words" in text(early)
    seen = client.post(
        f"{path}/seen/", {"rows": form["rows"]}, headers={"Accept": "application/json"}
    )
    assert sorted(seen.json()["seen"]) == sorted(form["rows"])
    minutes(table, 1)
    assert client.post(f"{path}/answer/", form).status_code == 302
    done = text(client.get(f"{path}/"))
    assert done.count('data-s="granted"') == 3
    assert "can be taken back for" in done
    assert client.post(f"{path}/undo/").status_code == 302
    assert text(client.get(f"{path}/")).count("taken back</span>") == 3
    assert set(Approval.objects.values_list("state", flat=True)) == {"pending"}


def test_the_page_counts_what_undo_takes_back(client_as: ClientAs, people: People) -> None:
    rows = asked(3, votes_required=2)
    single.decide(
        approval_id=rows[0].pk,
        user=people["operator2"],
        approve=True,
        reason="",
        digest=rows[0].digest,
        nonce="n-12345678",
    )
    table = given(rows, people["operator"])
    answer(table, people["operator"], rows)

    page = text(client_as("operator").get(f"/approvals/together/{table.pk}/"))

    assert sorted(results(table).values()) == ["granted", "pending", "pending"]
    assert "1 approval can be taken back for" in page
    assert "nothing of it is carried out yet" in page


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"answer": "approve"},
        {"answer": "approve", "rows": "x"},
        {"answer": "x", "rows": str(new_id())},
        {"answer": "approve", "rows": ["zz", "'; --"]},
    ],
)
def test_a_form_that_makes_no_sense_changes_nothing(
    client_as: ClientAs, people: People, form: dict[str, Any]
) -> None:
    table = given(asked(2), people["operator"])
    client = client_as("operator")
    answered = client.post(f"/approvals/together/{table.pk}/answer/", form)
    assert answered.status_code == 422
    assert "Choose rows" in text(answered)
    assert not Vote.objects.exists()


def test_nobody_else_sees_or_answers_a_table(client_as: ClientAs, people: People) -> None:
    rows = asked(2)
    table = given(rows, people["operator"])
    path = f"/approvals/together/{table.pk}/"
    for name, status in (("operator2", 404), ("admin", 403), ("auditor", 403)):
        client = client_as(name)
        assert client.get(path).status_code == status
        for word in ("answer", "seen", "undo"):
            form = {"rows": str(rows[0].pk), "answer": "approve"}
            assert client.post(f"{path}{word}/", form).status_code == status
    assert not Vote.objects.exists()


def test_what_was_decided_meanwhile_can_not_be_chosen(client_as: ClientAs, people: People) -> None:
    rows = asked(3)
    table = given(rows, people["operator"])
    single.decide(
        approval_id=rows[1].pk,
        user=people["operator2"],
        approve=False,
        reason="no",
        digest=rows[1].digest,
        nonce="meanwhile",
    )
    page = text(client_as("operator").get(f"/approvals/together/{table.pk}/"))
    assert f"Rejected by {people['operator2'].display_name} meanwhile" in page
    assert page.count(" disabled>") == 1
    assert chosen(rows[0], rows[2]) in page, "without script nobody counts anew"


def test_where_the_page_comes_back_what_was_chosen_is(client_as: ClientAs, people: People) -> None:
    rows = asked(3)
    table = given(rows, people["operator"], read=False)
    form = {"rows": [str(rows[1].pk)], "answer": "approve"}

    page = text(client_as("operator").post(f"/approvals/together/{table.pk}/answer/", form))

    assert page.count(" checked>") == 1
    assert chosen(rows[1]) in page
