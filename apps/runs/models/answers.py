"""What tools answered beyond text, what runs gave back, and how far asking about lost calls has
come."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.kernel.models import AppendOnly, JSONField


class AnswerBody(AppendOnly):
    """A file of a tool's answer, by its digest: an image, a document, a value that can't be read.
    A step's ``result`` names those that belong to it; branches of a run share them."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    body = models.BinaryField()
    at = models.DateTimeField(db_default=Now())


class RunResult(AppendOnly):
    """What a run gave back, as it was given: the agent's claim, in the shape that its contract's
    ``output`` asks for. Only runs that succeeded have one. JSON's ``null`` is SQL's."""

    run_id = models.UUIDField(primary_key=True)
    value = JSONField(null=True)
    at = models.DateTimeField(db_default=Now())


class LookUp(models.Model):
    """How often the tower itself has asked a tool about a lost call since its attempt number
    ``round``, and what came of it last. The step's ``not_before`` says when it asks again."""

    step_id = models.UUIDField(primary_key=True)
    round = models.PositiveSmallIntegerField()
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    word = models.CharField(max_length=12, blank=True, db_default="")  # of domain.finding.Looked
    said = models.CharField(max_length=500, blank=True, db_default="")
    at = models.DateTimeField(db_default=Now())
