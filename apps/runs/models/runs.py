"""Runs and what they consist of. Hot rows are written by ``journal`` in multi-row statements;
constraints and triggers here hold whoever writes.

Between the parts of a run there are no foreign-key constraints: the journal inserts them with ids
that it holds in the same transaction, and a trigger a row and key is a third of the database's
work (see decisions, 19). Each key has one index: the unique one that begins with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.calls.domain.lookup import LOOKED_WORDS
from apps.kernel.models import AppendOnly, JSONField
from apps.policy.domain.decision import Answer
from apps.runs.domain.finding import VERDICT_WORDS
from apps.runs.domain.origin import Origin
from apps.runs.domain.results import (
    AttemptOutcome,
    Disposition,
    Proof,
    RunOutcome,
    RunSource,
)
from apps.runs.domain.states import State

# Until when a step waits that waits until somebody lets it go: a moment that Python can hold,
# unlike PostgreSQL's 'infinity'.
PARKED_UNTIL = datetime(9000, 1, 1, tzinfo=UTC)


def choices_of(words: type[StrEnum]) -> list[tuple[str, str]]:
    """The words of an enum as a column's choices. The database takes others too: a newer process
    may know one more."""
    return [(word.value, word.value.replace("_", " ")) for word in words]


STATES = choices_of(State)


class Run(models.Model):
    """One execution of a job under a pinned contract version."""

    id = models.UUIDField(primary_key=True)
    domain_slug = models.SlugField(db_index=False)
    job_slug = models.SlugField(db_index=False)
    contract_number = models.PositiveIntegerField()
    contract_version = models.ForeignKey(
        "catalog.ContractVersion", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    agent_version = models.ForeignKey(
        "catalog.AgentVersion", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    agent_kind = models.CharField(max_length=12)
    agent_label = models.CharField(max_length=160)  # "recorded gpt-4o", "reference" …
    source = models.CharField(
        max_length=16, default=RunSource.MANUAL.value, choices=choices_of(RunSource)
    )
    origin = models.CharField(max_length=8, default=Origin.REAL, db_default=Origin.REAL.value)
    case_ref = models.CharField(max_length=200, blank=True)
    customer = models.CharField(max_length=120, blank=True)
    request = models.TextField(blank=True)  # the customer's first words, as shown
    input = JSONField(default=dict)
    context = JSONField(default=dict)  # told to tool servers with every request: domain.context
    state = models.CharField(max_length=24, choices=STATES, default=State.ACCEPTED)
    outcome = models.CharField(max_length=24, blank=True, choices=choices_of(RunOutcome))
    error_class = models.CharField(max_length=40, blank=True)
    summary = models.TextField(blank=True)
    lane = models.CharField(max_length=32, default="normal")
    priority = models.PositiveSmallIntegerField(default=50)  # lower is sooner
    trace_id = models.UUIDField()
    steps_total = models.PositiveIntegerField(default=0)
    cursor = models.PositiveIntegerField(default=0, db_default=0)  # into its script
    retries = models.PositiveIntegerField(default=0)
    tokens_in = models.BigIntegerField(default=0)
    tokens_out = models.BigIntegerField(default=0)
    cost_microusd = models.BigIntegerField(null=True)
    # C0 undoing and approved work, C1 interactive, C2 normal, C3 batch: shed from C3 up
    criticality_class = models.PositiveSmallIntegerField(default=2, db_default=2)
    tenant = models.CharField(max_length=60, blank=True, db_default="")
    engine_version = models.PositiveSmallIntegerField(default=1, db_default=1)
    # Admission: an accepted run may be told to come later; a shed one says why and when to return.
    deferred_until = models.DateTimeField(null=True)
    admission_reason = models.CharField(max_length=300, blank=True, db_default="")
    # Nothing further of a paused run is claimed; what is on its way is finished and recorded.
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=150, blank=True, db_default="")
    pause_reason = models.CharField(max_length=500, blank=True, db_default="")
    # Lineage: a fork goes on from a step of its parent. Branches share the root's mutation keys.
    parent_id = models.UUIDField(null=True)
    root_id = models.UUIDField(null=True)
    forked_after = models.PositiveIntegerField(null=True)  # seq of the parent's step
    branch = models.CharField(max_length=80, blank=True, db_default="")
    degraded = models.BooleanField(default=False)
    # which cheaper path was taken and why, and the step from which on
    degraded_reason = models.CharField(max_length=300, blank=True, db_default="")
    degraded_since = models.PositiveIntegerField(null=True)
    has_violation = models.BooleanField(default=False)
    had_hold = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField()

    class Meta:
        indexes = [
            # What a service account started, newest first; runs of people have no tenant.
            models.Index(
                fields=["tenant", "created_at"],
                name="runs_run_tenant",
                condition=~models.Q(tenant=""),
            ),
            models.Index(fields=["-created_at", "-id"], name="runs_run_newest"),
            models.Index(fields=["state", "-created_at"], name="runs_run_state"),
            models.Index(fields=["job_slug", "-created_at"], name="runs_run_job"),
            models.Index(
                fields=["deadline_at"],
                condition=models.Q(state__in=["accepted", "queued", "running", "waiting_approval"]),
                name="runs_run_open",
            ),
            models.Index(fields=["source", "case_ref"], name="runs_run_case"),
            models.Index(
                fields=["created_at"], condition=models.Q(origin="real"), name="runs_run_real"
            ),
            models.Index(
                fields=["root_id"],
                condition=models.Q(root_id__isnull=False),
                name="runs_run_root",
            ),
            models.Index(
                fields=["deferred_until"],
                condition=models.Q(state="accepted"),
                name="runs_run_deferred",
            ),
            models.Index(
                fields=["paused_at"],
                condition=models.Q(paused_at__isnull=False, finished_at=None),
                name="runs_run_paused",
            ),
            models.Index(
                fields=["criticality_class", "job_slug"],
                condition=models.Q(state="queued"),
                name="runs_run_queued",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class RunScript(models.Model):
    """What a scripted agent (reference or recorded) will say and propose, item by item; a live
    one's turns are appended. How far it has come is the run's ``cursor``, so that following a
    script writes the run's row only. Items: {"say": text} | {"hear": text} |
    {"call": {"tool", "args", "ref"}}."""

    run = models.OneToOneField(
        Run,
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="script",
        db_constraint=False,
    )
    items = JSONField(default=list)


class Message(AppendOnly):
    """One utterance of the conversation. Whatever comes from outside is untrusted text."""

    class Role(models.TextChoices):
        CUSTOMER = "customer", "Customer"
        AGENT = "agent", "Agent"
        TOWER = "tower", "Control Tower"

    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="messages", db_constraint=False, db_index=False
    )
    seq = models.PositiveIntegerField()
    role = models.CharField(max_length=10, choices=Role.choices)
    content = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "seq"], name="runs_message_seq_unique")
        ]
        ordering = ["seq"]


class Step(models.Model):
    """One proposed tool call (or, for a model, one turn of thought) and what became of it."""

    class Kind(models.TextChoices):
        TOOL = "tool", "Tool call"
        AGENT = "agent", "Agent turn"

    id = models.UUIDField(primary_key=True)
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="steps", db_constraint=False, db_index=False
    )
    seq = models.PositiveIntegerField()
    after_message = models.PositiveIntegerField(default=0)  # seq of the last message before it
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.TOOL)
    tool_version = models.ForeignKey(
        "catalog.ToolVersion",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    tool_name = models.CharField(max_length=80)
    effect = models.CharField(max_length=12, default="read")
    idempotency = models.CharField(max_length=8, default="none")
    arguments = JSONField(default=dict)
    arguments_digest = models.CharField(max_length=64)
    idempotency_key = models.CharField(max_length=64, blank=True)
    # what whoever wrote the script calls this proposal
    ref = models.CharField(max_length=40, blank=True, db_default="")
    state = models.CharField(max_length=24, choices=STATES, default=State.QUEUED)
    # the last answer of the gate; empty before it was asked
    gate = models.CharField(max_length=8, blank=True, choices=choices_of(Answer))
    decision_id = models.UUIDField(null=True)
    approval_id = models.UUIDField(null=True)
    facts = JSONField(default=dict)
    preview = JSONField(null=True)
    lane = models.CharField(max_length=32, default="normal")
    priority = models.PositiveSmallIntegerField(default=50)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    lease_losses = models.PositiveSmallIntegerField(default=0)
    # points of evidence that it ends its workers: see domain.suspicion
    blame = models.SmallIntegerField(default=0, db_default=0)
    # when it may be claimed; of an unknown step, when the tower may look it up by itself again
    not_before = models.DateTimeField(db_default=Now())
    # why it is not being claimed now although it is queued: a breaker, a stop, a pause, a cap …
    waits_for = models.CharField(max_length=160, blank=True, db_default="")
    lease_token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=80, blank=True)
    intent_open = models.BooleanField(default=False)
    disposition = models.CharField(max_length=20, blank=True, choices=choices_of(Disposition))
    deduplicated_from = models.UUIDField(null=True)
    compensates_id = models.UUIDField(null=True)  # the step that this one undoes
    inherited_from = models.UUIDField(null=True)  # the step of the parent run, in a fork
    result = JSONField(null=True)
    error_class = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    gated_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "seq"], name="runs_step_seq_unique"),
        ]
        indexes = [
            models.Index(
                fields=["lane", "priority", "not_before", "id"],
                condition=models.Q(state="queued"),
                name="runs_step_due",
            ),
            models.Index(
                fields=["lane", "lease_losses"],
                condition=models.Q(state="queued", lease_losses__gte=2),
                name="runs_step_suspect",
            ),
            models.Index(
                fields=["lease_until"],
                condition=models.Q(state="running"),
                name="runs_step_leased",
            ),
            models.Index(
                fields=["approval_id"],
                condition=models.Q(state="waiting_approval"),
                name="runs_step_waiting",
            ),
            models.Index(fields=["tool_name", "-created_at"], name="runs_step_tool"),
            models.Index(
                fields=["not_before"],
                condition=models.Q(state="confirmation_unknown"),
                name="runs_step_unknown",
            ),
            models.Index(
                fields=["compensates_id"],
                condition=models.Q(compensates_id__isnull=False),
                name="runs_step_undoes",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(state="queued", not_before__gte=PARKED_UNTIL),
                name="runs_step_parked",
            ),
        ]


class Attempt(models.Model):
    """One try of a step: a span of the run's trace. A row exists before anything is sent (intent),
    so that a crash leaves the question, never a guess."""

    id = models.UUIDField(primary_key=True)
    step = models.ForeignKey(
        Step, on_delete=models.CASCADE, related_name="attempts", db_constraint=False, db_index=False
    )
    run_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    lease_token = models.BigIntegerField()
    worker = models.CharField(max_length=80, blank=True)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    duration_ms = models.FloatField(null=True)
    outcome = models.CharField(max_length=12, blank=True, choices=choices_of(AttemptOutcome))
    error_class = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    http_status = models.PositiveSmallIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["step", "number"], name="runs_attempt_number_unique")
        ]
        indexes = [models.Index(fields=["run_id", "started_at"], name="runs_attempt_run")]


class Intent(models.Model):
    """The right to cause one mutation in one lineage. ``run`` is the root of the run's lineage (the
    run itself, if it is no branch): of two steps that propose the same mutation, in one run or in
    two branches, only one owns it; the other is answered with its receipt."""

    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="intents", db_constraint=False, db_index=False
    )
    key = models.CharField(max_length=64)
    step = models.OneToOneField(
        Step, on_delete=models.CASCADE, related_name="intent", db_constraint=False
    )
    approval_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="runs_intent_key_unique")
        ]


class Receipt(AppendOnly):
    """The evidence that a step's call was answered."""

    step = models.OneToOneField(
        Step,
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="receipt",
        db_constraint=False,
    )
    run_id = models.UUIDField()
    idempotency_key = models.CharField(max_length=64, blank=True)
    provider_ref = models.CharField(max_length=120, blank=True)
    response_digest = models.CharField(max_length=64)
    evidence = models.CharField(
        max_length=20, default=Proof.ANSWER.value, choices=choices_of(Proof)
    )
    note = models.TextField(blank=True, db_default="")  # what was odd about the answer
    received_at = models.DateTimeField(db_default=Now())


