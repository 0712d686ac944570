"""Who is away, and how people pass questions on or put them off."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from apps.oversight.domain.away import TimeAway


class Absence(models.Model):
    """A person is away for a while, and who stands in; see ``domain/away.py``. What was planned
    stays as it was planned: who stood in for whom at any moment is known later too. It can be ended
    once, before its time."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    stand_in = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["begins_at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("begins_at")),
                name="approvals_absence_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=models.Q(stand_in=None) | ~models.Q(stand_in=models.F("person")),
                name="approvals_absence_stand_in_is_another",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, ended_by=None)
                | models.Q(ended_by__isnull=False, ended_at__lte=models.F("ends_at")),
                name="approvals_absence_ended_before_its_end",
            ),
        ]
        indexes = [
            models.Index(
                fields=["ends_at"],
                condition=models.Q(ended_at=None),
                name="approvals_absence_open",
            )
        ]

    @property
    def until(self) -> datetime:
        """When it ends, or ended."""
        return self.ended_at or self.ends_at

    @property
    def has_begun(self) -> bool:
        """For pages only: the database's clock decides."""
        return self.begins_at <= timezone.now()

    @property
    def planned(self) -> TimeAway:
        """What it counts for; nothing of one that was ended before it began."""
        return TimeAway(self.person_id, self.begins_at, self.until, self.stand_in_id)


class Delegation(models.Model):
    """Somebody asked a person by name to decide a question, and says why. It is over once it is
    given back, delegated on, or that person has voted."""

    approval = models.ForeignKey(
        "approvals.Approval", on_delete=models.PROTECT, related_name="delegations"
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    to = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    # Who was named and is away: it went to whoever is there in their stead.
    instead_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    note = models.CharField(max_length=500)
    at = models.DateTimeField(db_default=Now())
    over_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            # A question is one person's at a time, whoever delegates it at once.
            models.UniqueConstraint(
                fields=["approval"],
                condition=models.Q(over_at=None),
                name="approvals_delegation_one_at_a_time",
            )
        ]
        indexes = [
            models.Index(
                fields=["to", "approval"],
                condition=models.Q(over_at=None),
                name="approvals_delegated",
            )
        ]


class Snooze(models.Model):
    """One person doesn't want to see a question until then: see ``domain/snoozing.py``. It is gone
    once they are called about it, or it is delegated to them."""

    approval = models.ForeignKey(
        "approvals.Approval", on_delete=models.CASCADE, related_name="snoozes"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["approval", "user"], name="approvals_snooze_one_per_person"
            )
        ]
        indexes = [models.Index(fields=["user", "until"], name="approvals_snoozed")]
