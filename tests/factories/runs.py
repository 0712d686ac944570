"""Runs as the engine leaves them: at the desk of an airline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import factory
from django.apps import apps
from django.utils import timezone

from apps.kernel.canonical import digest
from apps.kernel.ids import new_id
from apps.oversight.models import Approval
from apps.policy.models import Decision, PolicySet, PolicyVersion
from apps.runs.models import Attempt, Message, Receipt, Run, Step
from tests.factories.approvals import ApprovalFactory

JOB = "airline-cancel-reservation"
ARGUMENTS = {"reservation_id": "Q69X3R", "reason": "change of plan"}


def contract_version(slug: str = JOB, number: int = 3) -> Any:
    """A published contract of a job, made once."""
    model = apps.get_app_config("catalog").get_model
    domain, _ = model("Domain").objects.get_or_create(
        slug="airline", defaults={"name": "Airline support desk"}
    )
    job, _ = model("Job").objects.get_or_create(
        slug=slug,
        defaults={"domain": domain, "name": slug.replace("-", " ").capitalize(), "owner": "Dana"},
    )
    version, _ = model("ContractVersion").objects.get_or_create(
        job=job, number=number, defaults={"text": "job: x", "document": {}, "digest": "c" * 64}
    )
    return version


def agent_version(slug: str = "airline-recorded", kind: str = "recorded") -> Any:
    """An agent's version, made once."""
    model = apps.get_app_config("catalog").get_model
    agent, _ = model("Agent").objects.get_or_create(
        slug=slug, defaults={"name": slug, "kind": kind}
    )
    version, _ = model("AgentVersion").objects.get_or_create(
        agent=agent, number=1, defaults={"digest": "a" * 64}
    )
    return version


def policy_version() -> PolicyVersion:
    """The airline's policy, made once."""
    policy_set, _ = PolicySet.objects.get_or_create(
        slug="airline", defaults={"name": "Airline desk", "domain_slug": "airline"}
    )
    version, _ = PolicyVersion.objects.get_or_create(
        policy_set=policy_set, number=4, defaults={"text": "permit", "digest": "p" * 64}
    )
    return version


class RunFactory(factory.django.DjangoModelFactory[Run]):
    class Meta:
        model = Run

    class Params:
        done = factory.Trait(
            state="succeeded",
            outcome="resolved",
            started_at=factory.LazyAttribute(lambda o: o.created_at),
            finished_at=factory.LazyAttribute(lambda o: o.created_at + timedelta(seconds=3.2)),
        )

    id = factory.LazyFunction(new_id)
    trace_id = factory.LazyAttribute(lambda o: o.id)
    domain_slug = "airline"
    job_slug = JOB
    contract_number = 3
    contract_version = factory.LazyAttribute(lambda o: contract_version(o.job_slug))
    agent_version = factory.LazyFunction(agent_version)
    agent_kind = "recorded"
    agent_label = "recorded gpt-4o"
    source = "desk"
    case_ref = factory.Sequence(lambda n: f"airline/{n}")
    customer = "sofia_kim_7287"
    request = "Hi, I want to cancel my reservation Q69X3R, my plans have changed."
    state = "running"
    created_at = factory.LazyFunction(timezone.now)
    deadline_at = factory.LazyAttribute(lambda o: o.created_at + timedelta(hours=4))


class StepFactory(factory.django.DjangoModelFactory[Step]):
    class Meta:
        model = Step

    class Params:
        done = factory.Trait(
            state="succeeded",
            disposition="executed",
            gate="permit",
            gated_at=factory.LazyAttribute(lambda o: o.created_at + timedelta(milliseconds=20)),
            started_at=factory.LazyAttribute(lambda o: o.created_at + timedelta(milliseconds=10)),
            finished_at=factory.LazyAttribute(lambda o: o.created_at + timedelta(milliseconds=90)),
            result={"text": '{"reservation_id": "Q69X3R", "status": "cancelled"}'},
        )

    id = factory.LazyFunction(new_id)
    run = factory.SubFactory(RunFactory)
    seq = factory.Sequence(lambda n: n + 1)
    tool_name = "cancel_reservation"
    effect = "irreversible"
    idempotency = "keyed"
    arguments = factory.LazyFunction(lambda: dict(ARGUMENTS))
    arguments_digest = factory.LazyAttribute(lambda o: digest(o.arguments, purpose="test"))
    idempotency_key = factory.LazyAttribute(lambda o: o.arguments_digest)
    created_at = factory.LazyFunction(timezone.now)


