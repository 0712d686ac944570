"""Decide several alike requests in one table: each is a signed answer of its own, judged as a
single one is. The whole is one transaction: its answers and what is told of them are there, or
nothing is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import Actor
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, TowerError
from apps.kernel.ids import new_id
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.oversight import selectors
from apps.oversight.domain import reading, rules, showing, together
from apps.oversight.domain.outliers import outliers
from apps.oversight.models import Approval, Reading, Table, TableRow, Vote
from apps.oversight.selectors import past
from apps.oversight.selectors import together as tables
from apps.oversight.selectors.scopes import not_yours
from apps.oversight.services.deciding import PageAnswer, Sent, require_able, take
from apps.oversight.services.parties import parties_for
from apps.oversight.services.proving import votes_that_count
from apps.oversight.services.reading import read_of, see
from apps.oversight.services.rows import State, locked
from apps.oversight.services.undoing import take_back

FLAG_WORDS = "Look at it by itself: {flags}."


@command
def give_table(*, approval_id: UUID, user: User) -> Table:
    """Give this person a table of the requests like this one. Those that can't be decided in it say
    why. ConflictError where no other is like it."""
    require_able(user)
    approval = selectors.one(approval_id)
    if approval is None:
        raise NotFoundError("There is no such approval.")
    rows = tables.alike(approval)
    if len(rows) < 2:
        raise ConflictError("No other request like it waits up to Medium risk.", code="alone")
    table = Table.objects.create(id=new_id(), user=user)
    why = _singly(rows, user)
    TableRow.objects.bulk_create(
        [
            TableRow(
                table=table, approval=row, place=n, digest=row.digest, singly=why.get(row.pk, "")
            )
            for n, row in enumerate(rows, 1)
        ]
    )
    # The unique constraint keeps the first time, as for a sheet. Of what is decided singly only the
    # sentence stands in the table: its sheet has to be given, and read, by itself.
    here = [row for row in rows if row.pk not in why]
    Reading.objects.bulk_create(
        [Reading(approval=row, user=user, digest=row.digest) for row in here],
        ignore_conflicts=True,
    )
    table.refresh_from_db()
    return table


def _singly(rows: Sequence[Approval], user: User) -> dict[UUID, str]:
    """Why some of the rows have to be decided by themselves."""
    listings = [showing.listing(row.arguments) for row in rows]
    facts = [
        together.facts_of(row.amount_cents, listing)
        for row, listing in zip(rows, listings, strict=True)
    ]
    far = outliers(facts)
    found = {}
    for row, strange in zip(rows, far, strict=True):
        why = _own_trouble(row, user)
        found[row.pk] = why or " ".join(together.far_words(one) for one in strange)
    return {pk: why for pk, why in found.items() if why}


def _not_theirs(row: Approval, user: User) -> str:
    if not rules.may_decide(user.role, row.asked_roles):
        return f"Only {' or '.join(row.asked_roles)} may decide it."
    why = not_yours([row], user).get(row.pk)
    return f"{why}." if why else ""


def _own_trouble(row: Approval, user: User) -> str:
    """What keeps this person from deciding it in a table, whatever the others are."""
    votes = votes_that_count(row, selectors.votes_of(row))
    if why := _not_theirs(row, user):
        return why
    if any(vote.user_id == user.pk for vote in votes):
        return "You have voted: another person has to."
    if had := parties_for(row, user, votes):
        return rules.party_words(had[user.pk])
    if row.wants_passkey:
        return "It is signed with a passkey: decide it by itself."
    if row.bound_to.get("edited") or row.bound_to.get("denied"):
        return "A person edited it: look at it by itself."
    if (same := past.repeats_of(row)).rows:
        return f"The same {same.told}: look at it by itself."
    flags = showing.flags(row.arguments, row.preview)
    if showing.unknown(row.rules):
        flags.append("something about it is not known")
    return FLAG_WORDS.format(flags=", ".join(flags)) if flags else ""


def see_rows(*, table: Table, user: User, approvals: Collection[UUID]) -> list[UUID]:
    """Note that all of these rows of the table was on this person's screen; which were noted. Those
    that are decided singly aren't."""
    rows = table.rows.filter(approval__in=approvals, singly="")
    for row in rows:
        see(approval_id=row.approval_id, user=user, digest=row.digest, parts=[*reading.PARTS])
    return [row.approval_id for row in rows]


