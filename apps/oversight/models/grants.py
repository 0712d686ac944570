"""Grants that people gave for requests to come, and each use of one."""

from __future__ import annotations

from math import ceil

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from apps.kernel.models import AppendOnly, JSONField


class Grant(models.Model):
    """Approval of requests to come within bounds, by two people; see ``domain/grants.py``. What was
    proposed stays as it was proposed. ``used`` counts up to ``most_uses`` and no further: a
    constraint holds that, whoever writes."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "Waiting for confirmation"
        ACTIVE = "active", "Active"
        USED = "used", "All used"
        ENDED = "ended", "Time over"
        DECLINED = "declined", "Declined"
        REVOKED = "revoked", "Revoked"
        VOID = "void", "Void"  # what it was given for was published anew
        REFUSED = "refused", "Refused"  # nobody signed it as it stands

    id = models.UUIDField(primary_key=True)
    source = models.ForeignKey("approvals.Approval", on_delete=models.PROTECT, related_name="+")
    domain_slug = models.SlugField()
    job_slug = models.SlugField()
    tool_name = models.CharField(max_length=80)
    bounds = JSONField()
    most_uses = models.PositiveSmallIntegerField()
    used = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PROPOSED)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField()
    reason = models.TextField()
    proposal_signature = models.TextField()
    proposal_key = models.CharField(max_length=32)
    lapses_at = models.DateTimeField()  # unless it is confirmed by then
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)
    confirm_reason = models.TextField(blank=True)
    signature = models.TextField(blank=True)
    key_id = models.CharField(max_length=32, blank=True)
    ends_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True)
    ended_why = models.TextField(blank=True)

    class Meta:
        ordering = ["-proposed_at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(used__lte=models.F("most_uses")),
                name="approvals_grant_used_within_count",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["active", "used"])
                | models.Q(confirmed_by__isnull=False, ends_at__isnull=False),
                name="approvals_grant_counts_once_confirmed",
            ),
            models.CheckConstraint(
                condition=models.Q(confirmed_by=None)
                | ~models.Q(confirmed_by=models.F("proposed_by")),
                name="approvals_grant_two_people",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tool_name"],
                condition=models.Q(state="active"),
                name="approvals_grant_active",
            ),
            models.Index(fields=["state", "-proposed_at"], name="approvals_grant_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.most_uses} of {self.tool_name}"

    @property
    def is_open(self) -> bool:
        """Whether it waits for its confirmation or can be used. For pages: the database's clock
        decides."""
        until = self.lapses_at if self.state == self.State.PROPOSED else self.ends_at
        states = {self.State.PROPOSED, self.State.ACTIVE}
        return self.state in states and until is not None and until > timezone.now()

    @property
    def minutes_left(self) -> int:
        """Until it ends; for pages likewise."""
        until = self.ends_at or self.lapses_at
        return max(0, ceil((until - timezone.now()).total_seconds() / 60))


class GrantUse(AppendOnly):
    """A request that a grant answered. Of a grant they are numbered from 1."""

    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="uses")
    # One use answers one question; an answer that was taken back was a use all the same.
    approval = models.OneToOneField(
        "approvals.Approval", on_delete=models.PROTECT, related_name="grant_use"
    )
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["number"]
        constraints = [
            # Whoever set the count of a grant back could not use it once more.
            models.UniqueConstraint(fields=["grant", "number"], name="approvals_grantuse_numbered")
        ]
