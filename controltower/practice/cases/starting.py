"""Start cases in the tower: pick the job, pin the contract, pin the agent."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

from apps.audit.domain.actors import Actor
from apps.catalog import selectors as catalog
from apps.catalog.domain.replaying import choose_job
from apps.catalog.selectors import pinned
from apps.kernel.errors import UnavailableError
from apps.runs.services import NewRun, start_runs
from controltower.practice.cases.scripts import Case, narrowest_job, with_result


def start_cases(cases: Sequence[Case], *, source: str, actor: Actor) -> list[UUID]:
    """Accept cases, all or none. Raises ``UnavailableError`` when a domain has no job yet."""
    return start_runs([new_run(case, source=source) for case in cases], actor=actor)


def _job(case: Case, jobs: Sequence[tuple[str, frozenset[str]]]) -> str:
    """A recorded agent's job is told from what the customer asked: nobody knows at the desk which
    tools it will use. Scripts that are written for a task name theirs, as a front desk would."""
    if case.agent_kind != "recorded":
        return narrowest_job(case.tools, jobs)
    return choose_job(pinned.replay_mappings().get(case.domain, {}), case.request, jobs)


def new_run(case: Case, *, source: str) -> NewRun:
    """A case under the current contract of the job that fits it best."""
    jobs = [(slug, tools) for slug, tools in pinned.current_jobs(case.domain).items()]
    if not jobs:
        raise UnavailableError(
            f"The catalog has no job in “{case.domain}”: apply its pack first"
            f" (manage.py catalog apply controltower/practice/packs/{case.domain}).",
            code="no_jobs",
        )
    contract = pinned.current_contract(_job(case, jobs))
    try:
        agent = pinned.agent_of_kind(case.domain, case.agent_kind)
    except ObjectDoesNotExist as error:
        raise UnavailableError(
            f"The pack “{case.domain}” has no agent of kind “{case.agent_kind}”.", code="no_agent"
        ) from error
    return NewRun(
        job_slug=contract.job.slug,
        contract_version_id=contract.pk,
        agent_version_id=agent.pk,
        agent_kind=case.agent_kind,
        agent_label=case.agent_label,
        items=with_result(case.items, catalog.contract(contract.pk).output),
        domain_slug=case.domain,
        contract_number=contract.number,
        customer=case.customer,
        request=case.request,
        source=source,
        case_ref=case.ref,
        context={"world": case.world, "dialect": case.dialect},
        input={"request": case.request},
        tokens_in=case.tokens_in,
        tokens_out=case.tokens_out,
        cost_microusd=case.cost_microusd,
    )
