"""Requests of machines that were carried out, so that the same one again gets the same answer."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Idempotency(models.Model):
    """One ``Idempotency-Key`` of a service account. The row exists before the work: its unique key
    is what lets only one of many identical requests begin. ``resource_id`` is the id that the work
    will use, chosen with the row, so that whoever takes over after a crash can find what was
    done."""

    account = models.ForeignKey(
        "accounts.ServiceAccount", on_delete=models.CASCADE, related_name="+"
    )
    key = models.CharField(max_length=255)
    operation = models.CharField(max_length=200)  # method and path
    fingerprint = models.CharField(max_length=64)
    resource_id = models.UUIDField()
    is_done = models.BooleanField(default=False)
    claims = models.PositiveIntegerField(default=1)  # rises with every take-over
    claimed_until = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True, default="")  # the answer's very bytes
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "key"], name="api_idempotency_key_unique"),
            models.CheckConstraint(
                condition=models.Q(is_done=False, status=None)
                | models.Q(is_done=True, status__gte=200, status__lt=300),
                name="api_idempotency_done_has_an_answer",
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="api_idempotency_expires")]

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"
