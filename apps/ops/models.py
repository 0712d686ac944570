"""Where things of the world outside are named: what the page of one object goes by."""

from __future__ import annotations

from django.db import models


class ObjectReference(models.Model):
    """A step, or a run, that names a thing: an order, a flight, a customer. It is written when the
    events of the step or the run are delivered (``reactions``); nothing changes it. ``key`` is what
    the thing is found by (``ops_object_key`` of its id), ``value`` its id as it came, ``field``
    what it was called there."""

    key = models.CharField(max_length=120)
    value = models.CharField(max_length=120)
    field = models.CharField(max_length=80)
    run_id = models.UUIDField()
    step_id = models.UUIDField()  # the run's own id where the run itself is about it
    effect = models.CharField(max_length=12, blank=True)  # of the step; none of a run
    at = models.DateTimeField()

    class Meta:
        constraints = [
            # A step names a thing once, however often it is told. By run, for its page.
            models.UniqueConstraint(
                fields=["run_id", "step_id", "key"], name="ops_objectreference_once"
            )
        ]
        indexes = [models.Index(fields=["key", "-at", "-id"], name="ops_objectreference_key")]

    def __str__(self) -> str:
        return f"{self.field} {self.value}"
