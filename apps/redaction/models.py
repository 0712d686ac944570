from __future__ import annotations

from django.db import models


class HiddenValue(models.Model):
    """A value behind a token, sealed. The only place where it is kept."""

    root_id = models.UUIDField()  # the run that was given it, or the root of its branches
    token = models.CharField(max_length=90)
    sealed = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["root_id", "token"], name="redaction_hiddenvalue_once")
        ]
