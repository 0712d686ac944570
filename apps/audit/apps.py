from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string

from apps.audit.domain.duty import Duty
from apps.audit.domain.guard import Guard
from apps.audit.domain.subscriber import Subscriber
from apps.audit.registry import add_duties, add_guards, subscribe

SCREENS = Subscriber(
    name="audit.screens",
    words="open pages may show a change late",
    kinds=(),
    handler="apps.audit.reactions.tell_screens",
)

HOURLY = 3600.0
DUTIES = (
    Duty(
        "sealed",
        "the audit log is not linked into its chain",
        "apps.audit.services.seal",
        aside="apps.audit.services.UNSEALABLE",
    ),
    Duty(
        "checkpoints",
        "no new checkpoint says outside the database what the log holds",
        "apps.audit.services.checkpointing.checkpoint",
    ),
    Duty(
        "verified",
        "nobody looks whether the log is still as it was written",
        "apps.audit.services.verifying.verify_on",
    ),
    Duty(
        "shipped",
        "checkpoints of the audit log stay on this machine",
        "apps.audit.services.anchoring.ship",
        every_s=HOURLY,
        waits=True,
    ),
    Duty(
        "stamped",
        "no authority stamps the audit log's checkpoints",
        "apps.audit.services.anchoring.stamp",
        every_s=HOURLY,
        waits=True,
    ),
    Duty("delivered", "events may not reach who reacts to them", "apps.audit.services.deliver_all"),
)
# The sealer writes these, once each: a trigger sees to that.
LOG = Guard("audit_event", changes=("position", "hash", "sealed_as"))
CHECKPOINTS = Guard("audit_checkpoint")


class AuditConfig(AppConfig):
    name = "apps.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        subscribe(SCREENS)
        add_duties(*DUTIES)
        add_guards(LOG, CHECKPOINTS)
        # By name: they ask for models, which aren't there before an app is ready.
        register(Tags.database)(import_string("apps.audit.services.guarding.examine"))
        # Apps are told when the tables of all of them are there.
        grant_again = import_string("apps.audit.services.guarding.grant_again")
        post_migrate.connect(grant_again, sender=self)
