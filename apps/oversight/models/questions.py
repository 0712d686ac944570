"""Questions to people, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from apps.kernel.models import AppendOnly, JSONField
from apps.oversight.domain import passkey
from apps.oversight.domain.ladder import OVERDUE, UNDECIDABLE, words_of

NO_RUNGS = models.Value([], output_field=JSONField())
NO_REASONS = models.Value({}, output_field=JSONField())
NOTHING = models.Value([], output_field=JSONField())
# What a request is found again by, in whichever run: its very call, and what its preview changes.
# jsonb has one text for each value.
CALL_SQL = (
    "md5((%(expressions)s ->> 'tool') || ' ' || (%(expressions)s -> 'arguments')::text"
    " || coalesce((%(expressions)s -> 'context')::text, ''))"
)
CHANGES_SQL = "md5((%(expressions)s -> 'changes')::text)"
CALL = models.Func("binding", template=CALL_SQL, output_field=models.TextField())
CHANGES = models.Func("preview", template=CHANGES_SQL, output_field=models.TextField())


class Approval(models.Model):
    """One held step, frozen as it was asked about. ``digest`` binds the answer to exactly this
    action (see ``domain/binding.py``); any change makes another digest and so another approval."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        GRANTED = "granted", "Approved"  # and can be taken back until not_before
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"
        VOID = "void", "Void"

    id = models.UUIDField(primary_key=True)
    run_id = models.UUIDField()
    step_id = models.UUIDField()
    decision_id = models.UUIDField()
    digest = models.CharField(max_length=64)
    binding = JSONField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    # What the person sees, frozen: made on the server from the canonical arguments.
    sentence = models.TextField()
    domain_slug = models.SlugField()
    job_slug = models.SlugField()
    contract_number = models.PositiveIntegerField()
    tool_name = models.CharField(max_length=80)
    agent_slug = models.CharField(max_length=80)
    agent_label = models.CharField(max_length=160, blank=True)
    customer = models.CharField(max_length=120, blank=True)
    amount_cents = models.BigIntegerField(null=True)
    risk = models.PositiveSmallIntegerField()
    arguments = JSONField()
    preview = JSONField(default=dict)  # {"before", "after", "changes", "refusal"}
    facts = JSONField(default=dict)
    rules = JSONField(default=list)  # why it needs a person: id, reason, observed, limit
    agent_text = models.TextField(blank=True)
    roles = JSONField(default=list)
    votes_required = models.PositiveSmallIntegerField(default=1)
    on_timeout = models.CharField(max_length=10, default="reject")
    ladder = JSONField(default=list, db_default=NO_RUNGS)  # the contract's: at, to
    # The contract's reasons to choose from, by answer: approve, reject.
    reasons = JSONField(default=dict, db_default=NO_REASONS)
    undo_s = models.PositiveSmallIntegerField(default=0, db_default=0)  # the contract's
    not_before = models.DateTimeField(null=True)  # until when an approval can be taken back
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()  # when the window passes
    # Where it outlives its window (on_timeout: escalate): the run's deadline, which ends it.
    ends_at = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(null=True)  # when the sweep has to call the next on the ladder
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    claimed_until = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    signature = models.TextField(blank=True)
    key_id = models.CharField(max_length=32, blank=True)
    consumed_at = models.DateTimeField(null=True)
    # When the answer was to be used and its signature did not prove it: refused, and an alarm.
    signature_refused_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            # One open question a step: two workers that hold the same step can't ask twice. An
            # answer that can be taken back is as good as open.
            models.UniqueConstraint(
                fields=["step_id"],
                condition=models.Q(state__in=["pending", "granted"]),
                name="approvals_approval_one_open_per_step",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="granted") | models.Q(not_before__isnull=False),
                name="approvals_approval_granted_until",
            ),
            models.CheckConstraint(
                condition=models.Q(consumed_at=None) | models.Q(state="approved"),
                name="approvals_approval_consumed_only_if_approved",
            ),
            models.CheckConstraint(
                condition=models.Q(risk__gte=1, risk__lte=4), name="approvals_approval_risk"
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at", "-risk", "created_at", "id"],
                condition=models.Q(state="pending"),
                name="approvals_waiting",
            ),
            models.Index(
                fields=["rung_at"],
                condition=models.Q(state="pending", rung_at__isnull=False),
                name="approvals_rung",
            ),
            models.Index(
                fields=["not_before"],
                condition=models.Q(state="granted"),
                name="approvals_granted",
            ),
            models.Index(fields=["step_id"], name="approvals_step"),
            models.Index(fields=["decided_at"], name="approvals_decided"),
            models.Index(fields=["run_id"], name="approvals_run"),
            models.Index(
                fields=["signature_refused_at"],
                condition=models.Q(signature_refused_at__isnull=False),
                name="approvals_signature_refused",
            ),
            models.Index(
                fields=["tool_name", "-decided_at"],
                condition=models.Q(state__in=["approved", "rejected"]),
                name="approvals_precedent",
            ),
            models.Index(
                fields=["customer", "-decided_at"],
                condition=models.Q(state__in=["approved", "rejected"]),
                name="approvals_of_customer",
            ),
            models.Index(CALL, name="approvals_same_call"),
            models.Index(CHANGES, name="approvals_same_changes"),
            models.Index(
                CALL,
                models.F("decided_at"),
                condition=models.Q(state="rejected"),
                name="approvals_rejected_call",
            ),
            models.Index(
                CHANGES,
                models.F("decided_at"),
                condition=models.Q(state="rejected"),
                name="approvals_rejected_changes",
            ),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def bound_to(self) -> Mapping[str, Any]:
        """``binding`` as whoever reads it may rely on: nothing, where a row holds no object."""
        return self.binding if isinstance(self.binding, dict) else {}

    @property
    def asked_roles(self) -> tuple[str, ...]:
        """``roles`` likewise: only words of a list."""
        stored = self.roles if isinstance(self.roles, list) else ()
        return tuple(role for role in stored if isinstance(role, str))

    def reasons_for(self, answer: str) -> tuple[str, ...]:
        """The reasons to choose from for one answer, as whoever reads them may rely on."""
        stored = self.reasons.get(answer) if isinstance(self.reasons, dict) else ()
        return tuple(r for r in stored if isinstance(r, str)) if isinstance(stored, list) else ()

    @property
    def wants_passkey(self) -> bool:
        """Whether each who approves it has to sign with a passkey."""
        return passkey.is_wanted(self.rules)

    @property
    def is_by_grant(self) -> bool:
        """Whether a grant answered it, and no person."""
        given = {self.State.GRANTED, self.State.APPROVED}
        return self.state in given and self.decided_by_id is None

    @property
    def until(self) -> datetime:
        """The last moment at which an answer counts."""
        return self.ends_at or self.expires_at

    @property
    def is_overdue(self) -> bool:
        """Whether it outlived its window and still waits. For the page only: the database's clock
        decides."""
        now = timezone.now()
        return self.state == self.State.PENDING and self.expires_at <= now < self.until

    @property
    def undo_left_s(self) -> int:
        """For how many seconds more it can be taken back; 0 once it goes on. For pages likewise."""
        if self.state != self.State.GRANTED or self.not_before is None:
            return 0
        return max(0, ceil((self.not_before - timezone.now()).total_seconds()))


