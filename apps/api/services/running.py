"""Start and cancel runs for a machine, each once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from apps.accounts.domain.tokens import Principal, Refused
from apps.accounts.services import spend_start
from apps.api.domain.problems import input_problems, problem
from apps.api.selectors import run_document
from apps.api.services.idempotency import KeyedRequest, KeyedResponse, answer_once
from apps.calls.domain.admission import Class
from apps.calls.domain.naming import given_label, live_label
from apps.catalog import selectors as catalog
from apps.catalog.adapters import reach_first
from apps.catalog.domain.contract import Contract
from apps.catalog.selectors import pinned
from apps.catalog.selectors.pinned import Beginning
from apps.kernel.errors import InvalidInputError, NotFoundError, UnavailableError
from apps.ops.selectors.detail import run_by_id
from apps.ops.selectors.runs import spent_usd
from apps.runs.domain.results import RunSource
from apps.runs.services import NewRun, cancel_run, start_run

COSTLY_RETRY_S = 15 * 60
SHED_RETRY_S = 60  # when a shed run doesn't say itself when to come back


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a machine asks for. ``messages``: (role, text) pairs said so far; ``script``: every step
    of a scripted agent, for tests and integration; without one the live model works."""

    job: str
    input: Mapping[str, Any] = field(default_factory=dict)
    customer: str = ""
    reference: str = ""
    messages: Sequence[tuple[str, str]] = ()
    script: Sequence[Mapping[str, Any]] | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    batch: bool = False  # may wait, and is turned away first


def start(request: KeyedRequest, wanted: RunRequest, *, principal: Principal) -> KeyedResponse:
    """Start a run, or find the one that this request started before. 429, with nothing begun, once
    the token has started as many as it may, or its account's have cost as much."""

    def work(run_id: UUID, is_first: bool) -> KeyedResponse:
        if not is_first and (known := _answer_of(run_id)):
            return known
        new = new_run(wanted, account=principal.name)
        if refused := _over_budget(principal):
            return _come_back(refused)
        try:
            start_run(replace(new, id=run_id), actor=request.actor)
        except IntegrityError:
            # The request whose place was taken over was quicker after all: the run is there.
            if known := _answer_of(run_id):
                return known
            raise
        known = _answer_of(run_id)
        assert known is not None, "the run was just committed"  # noqa: S101
        return known

    return answer_once(request, work)


def _over_budget(principal: Principal) -> Refused | None:
    bound = principal.usd_per_day
    if bound is not None and spent_usd(principal.name) >= bound:
        words = f"The runs of {principal.name} have cost ${bound} or more in the last 24 hours."
        return Refused("too_costly", words, retry_after=COSTLY_RETRY_S)
    return spend_start(principal.token_id) if principal.starts_per_hour else None


def _come_back(refused: Refused) -> KeyedResponse:
    """Nothing was begun, so the same key may be sent again."""
    told = problem(
        429,
        refused.code,
        refused.sentence,
        fix=f"Send the same request again after {refused.retry_after} s, or have an administrator"
        " make a token with a larger budget.",
        retry_after=refused.retry_after,
    )
    body = json.dumps(told)
    return KeyedResponse(429, body, is_final=False, retry_after=refused.retry_after)


def cancel(request: KeyedRequest, run_id: UUID, *, reason: str) -> KeyedResponse:
    """Cancel a run, or find that this account did so before, for the same reason."""

    def work(_: UUID, is_first: bool) -> KeyedResponse:
        # The same order again is no conflict, so that a dead request's place can simply be taken.
        cancel_run(run_id, actor=request.actor, reason=reason)
        return KeyedResponse(200, json.dumps(run_document(run_by_id(run_id))))

    return answer_once(request, work)


def _answer_of(run_id: UUID) -> KeyedResponse | None:
    """What to say of a run that was just asked for; nothing if there is none."""
    try:
        run = run_by_id(run_id)
    except NotFoundError:
        return None
    if run.state != "shed":
        document = run_document(run)
        return KeyedResponse(202, json.dumps(document), location=document["links"]["self"])
    back = run.deferred_until
    wait = math.ceil((back - timezone.now()).total_seconds()) if back else SHED_RETRY_S
    seconds = max(1, wait)
    told = problem(
        429,
        "shed",
        run.admission_reason or "The tower is overloaded.",
        fix=f"Send the same request again after {seconds} s.",
        run=str(run_id),
        retry_after=seconds,
    )
    return KeyedResponse(429, json.dumps(told), is_final=False, retry_after=seconds)


