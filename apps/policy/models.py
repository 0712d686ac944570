"""Policies as code, and each decision they took."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.documents.models import Draft, Version
from apps.kernel.models import AppendOnly, JSONField


class PolicySet(models.Model):
    """A named set of Cedar policies; a contract names the set that judges its steps. ``schema`` is
    what its first version is checked against, where that is written in the browser."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    domain_slug = models.SlugField()
    schema = JSONField(default=dict, db_default=models.Value({}, output_field=JSONField()))
    current_number = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.slug


class PolicyVersion(Version):
    """An immutable published text. ``limits`` are the numbers that rules compare with
    (``context.limits.x``); ``schema`` is the Cedar schema it was validated against (JSON)."""

    policy_set = models.ForeignKey(PolicySet, on_delete=models.PROTECT, related_name="versions")
    limits = JSONField(default=dict)
    schema = JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["policy_set", "number"], name="policy_version_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.policy_set_id} v{self.number}"


class PolicyDraft(Draft):
    """The next version of a policy set. ``text`` is a document: ``limits`` and ``policies``."""

    policy_set = models.OneToOneField(PolicySet, on_delete=models.CASCADE, related_name="draft")


class PolicyProof(models.Model):
    """What the solver found out about a text, by the digest of all that was asked. ``is_whole``:
    another try would find no more."""

    digest = models.CharField(primary_key=True, max_length=64)
    findings = JSONField()
    is_whole = models.BooleanField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.digest


class Backtest(models.Model):
    """Recorded decisions from ``since`` to ``until`` asked again under a text: how far it is
    (``place``: the last one that was counted), and what was counted."""

    policy_set = models.ForeignKey(PolicySet, on_delete=models.CASCADE, related_name="backtests")
    text = models.TextField()
    schema = JSONField(default=dict)
    revision = models.PositiveIntegerField()  # of the draft
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    place_at = models.DateTimeField()
    place_id = models.UUIDField(null=True)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    tally = JSONField(default=dict)
    trouble = models.TextField(blank=True, default="")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["policy_set"],
                condition=models.Q(ended_at=None),
                name="policy_backtest_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy_set_id}: {self.done} of {self.total}"


class Decision(AppendOnly):
    """One answer of the decision point, with everything needed to ask again."""

    class Answer(models.TextChoices):
        PERMIT = "permit", "Permit"
        HOLD = "hold", "Hold"
        DENY = "deny", "Deny"

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    policy_version = models.ForeignKey(
        PolicyVersion,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    run_id = models.UUIDField()
    step_id = models.UUIDField()
    action = models.CharField(max_length=80)
    answer = models.CharField(max_length=8, choices=Answer.choices)
    rules = JSONField(default=list)  # [{"id", "reason", "roles", "votes", "risk"}]
    roles = JSONField(default=list)
    votes = models.PositiveSmallIntegerField(default=0)
    risk = models.PositiveSmallIntegerField(default=1)
    errors = JSONField(default=list)
    request = JSONField(default=dict)
    request_digest = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["step_id", "at"], name="policy_decision_step"),
            models.Index(fields=["at", "answer"], name="policy_decision_at"),
            models.Index(fields=["run_id"], name="policy_decision_run"),
        ]