class AskingTurn(models.Model):
    """When people may be asked about a held step that they were not asked about yet: see
    ``domain/turns.py``. Those that have passed are kept for an hour. All times are the
    database's."""

    step_id = models.UUIDField(primary_key=True)
    run_id = models.UUIDField(null=True)  # nothing where an earlier release gave it
    agent_slug = models.CharField(max_length=80)
    given_at = models.DateTimeField()
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["agent_slug", "-at"], name="approvals_turn_of_agent"),
            models.Index(fields=["at"], name="approvals_turn_at"),
            models.Index(fields=["run_id"], name="approvals_turn_of_run"),
        ]


class Vote(models.Model):
    """One person's answer to one approval, signed. The nonce makes a double submit the same
    answer."""

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="votes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approve = models.BooleanField()
    reason = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    nonce = models.CharField(max_length=64)
    dwell_ms = models.PositiveIntegerField(null=True)  # as the browser counted it
    # Since this person was given the sheet, by the server; nothing where no page was shown.
    shown_ms = models.PositiveIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())
    signature = models.TextField(blank=True, default="", db_default="")
    key_id = models.CharField(max_length=32, blank=True, default="", db_default="")
    # What proves that its person's passkey signed it, where the policy asks for one.
    passkey = JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["approval", "user"], name="approvals_vote_one_per_person"
            )
        ]