def new_run(wanted: RunRequest, *, account: str) -> NewRun:
    """The request under the current contract of its job. Raises errors that name field and fix."""
    kind = "model" if wanted.script is None else "reference"
    begins = _beginning(wanted.job, kind)
    contract = catalog.contract(begins.contract_version_id)
    if wrongs := input_problems(wanted.input, contract.input, at="input"):
        raise InvalidInputError(
            "The input doesn't match the contract's input schema.",
            code="invalid_input",
            wrongs=wrongs,
        )
    agent_id, label = _agent(begins, kind, contract, account)
    items, request = _items(wanted)
    return NewRun(
        job_slug=wanted.job,
        contract_version_id=begins.contract_version_id,
        agent_version_id=agent_id,
        agent_kind=kind,
        agent_label=label,
        items=items,
        domain_slug=begins.domain_slug,
        contract_number=begins.contract_number,
        customer=wanted.customer,
        request=request,
        source=RunSource.API,
        case_ref=wanted.reference,
        context=wanted.context,
        input=dict(wanted.input),
        criticality_class=int(Class.C3) if wanted.batch else None,
        tenant=account,
    )


def _beginning(job: str, kind: str) -> Beginning:
    try:
        return pinned.beginning(job, kind=kind)
    except NotFoundError as error:
        fix = "The catalog lists the jobs that are published."
        raise InvalidInputError(str(error), code="no_such_job", field="/job", fix=fix) from error


def _agent(begins: Beginning, kind: str, contract: Contract, account: str) -> tuple[int, str]:
    """Version and label of who works on it."""
    if kind == "reference":
        return _of_kind(begins, kind), given_label(account)
    chosen = catalog.agent_version(contract.agent.slug)
    resolved = catalog.resolved(begins.contract_version_id)
    version_id = resolved.get("agents", {}).get(contract.agent.slug) or chosen.pk
    if chosen.agent.kind != "model":
        version_id = _of_kind(begins, kind)
    return version_id, live_label(_model_of(version_id, begins.contract_version_id))


def _model_of(agent_version_id: int, contract_version_id: int) -> str:
    """What the model is called that would be asked first. Raises UnavailableError where none can
    be: such a run would only fail."""
    try:
        return reach_first(pinned.asked_models(agent_version_id, contract_version_id)).label
    except UnavailableError as error:
        if error.code != "not_configured":
            fix = "Mend that, or send a script."
            raise UnavailableError(str(error), code="no_model", field="/script", fix=fix) from error
        raise UnavailableError(
            "No live model is configured in this tower, and the request brings no script.",
            code="no_model",
            field="/script",
            fix="Set TOWER_MODEL, TOWER_MODEL_URL and TOWER_MODEL_KEY, or send a script.",
        ) from error


def _of_kind(begins: Beginning, kind: str) -> int:
    if begins.agent_version_id is None:
        raise UnavailableError(
            f"The domain “{begins.domain_slug}” has no agent of kind “{kind}”.",
            code="no_agent",
            fix="Its pack has to name one.",
        )
    return begins.agent_version_id


def _items(wanted: RunRequest) -> tuple[list[dict[str, Any]], str]:
    """The script from the beginning of the conversation on, and the customer's first words."""
    heard = [text for role, text in wanted.messages if role == "customer"]
    asked = wanted.input.get("request")
    request = asked if isinstance(asked, str) and asked else next(iter(heard), "")
    items = [{"hear" if role == "customer" else "say": text} for role, text in wanted.messages]
    if not items and request:
        items = [{"hear": request}]
    if wanted.script is None and not items:
        raise InvalidInputError(
            "The request has no customer message to work on.",
            code="nothing_asked",
            field="/messages",
            fix="Send what the customer said, as messages or as input.request.",
        )
    items += [dict(item) for item in wanted.script or ()]
    if wanted.script is not None and not (items and "done" in items[-1]):
        items.append({"done": "The given script ends here."})
    return items, request
