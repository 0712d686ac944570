"""Our engine as a benchmark sees it: a database with the pack, runs to accept, rows to count.

Import it only when Django is set up: the environment names the database.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import django_rq
from django.core.management import call_command
from django.db import connection

from apps.audit.domain.actors import Actor
from apps.catalog.selectors import pinned
from apps.kernel.ids import new_id
from apps.runs.services import NewRun, start_runs

PACK = Path(__file__).parent / "pack"
STEPS = 10
OPEN = "('accepted', 'queued', 'running', 'waiting_approval')"
Item = dict[str, Any]


class DutyError(AssertionError):
    """A benchmark that skipped a duty of the engine is no benchmark."""


def prepare() -> None:
    """Tables, static files and pack."""
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("catalog", "apply", str(PACK), stdout=_Silent())
    clear_bells()


def clear_bells() -> None:
    django_rq.get_connection("normal").flushdb()


class _Silent:
    def write(self, text: str) -> None:
        """Nobody reads along."""


def call(tool: str, **arguments: Any) -> Item:
    return {"call": {"tool": tool, "args": arguments, "ref": ""}}


def ten_steps() -> list[Item]:
    """Half of the steps change something, each another thing, so that each owns an intent."""
    items: list[Item] = [{"hear": "Ten steps, please."}]
    items += [call("note" if n % 2 else "look", n=n) for n in range(STEPS)]
    return [*items, {"done": "done"}]


def start(scripts: Sequence[list[Item]], *, job: str = "bench-steps") -> list[UUID]:
    """Accept one run a script, in one transaction."""
    contract = pinned.current_contract(job)
    agent = pinned.agent_of_kind("bench", "reference")
    cases = [
        NewRun(
            job_slug=job,
            contract_version_id=contract.pk,
            agent_version_id=agent.pk,
            agent_kind="reference",
            agent_label="bench",
            items=items,
            domain_slug="bench",
            contract_number=contract.number,
            context={"world": f"bench/{new_id()}"},
        )
        for items in scripts
    ]
    return start_runs(cases, actor=Actor.user("bench"))


def start_many(script: list[Item], count: int, *, job: str = "bench-steps") -> list[UUID]:
    """Accept ``count`` runs in batches, as a desk that imports cases does."""
    found: list[UUID] = []
    while len(found) < count:
        found += start([script] * min(200, count - len(found)), job=job)
    return found


def left() -> int:
    """Runs that have not ended."""
    return int(query(f"select count(*) from runs_run where state in {OPEN}")[0][0])


def wait_until_done(*, seconds: float, pause: float = 0.05) -> None:
    """Wait until no run is open. Raises ``TimeoutError`` that says where they are."""
    end = time.monotonic() + seconds
    while query(f"select exists(select from runs_run where state in {OPEN})")[0][0]:
        if time.monotonic() > end:
            states = query("select state, count(*) from runs_run group by 1 order by 2 desc")
            raise TimeoutError(f"runs are still open after {seconds:g} s: {states}")
        time.sleep(pause)


def query(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True, slots=True)
class Duties:
    """Rows that some runs left behind."""

    runs: int
    succeeded: int
    steps: int
    attempts: int
    receipts: int
    intents: int
    decisions: int
    step_events: int
    run_events: int


COUNTS = """
select count(*), count(*) filter (where state = 'succeeded' and outcome <> ''),
  (select count(*) from runs_step where run_id = any(%(ids)s) and state = 'succeeded'
     and disposition = 'executed' and decision_id is not null and gate = 'permit'
     and result is not null and lease_token is null),
  (select count(*) from runs_attempt where run_id = any(%(ids)s) and outcome = 'ok'
     and duration_ms is not null and ended_at >= started_at),
  (select count(*) from runs_receipt where run_id = any(%(ids)s) and response_digest <> ''),
  (select count(*) from runs_intent i join runs_step s on s.id = i.step_id
     where i.run_id = any(%(ids)s) and s.effect = 'write' and i.key = s.idempotency_key),
  (select count(*) from policy_decision d join runs_step s on s.id = d.step_id
     where d.run_id = any(%(ids)s) and s.decision_id = d.id and d.answer = 'permit'
     and d.request_digest <> ''),
  (select count(*) from audit_event where run_id = any(%(ids)s) and kind = 'step.succeeded'),
  (select count(*) from audit_event where run_id = any(%(ids)s)
     and kind in ('run.accepted', 'run.succeeded'))
from runs_run where id = any(%(ids)s)
"""


def verify(runs: Sequence[UUID]) -> Duties:
    """That every step of these ten-step runs did its whole duty: decision, intent, attempt with
    times, receipt, audit event. Raises ``DutyError`` with what is missing."""
    found = Duties(*query(COUNTS, {"ids": list(runs)})[0])  # type: ignore[arg-type]  # named
    n = len(runs)
    steps = n * STEPS
    due = Duties(n, n, steps, steps, steps, steps // 2, steps, steps, 2 * n)
    if found != due:
        raise DutyError(f"rows are missing\n  there: {found}\n  due:   {due}")
    return found
