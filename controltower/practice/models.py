"""What the practice companies keep in the tower's database."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Desk(models.Model):
    """Whether new cases arrive by themselves: one row a domain, switched on the home page."""

    domain_slug = models.SlugField(primary_key=True)
    is_open = models.BooleanField(default=True)
    per_minute = models.FloatField(default=2.0)
    next_case_at = models.DateTimeField(db_default=Now())
    next_index = models.PositiveIntegerField(default=0)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "runs_desk"  # where earlier releases look for it, which may run beside this one
