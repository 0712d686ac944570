"""Ask people about held steps, and let each answer serve once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models

from apps.accounts.domain.standing import Standing
from apps.audit import services as audit
from apps.audit.domain.actors import GATE
from apps.kernel.ids import new_id
from apps.kernel.statements import database_now
from apps.kernel.transactions import participant
from apps.oversight.adapters import KeyFileError
from apps.oversight.domain import rules
from apps.oversight.domain.binding import binding_digest
from apps.oversight.domain.cooling import votes_wanted
from apps.oversight.models import Approval, Vote
from apps.oversight.selectors.cooling import rejected_lately
from apps.oversight.services.covering import uses_that_count
from apps.oversight.services.parties import barred
from apps.oversight.services.passkeys import without_passkey
from apps.oversight.services.proving import why_not_proved
from apps.oversight.services.rows import OPEN, State, fact, make_void, set_next
from apps.oversight.services.scopes import outside_now

DEFAULT_WINDOW_S = 4 * 3600
ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One held step. ``shown`` is what the person sees, frozen: columns of ``Approval`` made on
    the server; ``window_s``, how long there is to decide; and ``deadline_at``, when the run ends,
    which is how long a question with ``on_timeout: escalate`` may outlive its window."""

    run_id: UUID
    step_id: UUID
    decision_id: UUID
    binding: Mapping[str, Any]
    risk: int
    rules: Sequence[Mapping[str, Any]]
    roles: Sequence[str]
    votes_required: int
    shown: Mapping[str, Any]


@participant
def request_batch(asks: Sequence[ApprovalRequest]) -> list[UUID]:
    """Open one approval a held step; ids in the order asked. An older open question of the same
    step is void: the step has one question at a time (a unique index holds that)."""
    if not asks:
        return []
    make_void(Approval.objects.filter(step_id__in=[a.step_id for a in asks], state__in=OPEN))
    now = database_now()
    rows = Approval.objects.bulk_create([_row(ask, now) for ask in asks])
    audit.record_many(
        [
            fact("requested", row, GATE, tool=row.tool_name, risk=row.risk, digest=row.digest)
            for row in rows
        ]
    )
    return [row.id for row in rows]


def _row(ask: ApprovalRequest, now: datetime) -> Approval:
    shown = dict(ask.shown)
    window = timedelta(seconds=float(shown.pop("window_s", None) or DEFAULT_WINDOW_S))
    deadline_at = shown.pop("deadline_at", None)
    bound = dict(ask.binding)
    defaults = {
        "sentence": f"Call {bound.get('tool', 'a tool')}",
        "tool_name": str(bound.get("tool", "")).rpartition("/")[2],
        "arguments": {},
        "contract_number": 0,
    }
    row = Approval(
        id=new_id(),
        run_id=ask.run_id,
        step_id=ask.step_id,
        decision_id=ask.decision_id,
        binding=bound,
        digest=binding_digest(bound),
        risk=min(max(ask.risk, 1), 4),
        rules=[dict(rule) for rule in ask.rules],
        roles=list(ask.roles) or ["operator"],
        votes_required=max(ask.votes_required, 1),
        created_at=now,
        expires_at=now + window,
        **{**defaults, **shown},
    )
    if row.on_timeout == ESCALATE and deadline_at is not None and deadline_at > row.expires_at:
        row.ends_at = deadline_at  # without time beyond its window it fails closed with it
    set_next(row, ())
    return row


