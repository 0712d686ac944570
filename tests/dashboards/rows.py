"""Runs as they stand after the fact, written directly: what the dashboards read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.catalog.models import Agent, AgentVersion, ContractVersion, Domain, Job
from apps.kernel.ids import new_id
from apps.oversight.models import Approval, Vote
from apps.policy.models import Decision, PolicySet, PolicyVersion
from apps.runs.models import Run

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


def contract_document(job: str, *, target: float, budget_s: float = 300) -> dict[str, Any]:
    """A whole contract of ``job``."""
    return {
        "job": job,
        "name": job,
        "owner": "Desk",
        "purpose": "To be measured.",
        "outcome": {"success": "resolved", "when_any_of": ["refund"], "target": target},
        "agent": {"slug": "shop-reference"},
        "tools": [{"name": "refund"}],
        "decisions": {"policy": "shop"},
        "slo": {"latency_p95_s": budget_s / 2, "latency_budget_s": budget_s},
    }


class Shop:
    """A small company: jobs with published contracts, one agent, one policy."""

    def __init__(self, slug: str = "shop") -> None:
        self.domain = Domain.objects.create(slug=slug, name=f"{slug.capitalize()} desk")
        agent = Agent.objects.create(slug=f"{slug}-reference", name="Reference", kind="reference")
        self.agent = AgentVersion.objects.create(agent=agent, number=1, digest="a")
        self.policies = PolicySet.objects.create(slug=slug, name="Shop", domain_slug=slug)
        self.policy = PolicyVersion.objects.create(
            policy_set=self.policies, number=1, text="", digest="p", published_at=_long_ago()
        )
        self.contracts: dict[tuple[str, int], ContractVersion] = {}

    def job(self, slug: str, *, target: float = 0.8, number: int = 1, **more: Any) -> None:
        """Publish version ``number`` of a job."""
        name = slug.replace("-", " ").capitalize()
        job, _ = Job.objects.update_or_create(
            slug=slug,
            defaults={
                "domain": self.domain,
                "name": name,
                "owner": "Ida",
                "current_number": number,
            },
        )
        self.contracts[slug, number] = ContractVersion.objects.create(
            job=job,
            number=number,
            text="",
            digest="d",
            document=contract_document(slug, target=target, **more),
            published_at=_long_ago(),
        )

    def runs(
        self,
        n: int,
        job: str,
        *,
        state: str = "succeeded",
        at: datetime = NOON,
        took_s: float | None = 10,
        number: int = 1,
        **values: Any,
    ) -> list[Run]:
        """``n`` runs of a job that started ``at`` and ended ``took_s`` later."""
        open_states = ("accepted", "queued", "running", "waiting_approval", "confirmation_unknown")
        ended = None if state in open_states or took_s is None else at + timedelta(seconds=took_s)
        row = {
            "domain_slug": self.domain.slug,
            "job_slug": job,
            "contract_number": number,
            "contract_version": self.contracts[job, number],
            "agent_version": self.agent,
            "agent_kind": "reference",
            "agent_label": "reference",
            "state": state,
            "outcome": "resolved" if state == "succeeded" else "",
            "created_at": at,
            "finished_at": ended,
            "deadline_at": at + timedelta(hours=4),
        }
        return Run.objects.bulk_create(
            Run(**{**row, "id": (key := new_id()), "trace_id": key, **values}) for _ in range(n)
        )

    def decide(
        self, runs: Sequence[Run], answer: str, rules: list[dict[str, Any]], *, at: datetime = NOON
    ) -> None:
        """One decision of policy a run."""
        Decision.objects.bulk_create(
            Decision(
                id=new_id(),
                at=at + timedelta(seconds=1),
                policy_version=self.policy,
                run_id=run.pk,
                step_id=new_id(),
                action="refund",
                answer=answer,
                rules=rules,
                request_digest="r",
            )
            for run in runs
        )

    def ask(
        self,
        run: Run,
        state: str,
        *,
        waited_s: float = 60,
        dwell_ms: int | None = None,
        user: Any = None,
        risk: int = 2,
    ) -> Approval:
        """A question about a run, answered ``waited_s`` after it was asked."""
        asked = run.created_at + timedelta(seconds=1)
        decided = state in ("approved", "rejected")
        approval = Approval.objects.create(
            id=new_id(),
            run_id=run.pk,
            step_id=new_id(),
            decision_id=new_id(),
            digest="d",
            binding={},
            state=state,
            sentence="Refund the toy",
            domain_slug=run.domain_slug,
            job_slug=run.job_slug,
            contract_number=run.contract_number,
            tool_name="refund",
            agent_slug="shop-reference",
            risk=risk,
            arguments={},
            created_at=asked,
            expires_at=asked + timedelta(hours=1),
            decided_at=asked + timedelta(seconds=waited_s) if decided else None,
        )
        if decided and user is not None:
            Vote.objects.create(
                approval=approval,
                user=user,
                approve=state == "approved",
                digest="d",
                nonce=str(approval.pk),
                dwell_ms=dwell_ms,
            )
        return approval


def _long_ago() -> datetime:
    return NOON - timedelta(days=400)