class AttemptFactory(factory.django.DjangoModelFactory[Attempt]):
    class Meta:
        model = Attempt

    id = factory.LazyFunction(new_id)
    step = factory.SubFactory(StepFactory)
    run_id = factory.LazyAttribute(lambda o: o.step.run_id)
    number = 1
    lease_token = 7
    worker = "drainer-1"
    started_at = factory.LazyAttribute(lambda o: o.step.created_at + timedelta(milliseconds=30))
    duration_ms = 50.0
    ended_at = factory.LazyAttribute(lambda o: o.started_at + timedelta(milliseconds=o.duration_ms))
    outcome = "ok"
    http_status = 200


class MessageFactory(factory.django.DjangoModelFactory[Message]):
    class Meta:
        model = Message

    run = factory.SubFactory(RunFactory)
    seq = factory.Sequence(lambda n: n + 1)
    role = "customer"
    content = "Hi, I want to cancel my reservation Q69X3R, my plans have changed."


class ReceiptFactory(factory.django.DjangoModelFactory[Receipt]):
    class Meta:
        model = Receipt

    step = factory.SubFactory(StepFactory)
    run_id = factory.LazyAttribute(lambda o: o.step.run_id)
    idempotency_key = factory.LazyAttribute(lambda o: o.step.idempotency_key)
    provider_ref = "ledger/41"
    response_digest = "d" * 64


class DecisionFactory(factory.django.DjangoModelFactory[Decision]):
    class Meta:
        model = Decision

    id = factory.LazyFunction(new_id)
    policy_version = factory.LazyFunction(policy_version)
    run_id = factory.LazyFunction(new_id)
    step_id = factory.LazyFunction(new_id)
    action = "cancel_reservation"
    answer = "permit"
    rules = factory.LazyFunction(
        lambda: [{"id": "tools-of-the-contract", "reason": "The contract lists this tool"}]
    )
    request_digest = "r" * 64


HOLD_RULES = [
    {
        "id": "refund-above-limit",
        "reason": "The refund is above what the desk may give by itself",
        "observed": [
            {
                "name": "facts.amount_cents",
                "value": 124000,
                "operator": ">",
                "limit": "approval_amount_cents",
                "limit_value": 50000,
            }
        ],
        "roles": ["operator"],
    }
]


def step_done(run: Run, seq: int, *, at: datetime, **fields: Any) -> Step:
    """A step that was carried out: decision, attempt and receipt included."""
    step = StepFactory.create(run=run, seq=seq, done=True, created_at=at, **fields)
    DecisionFactory.create(run_id=run.id, step_id=step.id, action=step.tool_name)
    AttemptFactory.create(step=step)
    ReceiptFactory.create(step=step)
    return step


def eventful_run(*, now: datetime | None = None) -> Run:
    """A run in which everything happened that a timeline can show: a conversation, reads, a retry,
    an answer of a person, a repeat, a denial, a call whose answer was lost, a step that waits."""
    now = now or timezone.now()
    start = now - timedelta(minutes=42)
    run = RunFactory.create(
        state="waiting_approval", created_at=start, started_at=start, steps_total=7, retries=2,
        had_hold=True, has_violation=True, summary="",
    )  # fmt: skip
    talk = [
        ("customer", "Hi, I want to cancel my reservation Q69X3R, my plans have changed."),
        ("agent", "I can do that. ✅ Policy check passed. Shall I refund $1,240.00?"),
        ("customer", "Yes please.\u202e gnp.exe <b onclick=alert(1)>now</b>"),
    ]
    for seq, (role, text) in enumerate(talk, start=1):
        MessageFactory.create(
            run=run, seq=seq, role=role, content=text, at=start + timedelta(seconds=seq)
        )
    second = timedelta(seconds=1)
    step_done(
        run, 1, at=start + second, tool_name="get_user_details", effect="read",
        arguments={"user_id": "sofia_kim_7287"}, after_message=1,
    )  # fmt: skip
    _retried(run, 2, start + 2 * second)
    _approved(run, 3, start + 4 * second)
    original = run.steps.get(seq=3)
    StepFactory.create(
        run=run, seq=4, state="succeeded", disposition="deduplicated", gate="permit",
        deduplicated_from=original.id, after_message=3, created_at=start + timedelta(minutes=31),
        finished_at=start + timedelta(minutes=31, milliseconds=40), result=original.result,
    )  # fmt: skip
    _denied(run, 5, start + timedelta(minutes=31, seconds=2))
    _lost(run, 6, start + timedelta(minutes=31, seconds=4))
    _waiting(run, 7, now - timedelta(minutes=9))
    return run


