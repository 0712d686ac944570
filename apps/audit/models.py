"""The audit log: one row a fact, written in the transaction of the fact itself."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.kernel.models import JSONField


class Event(models.Model):
    """One thing that happened. Append-only; a trigger allows one change: position and hash, which
    the sealer sets once when it links the row into the chain."""

    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=64)
    actor = models.CharField(max_length=128)
    subject_type = models.CharField(max_length=32)
    subject_id = models.CharField(max_length=140)  # "<domain>/<tool>" is the longest
    run_id = models.UUIDField(null=True)
    payload = JSONField(default=dict)
    position = models.BigIntegerField(null=True)
    hash = models.CharField(max_length=64, blank=True, default="")

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
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_type}:{self.subject_id}"
