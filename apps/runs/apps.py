from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from apps.accounts.domain.roles import EVERYONE, Permission, Role
from apps.accounts.registry import add_permissions
from apps.audit.domain.duty import Duty
from apps.audit.domain.guard import Guard
from apps.audit.domain.streams import RUN, Stream
from apps.audit.domain.subscriber import Subscriber
from apps.audit.registry import add_duties, add_guards, add_streams, subscribe
from apps.catalog.registry import count_open_runs_by
from apps.oversight.registry import add_parties, propose_edits_by

# The kinds are ``reactions.DECIDED``, which can't be imported before the models are there.
DECISIONS = Subscriber(
    name="runs.decisions",
    words="steps whose question was answered may sleep on",
    kinds=("approval.approved", "approval.rejected", "approval.expired", "approval.void"),
    handler="apps.runs.reactions.approval_changed",
    hint=True,
)

DUTIES = (
    Duty(
        "mark_lanes",
        "nobody would see that a lane stands still",
        "apps.runs.journal.lanes.mark_lanes",
    ),
    Duty(
        "resumed_runs",
        "steps of resumed runs may stay parked",
        "apps.runs.services.unpark_resumed",
        aside="apps.runs.services.pausing.NOT_LET_GO",
    ),
    Duty(
        "lifted_stops",
        "steps may stay parked after a stop was lifted",
        "apps.runs.services.stops.wake_freed",
        aside="apps.runs.services.stops.NOT_FREED",
    ),
    Duty("admitted", "deferred runs do not begin", "apps.runs.services.tend_queue"),
    Duty("forgotten_drains", "rows of ended drains pile up", "apps.runs.services.forget_drains"),
    Duty(
        "looked_up",
        "lost calls are not asked about",
        "apps.runs.reconcile.look_up_due",
        every_s=settings.SWEEP_SECONDS,
        waits=True,
    ),
)

PERMISSIONS = (
    Permission("runs.view", EVERYONE),
    Permission("runs.control", frozenset({Role.OPERATOR, Role.ADMIN})),
    Permission("runs.reconcile", frozenset({Role.OPERATOR})),
    Permission("runs.fork", frozenset({Role.OPERATOR, Role.ADMIN})),
    Permission("runs.undo", frozenset({Role.OPERATOR})),
    Permission("load.control", frozenset({Role.ADMIN})),
    Permission("stops.place", frozenset({Role.OPERATOR, Role.ADMIN})),
    Permission("stops.lift_all", frozenset({Role.ADMIN})),
)
STREAMS = (
    Stream("runs", "runs.view", kinds=("run",), quiet=("step",)),
    Stream(RUN, "runs.view"),
)


class RunsConfig(AppConfig):
    name = "apps.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        add_permissions(*PERMISSIONS)
        add_streams(*STREAMS)
        subscribe(DECISIONS)
        add_duties(*DUTIES)
        add_guards(Guard("runs_receipt"), Guard("runs_finding"))
        count_open_runs_by("apps.runs.selectors.load.on_their_way")
        propose_edits_by("apps.runs.services.waking.propose_anew")
        add_parties("apps.runs.selectors.lineage.requesters")