CONSUME = """
UPDATE approvals_approval SET consumed_at = clock_timestamp()
WHERE id = ANY(%s) AND state = 'approved' AND consumed_at IS NULL
  AND expires_at > clock_timestamp()
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Used:
    """``roles``: those that approved, by approval that was used up. ``unread``: why nobody knows
    whether an answer is signed; it was taken back. ``lapsed``: who of those that agreed may no
    longer decide it, where too few are left."""

    roles: Mapping[UUID, list[str]] = field(default_factory=dict)
    unread: Mapping[UUID, str] = field(default_factory=dict)
    lapsed: Mapping[UUID, str] = field(default_factory=dict)


@participant
def consume_batch(
    pairs: Sequence[tuple[UUID, str]], *, votes: Mapping[UUID, int] | None = None
) -> dict[UUID, list[str]]:
    """``use_batch``, of which only what was used up is asked."""
    return dict(use_batch(pairs, votes=votes).roles)


@participant
def use_batch(
    pairs: Sequence[tuple[UUID, str]], *, votes: Mapping[UUID, int] | None = None
) -> Used:
    """Use up approvals, each once: ``(id, digest)`` in, the roles that approved out, for those
    that hold. Who approved must still be allowed to when the answer is used, not only when it was
    given (from High up, or where several have to agree, without a part in it), and there must be as
    many of them as the question wanted and as ``votes`` says now, and one more where the same had
    been rejected shortly before (``domain.cooling``).

    The signatures of the answer and of each vote are verified here, over what is stored: an answer
    that people did not sign as it stands is refused, taken back and reported. Where the keys can't
    be read it is taken back too, but nobody is accused.

    Nor does a vote count of somebody whose teams don't decide this any more; their teams stay as
    they are until the transaction ends."""
    if not pairs:
        return Used()
    held = _locked_answers(dict(pairs))
    cast: dict[UUID, list[Vote]] = {row.pk: [] for row in held}
    for vote in Vote.objects.filter(approval__in=cast).select_related("user").order_by("at"):
        cast[vote.approval_id].append(vote)
    forged, unread = _not_proved(held, cast)
    _refuse(forged)
    _take_back(unread)
    refused = {row.pk for row, _ in (*forged, *unread)}
    outside = outside_now(held, [vote for votes_of in cast.values() for vote in votes_of])
    cooling = rejected_lately([row.pk for row in held])
    wanted = {
        row.pk: votes_wanted(
            max(row.votes_required, (votes or {}).get(row.pk, 1)), is_cooling=row.pk in cooling
        )
        for row in held
    }
    left = [row for row in held if row.pk not in refused]
    granted = uses_that_count([r for r in left if r.is_by_grant and wanted[r.pk] == 1])
    agreed = {
        r.pk: [v for v in _agreed(r, cast[r.pk], wanted[r.pk]) if v.pk not in outside]
        for r in left
        if not r.is_by_grant
    }
    enough = [
        pk
        for pk, voters in agreed.items()
        if rules.is_enough((v.user_id for v in voters), wanted=(wanted[pk],))
    ]
    roles = granted | {pk: sorted({v.user.role for v in agreed[pk]}) for pk in enough}
    used = {pk: roles[pk] for pk in _use_up([*roles])}
    audit.record_many([fact("consumed", row, GATE) for row in held if row.pk in used])
    lapsed = {
        row.pk: " and ".join(sorted(v.user.display_name for v in cast[row.pk] if v.pk in outside))
        for row in held
        if row.pk not in used and any(vote.pk in outside for vote in cast[row.pk])
    }
    return Used(used, {row.pk: why for row, why in unread}, lapsed)


def _not_proved(
    held: Sequence[Approval], cast: Mapping[UUID, Sequence[Vote]]
) -> tuple[list[tuple[Approval, str]], list[tuple[Approval, str]]]:
    """Answers that people did not sign as they stand, and those of which nobody can tell here."""
    forged, unread = [], []
    for row in held:
        try:
            why = why_not_proved(row, cast[row.pk])
        except KeyFileError as error:
            unread.append((row, str(error)))
        else:
            forged += [(row, why)] if why else []
    return forged, unread


def _locked_answers(digests: Mapping[UUID, str]) -> list[Approval]:
    """The approved ones, not used yet, that are about exactly this. Their rows are locked, in one
    order so that two batches can't wait for each other: of two workers that bring the same approval
    the second finds it used."""
    rows = Approval.objects.filter(pk__in=digests).order_by("pk").select_for_update()
    found = [
        row
        for row in rows
        if row.state == State.APPROVED and row.consumed_at is None and row.digest == digests[row.pk]
    ]
    models.prefetch_related_objects(found, "decided_by")
    return found


def _agreed(approval: Approval, votes: Sequence[Vote], wanted: int) -> list[Vote]:
    """Votes for it of people who may decide it now: one a person (a unique constraint). Where much
    hangs on it they had no part in it either, nor somebody in whose stead they were there: a site
    of an earlier release, that takes votes while another is rolled out, doesn't know of every part,
    nor of passkeys."""
    again = rules.asks_parties_again(risk=approval.risk, votes=wanted)
    without = barred(approval, votes) if again else frozenset()
    unsigned = without_passkey(approval, votes)
    return [
        vote
        for vote in votes
        if vote.approve
        and vote.pk not in unsigned
        and vote.user_id not in without
        and vote.digest == approval.digest
        and vote.user.standing == Standing.ACTIVE
        and vote.user.role in approval.asked_roles
    ]


def _use_up(ids: Sequence[UUID]) -> set[UUID]:
    """Those that are still in time by the database's clock; the statement is guarded again."""
    if not ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(CONSUME, [list(ids)])
        return {row[0] for row in cursor.fetchall()}


def _refuse(forged: Sequence[tuple[Approval, str]]) -> None:
    """Take back answers that nobody signed as they stand, and say so where people look."""
    if not forged:
        return
    Approval.objects.filter(pk__in=[row.pk for row, _ in forged]).update(
        state=State.VOID, signature_refused_at=database_now()
    )
    audit.record_many([fact("signature_refused", row, GATE, why=why) for row, why in forged])


def _take_back(unread: Sequence[tuple[Approval, str]]) -> None:
    """Let people be asked again about what they may well have signed: it can't be checked here."""
    if not unread:
        return
    ids = [row.pk for row, _ in unread]
    Approval.objects.filter(pk__in=ids).update(state=State.VOID)
    audit.record_many([fact("not_checked", row, GATE, why=why) for row, why in unread])


@participant
def consume(approval_id: UUID, digest: str) -> bool:
    """Use up one approval. False if it doesn't hold, or was used before."""
    return approval_id in consume_batch([(approval_id, digest)])
