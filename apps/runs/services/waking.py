"""Let steps that waited for a person go on: with the answer, or as a person edited them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.calls.domain import keys
from apps.calls.services import hiding
from apps.catalog.selectors import contract, pinned
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.kernel.transactions import after_commit, participant
from apps.runs import dispatch, journal
from apps.runs.domain.states import State
from apps.runs.models import Run, Step


@participant
def queue_decided(approval_ids: Sequence[UUID]) -> int:
    """Queue the steps that waited for these approvals, and ring once it is committed. How many?"""
    lanes = journal.wake(approval_ids)
    after_commit(lambda: [dispatch.ring(lane) for lane in sorted(set(lanes))])
    return len(lanes)


@participant
def propose_anew(approval: Any, typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have the step of an approval propose these arguments: another change, with a key of its own.
    It is queued, and judged as any proposal (see ``oversight.registry``). Returns them as kept."""
    mine = Step.objects.filter(approval_id=approval.pk, state=State.WAITING_APPROVAL)
    step = mine.filter(compensates_id=None).select_related("run").first()
    if step is None:
        raise ConflictError("The step waits for this answer no more, or undoes another: reload.")
    version = step.tool_version_id
    schema = pinned.tool_document(version).get("input_schema") if version else None
    arguments, digest, wrong = hiding.edited(step.run, schema, typed)
    if wrong:
        raise InvalidInputError(wrong, code="schema", field="arguments")
    terms = contract(step.run.contract_version_id)
    root, tool = step.run.root_id or step.run_id, terms.tool(step.tool_name)
    own = step.pk if tool is not None and tool.repeatable else None
    key = step.idempotency_key and keys.change_key(root, step.tool_name, digest, own_step=own)
    # Guarded by the state: a step that was cancelled or woken meanwhile stays what it is.
    if not mine.update(arguments=arguments, arguments_digest=digest, idempotency_key=key):
        raise ConflictError("The run went on meanwhile; reload to see how.", code="run_ended")
    # An engine of before edits would carry it out as the agent's own: it takes this run no more.
    engine = settings.ENGINE_VERSION
    Run.objects.filter(pk=step.run_id, engine_version__lt=engine).update(engine_version=engine)
    queue_decided([approval.pk])
    return arguments
