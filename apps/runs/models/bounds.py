"""What bounds the work and who does it: breakers, stops, caps, rates, budgets, workers."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.kernel.models import JSONField
from apps.runs.domain.barrier import StopScope


class Breaker(models.Model):
    """Circuit breaker of one tool on one host, shared by all workers. Rows are transient: one that
    is missing is closed."""

    tool_name = models.CharField(max_length=140)  # "<domain>/<tool>"
    host = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=10, default="closed")  # closed | open | half_open
    window_started_at = models.DateTimeField(db_default=Now())
    calls = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    timeouts_in_a_row = models.PositiveIntegerField(default=0)
    probes_passed = models.PositiveSmallIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    open_until = models.DateTimeField(null=True)  # empty while a person keeps it open
    reason = models.CharField(max_length=500, blank=True)
    manual = models.BooleanField(default=False)
    actor = models.CharField(max_length=150, blank=True)  # who moved it last, if a person did
    changed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tool_name", "host"], name="runs_breaker_unique")
        ]


class Stop(models.Model):
    """Somebody has stopped a tool, an agent, a job or everything. ``percent`` of the runs are let
    go on while it is being lifted; a row with ``lifted_at`` is history."""

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=12, choices=[(s.value, s.value) for s in StopScope])
    target = models.CharField(max_length=140, blank=True)  # see domain.barrier.StopScope
    reason = models.CharField(max_length=500)
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField(db_default=Now())
    percent = models.PositiveSmallIntegerField(default=0)
    stage_by = models.CharField(max_length=150, blank=True)
    stage_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=150, blank=True)
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "target"],
                condition=models.Q(lifted_at=None),
                name="runs_stop_once_in_force",
            ),
            models.CheckConstraint(
                condition=models.Q(percent__lt=100), name="runs_stop_percent_below_100"
            ),
        ]


class Worker(models.Model):
    """A process that drains lanes, or another long-lived part, as last heard of."""

    name = models.CharField(max_length=80, primary_key=True)
    kind = models.CharField(max_length=16)  # worker | drainer | sweeper
    lane = models.CharField(max_length=32, blank=True)
    pid = models.PositiveIntegerField()
    host = models.CharField(max_length=120)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    in_flight = models.PositiveIntegerField(default=0)
    steps_done = models.BigIntegerField(default=0)
    # Calls at once that this process allows each tool by now: "<contract>/<tool>" → limit, in use,
    # waiting, ceiling, why it last changed
    limits = JSONField(default=dict, db_default={})
    parent = models.CharField(max_length=80, blank=True, db_default="")  # of a drain: its worker
    release = models.CharField(max_length=40, blank=True, db_default="")
    engine_version = models.PositiveSmallIntegerField(default=1, db_default=1)
    # Before a deploy: a draining worker finishes what it holds and takes nothing new.
    draining_at = models.DateTimeField(null=True)
    draining_by = models.CharField(max_length=150, blank=True, db_default="")
    # told to end by a signal; the row is what is left of it
    stopping_at = models.DateTimeField(null=True)


class Cap(models.Model):
    """What an administrator allows of one tool, job, agent or tenant, in all workers together."""

    class Scope(models.TextChoices):
        TOOL = "tool", "Tool"  # key: "<domain>/<tool>"
        JOB = "job", "Job"
        AGENT = "agent", "Agent"
        TENANT = "tenant", "Tenant"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    key = models.CharField(max_length=140)
    max_in_flight = models.PositiveIntegerField(null=True)  # steps at once
    per_minute = models.PositiveIntegerField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "key"], name="runs_cap_unique"),
            models.CheckConstraint(
                condition=models.Q(max_in_flight__gte=1) | models.Q(per_minute__gte=1),
                name="runs_cap_says_something",
            ),
        ]


class Rate(models.Model):
    """A token bucket as one moment: when the next call would be due if calls came evenly (GCRA).
    The row is locked by whoever charges it, so that two claimers never spend the same token."""

    key = models.CharField(max_length=200, primary_key=True)
    due_at = models.DateTimeField()


class Budget(models.Model):
    """What a tool's retries may still cost. No row: the budget is full."""

    tool_name = models.CharField(max_length=140, primary_key=True)  # "<domain>/<tool>"
    tokens = models.FloatField()
    refused = models.BigIntegerField(default=0, db_default=0)  # retries put off, ever
    changed_at = models.DateTimeField(db_default=Now())


class LoadSample(models.Model):
    """How much was waiting and done, as the sweep saw it every few seconds. Counters only grow
    (until the database's statistics are reset); the difference of two samples is a rate."""

    at = models.DateTimeField(primary_key=True, db_default=Now())
    queued = JSONField(default=dict)  # class → runs that wait for their first step
    deferred = models.PositiveIntegerField(default=0)
    runs = models.BigIntegerField(default=0)  # counter: runs taken in
    leases = models.BigIntegerField(default=0)  # counter: steps proposed; an old name
    calls = models.BigIntegerField(default=0)  # counter: attempts begun
    open_approvals = models.PositiveIntegerField(default=0)


class LaneMark(models.Model):
    """How a lane stood when the sweep last looked: the step that is due first, how much its workers
    had done, and when one of the two last changed."""

    lane = models.CharField(max_length=32, primary_key=True)
    head = models.UUIDField(null=True)
    done = models.BigIntegerField(default=0)
    moved_at = models.DateTimeField(db_default=Now())
    looked_at = models.DateTimeField(db_default=Now())