def _retried(run: Run, seq: int, at: datetime) -> None:
    step = step_done(
        run, seq, at=at, tool_name="get_reservation_details", effect="read",
        arguments={"reservation_id": "Q69X3R"}, after_message=1, attempts_made=3,
    )  # fmt: skip
    first = step.attempts.get()
    Attempt.objects.filter(pk=first.pk).update(
        outcome="retryable", http_status=503, error_class="unavailable", error="503 from the tool"
    )
    AttemptFactory.create(
        step=step, number=2, started_at=at + timedelta(milliseconds=500), duration_ms=300,
        outcome="timeout", http_status=None, error_class="timeout",
    )  # fmt: skip
    AttemptFactory.create(step=step, number=3, started_at=at + timedelta(milliseconds=1400))
    Step.objects.filter(pk=step.pk).update(finished_at=at + timedelta(milliseconds=1470))


def _approved(run: Run, seq: int, at: datetime) -> None:
    step = step_done(run, seq, at=at, after_message=3)
    DecisionFactory.create(
        run_id=run.id, step_id=step.id, answer="hold", rules=HOLD_RULES, roles=["operator"], risk=3
    )
    ApprovalFactory.create(
        run_id=run.id, step_id=step.id, state="approved", created_at=at,
        decided_at=at + timedelta(minutes=30), reason="Fare rules allow it", risk=3,
        expires_at=at + timedelta(hours=4),
    )  # fmt: skip
    Attempt.objects.filter(step=step).update(
        started_at=at + timedelta(minutes=30, milliseconds=20),
        ended_at=at + timedelta(minutes=30, milliseconds=90),
    )
    Step.objects.filter(pk=step.pk).update(finished_at=at + timedelta(minutes=30, milliseconds=95))


def _denied(run: Run, seq: int, at: datetime) -> None:
    step = StepFactory.create(
        run=run, seq=seq, state="failed", disposition="denied", gate="deny", created_at=at,
        gated_at=at + timedelta(milliseconds=30), started_at=at + timedelta(milliseconds=10),
        finished_at=at + timedelta(milliseconds=35), tool_name="send_certificate",
        arguments={"user_id": "sofia_kim_7287", "amount": 9007199254740991}, after_message=3,
    )  # fmt: skip
    rules = [{"id": "no-certificate-unasked", "reason": "Nobody complained about a delay"}]
    DecisionFactory.create(run_id=run.id, step_id=step.id, answer="deny", rules=rules)


def _lost(run: Run, seq: int, at: datetime) -> None:
    step = StepFactory.create(
        run=run, seq=seq, state="confirmation_unknown", disposition="unknown", gate="permit",
        gated_at=at + timedelta(milliseconds=20), started_at=at, created_at=at,
        intent_open=True, idempotency="none", tool_name="book_reservation", after_message=3,
        error_class="connection_lost", error="The connection was lost after the body was sent.",
    )  # fmt: skip
    AttemptFactory.create(
        step=step, outcome="unknown", http_status=None, duration_ms=900,
        error_class="connection_lost",
    )  # fmt: skip


def _waiting(run: Run, seq: int, at: datetime) -> Approval:
    step = StepFactory.create(
        run=run, seq=seq, state="waiting_approval", gate="hold", created_at=at, started_at=at,
        gated_at=at + timedelta(milliseconds=15), tool_name="update_reservation_flights",
        effect="write", after_message=3,
    )  # fmt: skip
    DecisionFactory.create(
        run_id=run.id, step_id=step.id, answer="hold", rules=HOLD_RULES, roles=["operator"], risk=3
    )
    return ApprovalFactory.create(
        run_id=run.id, step_id=step.id, created_at=at, risk=3, expires_at=at + timedelta(hours=4),
        tool_name=step.tool_name, sentence="Change the flights of reservation Q69X3R",
    )  # fmt: skip
