"""Abstract bases that several apps share."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Draft(models.Model):
    """An unpublished next version of a document. ``revision`` guards against two editors
    overwriting each other: a save names the revision it read and must hit exactly one row."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_REVIEW = "in_review", "In review"

    text = models.TextField()
    base_number = models.PositiveIntegerField()
    revision = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT)
    note = models.TextField(blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class AppendOnly(models.Model):
    """A row that is written once. The database refuses changes too (a trigger per table)."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__} rows are written once and never changed")
        super().save(*args, **kwargs)