class Finding(AppendOnly):
    """What was found out about a call whose answer was lost: by a person, or by asking the tool.
    ``round`` is the number of attempts made when it was said, so that a step which is tried again
    and lost again begins without votes. ``person`` is empty when the tower looked up by itself."""

    id = models.UUIDField(primary_key=True)
    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="findings")
    run_id = models.UUIDField()
    round = models.PositiveSmallIntegerField()
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # a FindingVerdict or a Looked of domain.finding
    word = models.CharField(max_length=12)
    evidence = models.TextField(blank=True)
    settled = models.BooleanField(default=False)  # whether the step was resolved by it
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["step", "at"], name="runs_finding_step")]
        constraints = [
            models.UniqueConstraint(
                fields=["step", "round"],
                condition=models.Q(settled=True),
                name="runs_finding_settles_once",
            )
        ]

    @property
    def who(self) -> str:
        """Who found it out."""
        return self.person.display_name if self.person else "Control Tower"

    @property
    def words(self) -> str:
        """What it says, as a sentence's part."""
        return {**VERDICT_WORDS, **LOOKED_WORDS}.get(self.word, self.word)  # type: ignore[dict-item]  # both are words


class Ticket(AppendOnly):
    """A form that a person sent and that was carried out: sent again it changes nothing."""

    id = models.UUIDField(primary_key=True)  # given out with the form
    use = models.CharField(max_length=32)
    subject = models.UUIDField()  # the run or the step that the form is about
    actor = models.CharField(max_length=150)
    at = models.DateTimeField(db_default=Now())
