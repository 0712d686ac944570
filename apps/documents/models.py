"""The tables of a kind of document: what every kind's drafts and versions have."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.documents.domain.life import DraftState as LifeState
from apps.documents.domain.life import Life, ReviewApproval
from apps.kernel.models import JSONField

NONE_YET = models.Value([], output_field=JSONField())


class Draft(models.Model):
    """An unpublished next version of a document; ``domain.life`` says what may become of it.
    ``approvals``: [{"person", "name", "note", "at"}] of this very revision. ``earlier``: the texts
    that another author wrote over, oldest first: [{"name", "at", "text"}], with "unread_json" where
    there was some. ``trouble`` says why it could not be published at its time. ``unread_json``:
    what was typed as JSON since and can't be brought into the text; empty where the text says
    all."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_REVIEW = "in_review", "In review"
        SCHEDULED = "scheduled", "Scheduled"

    text = models.TextField()
    unread_json = models.TextField(blank=True, default="", db_default="")
    base_number = models.PositiveIntegerField()
    revision = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT)
    note = models.TextField(blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approvals = JSONField(default=list, db_default=NONE_YET)
    publish_at = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True, default="", db_default="")
    earlier = JSONField(default=list, db_default=NONE_YET)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())  # when its text or state was changed

    class Meta:
        abstract = True

    @property
    def life(self) -> Life:
        """Where it stands."""
        return Life(
            author=self.author_id,
            base=self.base_number,
            revision=self.revision,
            state=LifeState(self.state),
            note=self.note,
            approvals=tuple(ReviewApproval(**given) for given in self.approvals),
            publish_at=self.publish_at,
        )


class Version(models.Model):
    """A published text, never changed again (a trigger per table). ``note`` is its publisher's;
    ``notes`` all that was said on its way: [{"act", "who", "person", "note", "at"}]."""

    number = models.PositiveIntegerField()
    text = models.TextField()
    digest = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    notes = JSONField(default=list, db_default=NONE_YET)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


def columns(life: Life) -> dict[str, Any]:
    """A life as the columns of its draft."""
    return {
        "author_id": life.author,
        "base_number": life.base,
        "revision": life.revision,
        "state": str(life.state),
        "note": life.note,
        "approvals": [
            {"person": a.person, "name": a.name, "note": a.note, "at": a.at} for a in life.approvals
        ],
        "publish_at": life.publish_at,
    }