@command
def answer_table(
    *, table_id: UUID, user: User, approve: bool, reason: str, chosen: Collection[UUID]
) -> Table:
    """Give one answer to each chosen row. A row for which it doesn't count (decided meanwhile,
    expired, claimed by another, …) says so and leaves the others alone. InvalidInputError, and
    nothing done, where the choice is wrong, a rejection has no reason, or an approval comes before
    each row was read. The same answer sent again does nothing."""
    require_able(user)
    table = _locked_table(table_id, user)
    word = "approve" if approve else "reject"
    if table.answer:
        return _answered_before(table, word)
    rows = [row for row in table.rows.all() if row.approval_id in chosen]
    _check_choice(table, rows, chosen, approve=approve, reason=reason)
    # In the order in which others lock several requests, so that none waits for another.
    for row in sorted(rows, key=lambda row: row.approval_id):
        _answer_row(row, user, approve=approve, reason=reason)
    TableRow.objects.bulk_update(rows, ["result", "words"])
    table.answer, table.reason, table.answered_at = word, reason, database_now()
    table.save(update_fields=["answer", "reason", "answered_at"])
    _tell("answered", table, user.actor, rows)
    return table


def _locked_table(table_id: UUID, user: User) -> Table:
    """Its row is held: of two answers at once the second finds it answered."""
    found = Table.objects.select_for_update().filter(pk=table_id, user=user).first()
    if found is None:
        raise NotFoundError("There is no such table of yours.")
    return found


def _answered_before(table: Table, word: str) -> Table:
    if table.answer != word:
        raise ConflictError("This table has been answered: open a new one.", code="decided")
    return table


def _check_choice(
    table: Table, rows: Sequence[TableRow], chosen: Collection[UUID], *, approve: bool, reason: str
) -> None:
    if not rows or len(rows) != len(set(chosen)):
        raise InvalidInputError("Choose rows of this table.", code="rows", field="rows")
    if any(row.singly for row in rows):
        raise InvalidInputError("Some of these are decided singly.", code="singly", field="rows")
    if not approve:
        if not reason.strip():
            raise InvalidInputError("Say why you reject.", code="reason", field="reason")
        return
    lines = {line.row.pk: line for line in tables.lines_of(table)}
    read = [
        together.RowRead(line.approval.risk, read_of(line.seen).seen if line.seen else ())
        for line in (lines[row.pk] for row in rows)
    ]
    if why := together.unread(read, table.opened_at, database_now()):
        raise InvalidInputError(why, code="unread")


@participant
def _answer_row(row: TableRow, user: User, *, approve: bool, reason: str) -> None:
    answer = rules.ProposedVote(user.pk, user.role, approve, reason, row.digest)
    sent = Sent(nonce=row.table_id.hex, dwell_ms=None, page=PageAnswer())
    try:
        with transaction.atomic():  # what a refused one wrote is taken back, and only that
            take(row.approval_id, user, answer, sent)
    except TowerError as refused:
        row.result, row.words = refused.code or "refused", _words(refused)
        return
    row.result, row.words = _state_of(row), ""


def _state_of(row: TableRow) -> str:
    return str(Approval.objects.values_list("state", flat=True).get(pk=row.approval_id))


def _words(refused: TowerError) -> str:
    who = refused.detail.get("who") if isinstance(refused.detail, dict) else ""
    return f"{refused} It was {who}." if who else str(refused)


@command
def undo_table(*, table_id: UUID, user: User) -> Table:
    """Take all approvals of a table back for which there is time, each as ``undo`` does; the others
    say that it was too late. ConflictError where there is none."""
    table = _locked_table(table_id, user)
    rows = list(table.rows.filter(result=State.GRANTED).order_by("approval"))
    if not rows:
        raise ConflictError("There is nothing to take back here.", code="late")
    for row in rows:
        _take_back_row(row, user)
    TableRow.objects.bulk_update(rows, ["result", "words"])
    table.undone_at = database_now()
    table.save(update_fields=["undone_at"])
    _tell("undone", table, user.actor, rows)
    return table


@participant
def _take_back_row(row: TableRow, user: User) -> None:
    # The row is held before it is asked whose answer it bears: one that was given anew stays.
    locked(row.approval_id)
    mine = {"approval": row.approval_id, "user": user, "nonce": row.table_id.hex}
    if not Vote.objects.filter(**mine).exists():
        row.result, row.words = "undone", "It was taken back before."
        return
    try:
        with transaction.atomic():
            take_back(row.approval_id, user)
    except TowerError as refused:
        row.result, row.words = "late", str(refused)
        return
    row.result, row.words = "undone", ""


def _tell(kind: str, table: Table, by: Actor, rows: Sequence[TableRow]) -> None:
    payload = {
        "answer": table.answer,
        "results": {str(row.approval_id): row.result for row in rows},
    }
    audit.record_many([audit.Fact(f"table.{kind}", by, "table", str(table.pk), None, payload)])
