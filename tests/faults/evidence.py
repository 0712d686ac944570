"""What the checker looks at: rows of PostgreSQL, the tool service's ledger, the calls seen on the
wire, and what clients were told. Gathered in one place, so that the invariants are plain functions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.audit import selectors as log
from apps.audit.models import Event
from apps.audit.selectors import content
from apps.audit.services import seal
from apps.catalog.models import ContractVersion
from apps.oversight.models import Approval, Vote
from apps.policy.models import Decision, PolicyVersion
from apps.runs.models import Attempt, Finding, Intent, Receipt, Run, RunScript, Step
from tests.faults.plant import Plant
from tests.faults.proxy import Arrival

Row = dict[str, Any]
SEALED_WITHIN_S = 10  # by whoever holds the log at the end
VOTE_COLUMNS = ("approval_id", "user_id", "approve", "digest", "at")


@dataclass
class Evidence:
    """Rows as dictionaries by column. ``runs`` bounds everything else but the chain."""

    now: datetime
    runs: dict[UUID, Row] = field(default_factory=dict)
    steps: dict[UUID, Row] = field(default_factory=dict)
    intents: list[Row] = field(default_factory=list)
    scripts: dict[UUID, list[str]] = field(default_factory=dict)  # run → tools in order
    receipts: dict[UUID, Row] = field(default_factory=dict)
    attempts: list[Row] = field(default_factory=list)
    findings: list[Row] = field(default_factory=list)
    approvals: dict[UUID, Row] = field(default_factory=dict)
    votes: list[Row] = field(default_factory=list)
    holds: set[UUID] = field(default_factory=set)  # steps that policy wanted a person for
    starters: dict[UUID, str] = field(default_factory=dict)  # run → who started it
    publications: list[Row] = field(default_factory=list)  # versions with author and approver
    transitions: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)  # with the transaction that wrote them
    legal: set[tuple[str, str]] = field(default_factory=set)  # the table in the database
    chain: Sequence[tuple[int, str, Mapping[str, Any]]] = ()
    unsealed: int = 0
    ledger: list[Row] = field(default_factory=list)  # the witness
    arrivals: list[Arrival] = field(default_factory=list)  # the wire
    accepted: list[UUID] = field(default_factory=list)  # what clients were told
    sockets: list[dict[str, int]] = field(default_factory=list)  # each client's last seq by stream
    heads: dict[str, int] = field(default_factory=dict)

    @classmethod
    def gather(
        cls, plant: Plant, *, since: datetime, sockets: Sequence[dict[str, int]] = ()
    ) -> Evidence:
        """Everything about the runs accepted since then."""
        ledger = plant.ledger()  # first: what is intended later can't have happened yet
        end = time.monotonic() + SEALED_WITHIN_S
        # A sweeper that is about to end seals too: what it holds isn't ours to seal.
        while seal() or (Event.objects.filter(position=None).exists() and time.monotonic() < end):
            time.sleep(0.02)
        rows = Run.objects.filter(created_at__gte=since)
        runs = {r["id"]: r for r in rows.values()}
        told = list(plant.accepted)
        runs |= {r["id"]: r for r in Run.objects.filter(id__in=told).values()}
        runs = {i: {**r, "world": r["context"].get("world", "live")} for i, r in runs.items()}
        ids = list(runs)
        mine = {"run_id__in": ids}
        steps = {s["id"]: s for s in Step.objects.filter(**mine).values()}
        asked = {a["id"]: a for a in Approval.objects.filter(**mine).values()}
        found = cls(
            now=database_now(),
            runs=runs,
            steps=steps,
            intents=list(Intent.objects.filter(**mine).values()),
            scripts={
                script.run_id: [i["call"]["tool"] for i in script.items if "call" in i]
                for script in RunScript.objects.filter(run__parent_id=None, **mine)
            },
            receipts={r["step_id"]: r for r in Receipt.objects.filter(**mine).values()},
            attempts=list(Attempt.objects.filter(**mine).values()),
            findings=list(Finding.objects.filter(**mine).values()),
            approvals=asked,
            votes=list(
                Vote.objects.filter(approval__in=asked).values(*VOTE_COLUMNS, "user__username")
            ),
            holds=set(
                Decision.objects.filter(answer="hold", **mine).values_list("step_id", flat=True)
            ),
            publications=_publications(),
            accepted=told,
            arrivals=list(plant.tool_proxy.arrivals),
        )
        found._read_ledgers(ids)
        found._read_chain(plant)
        worlds = {r["world"] for r in runs.values()}
        found.ledger = [e for e in ledger if e["world"] in worlds]
        found.sockets = list(sockets)
        streams = {s for seen in sockets for s in seen}
        found.heads = log.heads(sorted(streams)) if streams else {}
        return found

    def _read_ledgers(self, ids: Sequence[UUID]) -> None:
        columns = "kind, subject, run_id, old, new, xact::text AS xact, at"
        self.transitions = _rows(
            f"SELECT {columns} FROM proof_transition WHERE run_id = ANY(%s) ORDER BY id", [ids]
        )
        self.events = _rows(
            "SELECT event, kind, subject, run_id, xact::text AS xact FROM proof_event"
            " WHERE run_id = ANY(%s) ORDER BY event",
            [ids],
        )
        self.legal = {(r["old"], r["new"]) for r in _rows("SELECT * FROM runs_transition", [])}
        self.starters = {
            r["run_id"]: r["actor"]
            for r in Event.objects.filter(kind="run.accepted", run_id__in=ids).values()
        }

    def _read_chain(self, plant: Plant) -> None:
        rows = Event.objects.exclude(position=None).order_by("position")
        self.chain = [(r.position or 0, r.hash, content(r)) for r in rows]
        self.unsealed = Event.objects.filter(position=None).count()


def _publications() -> list[Row]:
    columns = ("id", "author_id", "approver_id")
    return [
        *ContractVersion.objects.values(*columns),
        *PolicyVersion.objects.values(*columns),
    ]


def database_now() -> datetime:
    """The clock that decides."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def _rows(sql: str, params: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(p) for p in params])
        names = [c.name for c in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
