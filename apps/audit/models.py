"""The audit log: one row a fact, written in the transaction of the fact itself."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from apps.audit.domain.caller import VIA
from apps.kernel import exactjson
from apps.kernel.models import JSONField

NOT_SHOWN = "not shown"
DEEP = "is nested too deeply"


class _Decoder(json.JSONDecoder):
    def decode(self, s: str, *args: Any) -> Any:
        if s.count("[") + s.count("{") <= exactjson.MAX_DEPTH:
            return exactjson.read_stored(s)
        try:
            value = exactjson.read_stored(s)
            exactjson.check(value)
        except (exactjson.NotCarriedError, RecursionError) as error:
            why = error.reason if isinstance(error, exactjson.NotCarriedError) else DEEP
            return {NOT_SHOWN: f"It {why}; as text it has {len(s):,} characters."}
        return value


class PayloadField(JSONField):
    """For what is shown: one that no page could show says so instead. Whoever digests events reads
    the texts of the table (``selectors.stored``)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decoder = _Decoder


class Event(models.Model):
    """One thing that happened. Append-only; a trigger allows one change: position, hash and how it
    was sealed, which the sealer sets once when it links the row into the chain."""

    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=64)
    actor = models.CharField(max_length=128)
    subject_type = models.CharField(max_length=32)
    subject_id = models.CharField(max_length=140)  # "<domain>/<tool>" is the longest
    run_id = models.UUIDField(null=True)
    payload = PayloadField(default=dict)
    position = models.BigIntegerField(null=True)
    hash = models.CharField(max_length=64, blank=True, default="")
    sealed_as = models.CharField(max_length=8, blank=True, db_default="")  # domain.chain: AS_…

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["position"],
                condition=models.Q(position__isnull=False),
                name="audit_event_position_unique",
            ),
        ]
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "id"], name="audit_event_subject"),
            models.Index(fields=["run_id", "id"], name="audit_event_run"),
            models.Index(
                fields=["id"], condition=models.Q(position=None), name="audit_event_unsealed"
            ),
            models.Index(
                KT(f"payload__{VIA}__request"),
                "id",
                condition=models.Q(payload__has_key=VIA),
                name="audit_event_request",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_type}:{self.subject_id}"

    @property
    def request(self) -> str:
        """The name of the request on which it happened, if it did on one."""
        via = self.payload.get(VIA) if isinstance(self.payload, dict) else None
        named = via.get("request") if isinstance(via, dict) else None
        return named if isinstance(named, str) else ""


class Subscription(models.Model):
    """How far a subscriber has come in the log: everything up to ``position`` was delivered to it
    or lies among its dead letters."""

    name = models.CharField(max_length=60, primary_key=True)
    position = models.BigIntegerField()
    delivered = models.BigIntegerField(db_default=0)  # events, since it was first known
    created_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(db_default=0)  # failures in a row at this place
    next_try_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, db_default="")  # the last one

    def __str__(self) -> str:
        return self.name


class DeadLetter(models.Model):
    """An event that could not be delivered to a subscriber, which went on without it."""

    subscription = models.ForeignKey(Subscription, models.PROTECT)
    event = models.ForeignKey(Event, models.PROTECT)
    at = models.DateTimeField(db_default=Now())
    tries = models.PositiveIntegerField()
    error = models.CharField(max_length=500)
    delivered_at = models.DateTimeField(null=True)
    delivered_by = models.CharField(max_length=128, blank=True, db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "event"], name="audit_deadletter_once"),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(delivered_at=None),
                name="audit_deadletter_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id}: event {self.event_id}"


class DutyStanding(models.Model):
    """A duty as it went when it was last done by anybody. ``did`` is how many things it found to
    do, where it counts them; ``token`` under which holder of the duties that was."""

    name = models.CharField(max_length=60, primary_key=True)
    words = models.CharField(max_length=200, blank=True, db_default="")  # what isn't done else
    every_s = models.FloatField()
    first_at = models.DateTimeField(db_default=Now())
    ran_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)  # in a row, up to now
    error = models.CharField(max_length=500, blank=True)
    took_ms = models.FloatField(default=0)
    did = models.BigIntegerField(null=True)
    set_aside = models.IntegerField(db_default=0)  # rows that it can't deal with at the moment
    aside = models.TextField(blank=True, db_default="")  # the first of them with why, one a line
    token = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return self.name


class DutyLease(models.Model):
    """Which process does the duties: one row. ``token`` grows with each holder; after ``until``
    (the database's clock) another one may take over."""

    name = models.CharField(max_length=20, primary_key=True)
    holder = models.CharField(max_length=128)
    token = models.BigIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"


class Checkpoint(models.Model):
    """A signed checkpoint, as it also stands in the file outside the database (append-only)."""

    count = models.BigIntegerField(primary_key=True)
    head = models.CharField(max_length=64)
    at = models.DateTimeField()
    key_id = models.CharField(max_length=32)
    signature = models.TextField()

    def __str__(self) -> str:
        return f"#{self.count}"


class Verification(models.Model):
    """How far the chain was walked. One that is ``rolling`` goes on with each new event; a full one
    goes from the first to ``target``. ``problem`` says what broke at ``broken_at``; ``notes`` are
    oddities that prove nothing."""

    class Kind(models.TextChoices):
        ROLLING = "rolling", "Each new event"
        FULL = "full", "The whole log"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    asked_by = models.CharField(max_length=128)
    began_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    position = models.BigIntegerField(default=0)  # walked up to here
    hash = models.CharField(max_length=64)  # of the event there
    target = models.BigIntegerField(default=0)
    checkpoints = models.BigIntegerField(default=0)  # that were found to fit on the way
    by_texts = models.BigIntegerField(default=0)  # sealed by their texts
    broken_at = models.BigIntegerField(null=True)
    problem = models.CharField(max_length=500, blank=True)
    notes = JSONField(default=list)

    class Meta:
        constraints = [
            # Of two sweepers that begin it, or two people who ask, one does.
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(ended_at=None),
                name="audit_verification_one_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.position}"