class Reversal(AppendOnly):
    """An approval that was taken back before it was used: who did, and the answer as it stood, with
    the votes that were signed for it (they are no votes any more)."""

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="reversals")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey(  # nobody, where a grant had answered
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField()
    reason = models.TextField(blank=True)
    signature = models.TextField()
    key_id = models.CharField(max_length=32)
    votes = JSONField()

    class Meta:
        ordering = ["at", "pk"]


class Edit(AppendOnly):
    """A person changed the arguments of a held call: the question ended, and the step was proposed
    anew with ``after``, to be judged as any proposal. Of a step they are numbered from 1: the first
    ``before`` is what the agent proposed, the last ``after`` what is asked or was carried out."""

    # One edit ends one question: of two people who edit it at once the second finds it there.
    approval = models.OneToOneField(Approval, on_delete=models.PROTECT, related_name="edit")
    run_id = models.UUIDField()
    step_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    reason = models.TextField()
    before = JSONField()
    after = JSONField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["step_id", "number"], name="approvals_edit_numbered")
        ]
        indexes = [models.Index(fields=["run_id"], name="approvals_edit_run")]


class Reading(models.Model):
    """One person was given the sheet of one digest, and saw its parts: see ``domain/reading.py``.
    All times are the database's."""

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="readings")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64)
    opened_at = models.DateTimeField(db_default=Now())
    arguments_at = models.DateTimeField(null=True)
    changes_at = models.DateTimeField(null=True)
    why_at = models.DateTimeField(null=True)
    # Requests for the same, as they stood when this person said that it is meant once more.
    looked = JSONField(default=list, db_default=NOTHING)
    looked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            # The first time counts: a page that is drawn twice does not start anew.
            models.UniqueConstraint(
                fields=["approval", "user", "digest"], name="approvals_reading_once"
            )
        ]


class Table(models.Model):
    """Alike requests that one person was given to decide at once: see ``domain/together.py``. It is
    answered once; each row of it is an answer of its own, whose vote's nonce is the table's id."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(db_default=Now())
    answer = models.CharField(max_length=10, blank=True)  # approve, reject
    reason = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answered_at=None, answer="")
                | models.Q(answered_at__isnull=False, answer__in=["approve", "reject"]),
                name="approvals_table_answered_once",
            )
        ]


class TableRow(models.Model):
    """One request of a table, as it was asked when the table was given."""

    table = models.ForeignKey(Table, on_delete=models.PROTECT, related_name="rows")
    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="+")
    place = models.PositiveSmallIntegerField()
    digest = models.CharField(max_length=64)
    singly = models.TextField(blank=True)  # why it can't be decided here
    # What became of it: the state that its answer led to, or why there is none; unchosen if empty.
    result = models.CharField(max_length=20, blank=True)
    words = models.TextField(blank=True)

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["table", "approval"], name="approvals_table_row_once"),
            # What has to be decided singly has no answer from a table.
            models.CheckConstraint(
                condition=models.Q(singly="") | models.Q(result=""),
                name="approvals_table_row_singly",
            ),
        ]


class Escalation(models.Model):
    """Somebody was called about a question: by the clock at a rung of its ladder, or by a person.
    Each rung is climbed once."""

    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="escalations")
    rung = models.PositiveSmallIntegerField()
    to = models.CharField(max_length=160)  # the contract's word
    role = models.CharField(max_length=20)  # whom that calls
    share = models.FloatField(null=True)  # of the window, when the clock did it
    comes_first = models.BooleanField(default=False)  # for people of that role
    at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            # Two sweepers, or the sweep and a person, can't climb the same rung.
            models.UniqueConstraint(
                fields=["approval", "rung"], name="approvals_escalation_once_per_rung"
            ),
            models.CheckConstraint(
                condition=models.Q(share=None, by__isnull=False)
                | models.Q(share__isnull=False, by=None),
                name="approvals_escalation_by_clock_or_person",
            ),
        ]
        indexes = [models.Index(fields=["role", "approval"], name="approvals_called")]

    @property
    def words(self) -> str:
        """Whom it was escalated to, as a sentence says it."""
        return words_of(self.to)

    @property
    def why(self) -> str:
        """What made it happen: the share of the window, its end, or a person."""
        if self.by is not None:
            return f"by {self.by.display_name}"
        if self.rung == OVERDUE:
            return "the window has passed"
        if self.rung == UNDECIDABLE:
            return "nobody may decide it"
        return f"{round((self.share or 0) * 100)} % of the window"
