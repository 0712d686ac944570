"""Fork a run: go on from one of its steps as a branch of its own."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from apps.audit.domain.actors import TOWER, Actor
from apps.audit.services import Fact, record_many
from apps.calls.services import hiding
from apps.catalog import selectors as catalog
from apps.catalog.selectors import pinned
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.ids import new_id
from apps.kernel.transactions import after_commit, command, participant
from apps.runs import course, dispatch, journal
from apps.runs.domain.forking import taken_over
from apps.runs.domain.results import RunSource
from apps.runs.domain.rows import TakenStep
from apps.runs.domain.states import UNDER_WAY
from apps.runs.journal import forking, results, tickets
from apps.runs.models import Run, RunScript
from apps.runs.selectors import lineage

LONGEST_LABEL = 80
LONGEST_REASON = 500
TAKEN = (
    *("domain_slug", "job_slug", "agent_kind", "agent_label", "case_ref", "customer", "request"),
    *("input", "context", "tenant", "criticality_class", "origin"),
)


@command
def fork_run(
    run_id: UUID,
    after_seq: int,
    contract_version_id: int | None,
    *,
    actor: Actor,
    reason: str,
    label: str = "",
    ticket: UUID | None = None,
) -> UUID:
    """A branch of a run that takes over its steps up to ``after_seq`` (0: none) and goes on from
    there, under the same contract version or another of the same job. Nothing that was done is
    done again: its receipts are taken over. Returns the branch's id, which is its form's
    ``ticket``: sent twice, it forks once. Raises ``ConflictError`` when a step to take over has not
    ended for good."""
    reason, label = reason.strip(), label.strip() or f"after step {after_seq}"
    if not reason or len(reason) > LONGEST_REASON:
        raise InvalidInputError("Say in a few words why it is forked.", field="reason")
    if len(label) > LONGEST_LABEL:
        raise InvalidInputError(f"At most {LONGEST_LABEL} characters.", field="label")
    parent = Run.objects.filter(pk=run_id).only("root_id").first()
    if parent is None:
        raise NotFoundError("There is no such run.")
    if not tickets.spend(ticket, use="fork", subject=run_id, actor=actor):
        return ticket
    # Locks the root against every transaction that is just opening an intent, before we look.
    root_id = forking.root_of(run_id, parent.root_id)
    found = lineage.plan(run_id, after_seq)
    if found.obstacle:
        raise ConflictError(found.obstacle, code="not_forkable")
    branch = _branch(found, contract_version_id, root_id=root_id, label=label)
    branch.id = branch.trace_id = ticket or branch.id
    _take_over(found, branch)
    _tell(found, branch, actor=actor, reason=reason)
    _begin(branch)
    after_commit(partial(dispatch.ring, branch.lane))
    return branch.id


def _branch(
    found: lineage.ForkPlan, contract_version_id: int | None, *, root_id: UUID, label: str
) -> Run:
    parent, version = found.run, found.run.contract_version
    if contract_version_id is not None and contract_version_id != version.pk:
        version = version.job.versions.filter(pk=contract_version_id).first()
        if version is None:
            raise InvalidInputError("This job has no such contract version.", field="contract")
    contract = catalog.contract(version.pk)
    run_id = new_id()
    return Run(
        **{name: getattr(parent, name) for name in TAKEN},
        id=run_id,
        trace_id=run_id,
        source=RunSource.FORK,
        parent_id=parent.id,
        root_id=root_id,
        forked_after=found.after_seq,
        branch=label,
        contract_version=version,
        contract_number=version.number,
        agent_version_id=_agent(parent, version),
        steps_total=found.after_seq,
        cursor=found.script.cursor,
        engine_version=settings.ENGINE_VERSION,
        lane=contract.lane if contract.lane in settings.LANES else "normal",
        priority=contract.priority,
        deadline_at=Now() + timedelta(seconds=contract.limits.deadline_s),
    )


def _agent(parent: Run, version: Any) -> int:
    """The agent's version: the parent's own, or what another contract version pins of it."""
    if version.pk == parent.contract_version_id:
        return parent.agent_version_id
    pins = catalog.resolved(version.pk).get("agents", {})
    return int(pins.get(pinned.agent_slug(parent.agent_version_id), parent.agent_version_id))


@participant
def _take_over(found: lineage.ForkPlan, branch: Run) -> None:
    Run.objects.bulk_create([branch])
    RunScript.objects.create(run_id=branch.id, items=hiding.branched(branch, found.script.items))
    forking.copy_messages(found.run.id, branch.id, upto=found.upto)
    steps = [TakenStep(s.id, new_id(), taken_over(s.disposition)) for s in found.taken]
    forking.copy_past(found.run.id, branch.id, steps=steps)


@participant
def _tell(found: lineage.ForkPlan, branch: Run, *, actor: Actor, reason: str) -> None:
    parent = found.run
    told = {
        "parent": str(parent.id),
        "branch": str(branch.id),
        "label": branch.branch,
        "after": found.after_seq,
        "contract": branch.contract_number,
        "reason": reason,
    }
    record_many(
        [
            Fact("run.accepted", actor, "run", str(branch.id), branch.id, told),
            Fact("run.forked", actor, "run", str(parent.id), parent.id, told),
        ]
    )


@participant
def _begin(branch: Run) -> None:
    """Propose the first step of its own. A branch with nothing left to propose ends at once."""
    mine = Run.objects.filter(pk=branch.pk)
    mine.filter(state="accepted").update(state="queued")
    path = course.advance_runs(course.load([branch.pk]).values(), notes={})
    row = path.runs[branch.pk]
    if row.state not in UNDER_WAY:
        mine.filter(state="queued").update(state="running", started_at=Now())
        told = {"outcome": row.outcome}
        record_many([Fact(f"run.{row.state}", TOWER, "run", str(branch.pk), branch.pk, told)])
    journal.update_runs([row])
    journal.add_messages(path.messages)
    results.keep(path.results)
    journal.add_steps(path.steps, owner="", lease_s=None)
