"""Branches: what a fork takes over, who may make one, and two runs side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.calls.domain import keys
from apps.catalog.models import ContractVersion, Tool, ToolServer, ToolVersion
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.ids import new_id
from apps.ops.selectors import comparing
from apps.ops.selectors.lineage import versions_of
from apps.ops.selectors.undoing import heirs
from apps.oversight import gate
from apps.policy.domain.decision import Answer, PolicyDecision
from apps.runs import journal
from apps.runs.journal import forking
from apps.runs.models import Intent, Message, Receipt, Run, RunScript, Step
from apps.runs.services import fork_run
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import (
    ARGUMENTS,
    DecisionFactory,
    MessageFactory,
    RunFactory,
    StepFactory,
    contract_version,
    step_done,
)

pytestmark = pytest.mark.django_db
USER = {"user_id": "sofia_kim_7287"}
RESERVATION = {"reservation_id": "Q69X3R"}
TALK = [
    ("customer", "Hi, I want to cancel my reservation Q69X3R, my plans have changed."),
    ("agent", "Shall I refund $1,240.00 to your card?"),
    ("customer", "Yes please."),
]
CALLS = [
    ("get_user_details", "read", USER, 1),
    ("get_reservation_details", "read", RESERVATION, 1),
    ("cancel_reservation", "irreversible", ARGUMENTS, 3),
]


def script(*calls: tuple[str, Any], start: int = 0) -> list[dict[str, Any]]:
    """What a recorded agent says and proposes in such a run."""
    said = [{"hear": TALK[0][1]}, *[_call(c[0], c[2]) for c in CALLS[:2]]]
    said += [{"say": TALK[1][1]}, {"hear": TALK[2][1]}, _call(*CALLS[2][::2])]
    return [*said, *[_call(*c) for c in calls], {"done": "cancelled"}]


def _call(tool: str, arguments: Any) -> dict[str, Any]:
    return {"call": {"tool": tool, "args": arguments, "ref": ""}}


def versions() -> tuple[Any, Any]:
    """Two published versions of the job's contract, and the tools they list."""
    old = contract_version(number=1)
    document = {
        "job": old.job.slug,
        "name": "Cancel a reservation",
        "owner": "Dana",
        "purpose": "Reservations are cancelled as the fare allows.",
        "outcome": {"when_any_of": ["cancel_reservation"]},
        "agent": {"slug": "airline-recorded"},
        "tools": [{"name": name} for name, *_ in CALLS],
        "decisions": {"policy": "airline"},
    }
    server, _ = ToolServer.objects.get_or_create(slug="airline")
    for name, effect, *_ in CALLS:
        tool, made = Tool.objects.get_or_create(
            domain=old.job.domain, server=server, name=name, defaults={"current_number": 1}
        )
        if made:
            ToolVersion.objects.create(
                tool=tool,
                number=1,
                document={"name": name},
                fingerprint=name,
                effect=effect,
                idempotency="keyed",
            )
    return tuple(  # type: ignore[return-value]  # two
        ContractVersion.objects.get_or_create(
            job=old.job,
            number=n,
            defaults={"text": "", "document": document, "digest": f"{n}" * 64},
        )[0]
        for n in (7, 8)
    )


def parent_run(**changes: Any) -> Run:
    """A recorded run that cancelled a reservation, with its conversation and receipts."""
    version, _ = versions()
    start = timezone.now() - timedelta(minutes=9)
    run = RunFactory.create(
        done=True,
        created_at=start,
        steps_total=3,
        cursor=7,
        contract_version=version,
        contract_number=version.number,
        **changes,
    )
    RunScript.objects.create(run=run, items=script())
    for seq, (role, content) in enumerate(TALK, start=1):
        MessageFactory.create(run=run, seq=seq, role=role, content=content, at=start)
    for seq, (tool, effect, arguments, after) in enumerate(CALLS, start=1):
        found = keys.arguments_digest(dict(arguments))
        step = step_done(
            run,
            seq,
            at=start + timedelta(seconds=seq),
            tool_name=tool,
            effect=effect,
            arguments=arguments,
            arguments_digest=found,
            idempotency_key=keys.change_key(run.id, tool, found) if effect != "read" else "",
            after_message=after,
        )
        if effect != "read":
            Intent.objects.create(run=run, key=step.idempotency_key, step=step)
    return run


def fork(run: Run, after: int, version: int | None = None, **changes: Any) -> Run:
    given = {"actor": Actor.user("dana"), "reason": "to try it", **changes}
    return Run.objects.get(pk=fork_run(run.id, after, version, **given))


def test_a_branch_takes_over_what_was_said_and_done() -> None:
    parent = parent_run()

    branch = fork(parent, 2, label="ask again")

    assert (branch.parent_id, branch.root_id, branch.forked_after) == (parent.id, parent.id, 2)
    assert (branch.branch, branch.source, branch.state) == ("ask again", "fork", "queued")
    assert (branch.context, branch.customer) == (parent.context, parent.customer)
    said = Message.objects.filter(run=branch).values_list("role", "content")
    assert list(said) == TALK  # the rest of it was said again by the script
    first, second, third = Step.objects.filter(run=branch).order_by("seq")
    theirs = list(Step.objects.filter(run=parent).order_by("seq"))
    assert [first.inherited_from, second.inherited_from] == [theirs[0].id, theirs[1].id]
    assert {first.disposition, second.disposition} == {"inherited"}
    assert first.result == theirs[0].result
    assert first.attempts.count() == 0
    assert Receipt.objects.get(step=first).evidence == "inherited"
    assert Receipt.objects.get(step=first).received_at == theirs[0].receipt.received_at
    assert (third.state, third.idempotency_key) == ("queued", theirs[2].idempotency_key)
    parent.refresh_from_db()
    assert (parent.root_id, parent.parent_id, parent.state) == (parent.id, None, "succeeded")


def test_who_forked_what_and_why_is_told_to_both_runs() -> None:
    parent = parent_run()
    branch = fork(parent, 1, label="another try")

    events = {e.kind: e for e in Event.objects.all()}

    assert events["run.accepted"].run_id == branch.id
    assert events["run.forked"].run_id == parent.id
    told = events["run.forked"].payload
    assert (told["after"], told["reason"], told["label"]) == (1, "to try it", "another try")
    assert told["branch"] == str(branch.id)


def test_a_branch_with_nothing_left_to_propose_is_judged_at_once() -> None:
    branch = fork(parent_run(), 3)

    assert (branch.state, branch.outcome) == ("succeeded", "resolved")
    assert Step.objects.get(run=branch, seq=3).disposition == "inherited"
    assert Event.objects.filter(kind="run.succeeded", run_id=branch.id).exists()


def test_a_branch_runs_under_the_version_that_was_chosen() -> None:
    parent = parent_run()
    newer = versions_of(parent)[0]

    branch = fork(parent, 2, newer.pk)

    assert (branch.contract_number, newer.number) == (8, 8)
    with pytest.raises(InvalidInputError, match="no such contract version"):
        fork(parent, 2, contract_version("another-job", 1).pk)


@pytest.mark.parametrize("state", ["confirmation_unknown", "waiting_approval", "compensated"])
def test_a_step_that_has_not_ended_for_good_is_not_taken_over(state: str) -> None:
    parent = parent_run()
    last = Step.objects.filter(run=parent).order_by("seq").last()
    assert last is not None
    StepFactory.create(run=parent, seq=last.seq + 1, state=state, after_message=last.after_message)

    with pytest.raises(ConflictError, match=f"Step {last.seq + 1}"):
        fork(parent, last.seq + 1)
    assert fork(parent, last.seq).forked_after == last.seq


def test_what_was_undone_is_neither_taken_over_nor_inherited(client_as: Any) -> None:
    """An undoing is a step of its own; the step that it undoes keeps its state."""
    parent = parent_run()
    branch = fork(parent, 2)
    owner = Step.objects.get(run=parent, seq=3)
    pair = (branch.id, owner.idempotency_key)

    def state() -> str:
        with transaction.atomic():
            return str(journal.owners_of([pair])[pair].state)

    def crossing() -> list[int]:
        with transaction.atomic():
            return [m.seq for m in forking._mutations({parent.id})[parent.id]]

    assert (state(), crossing()) == ("succeeded", [3])
    tries = {"at": timezone.now(), "tool_name": "book", "compensates_id": owner.pk}
    step_done(parent, 4, state="failed", **tries)
    assert (state(), crossing()) == ("compensating", [3])
    step_done(parent, 5, **tries)
    assert (state(), crossing()) == ("compensated", [])

    with pytest.raises(ConflictError, match="Step 3 has been undone"):
        fork(parent, 3)
    text = page(client_as("operator"), reverse("runs:fork", args=[parent.id]), after=2)
    assert "undone since" in text
    assert "will be inherited" not in text


def test_who_undoes_is_told_which_branches_build_on_it() -> None:
    parent = parent_run()
    assert heirs(parent) == []
    branch = fork(parent, 3)
    parent.refresh_from_db()

    assert heirs(parent) == [branch.id]


def test_a_fork_needs_a_reason_and_a_run() -> None:
    with pytest.raises(InvalidInputError):
        fork(parent_run(), 1, reason="  ")
    with pytest.raises(NotFoundError):
        fork_run(uuid4(), 0, None, actor=Actor.user("x"), reason="y")


def test_two_branches_cannot_both_own_a_change() -> None:
    parent = parent_run()
    owned = Intent.objects.get()
    branch = fork(parent, 2)

    with pytest.raises(IntegrityError), transaction.atomic():
        Intent.objects.create(
            run_id=branch.root_id, key=owned.key, step=Step.objects.get(run=branch, seq=3)
        )


@pytest.mark.django_db(transaction=True)
def test_a_fork_waits_for_whoever_is_just_opening_an_intent() -> None:
    """Who looked before the fork has committed when the branch looks: no change is missed."""
    parent = parent_run()

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            assert forking._lock_lineages({parent.id}) == {}
            forked = thread.submit(_fork_elsewhere, parent)
            while not _somebody_waits_for_a_lock():
                assert not forked.done()
        branch = forked.result(timeout=60)

    with transaction.atomic():
        assert forking._lock_lineages({parent.id}) == {parent.id: parent.id}
    assert branch.root_id == parent.id


def _fork_elsewhere(parent: Run) -> Run:
    try:
        return fork(parent, 2)
    finally:
        connections.close_all()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def decided(answer: str) -> Any:
    return gate.policy.Decided(new_id(), PolicyDecision(Answer(answer), rules=({"id": "r"},)))


@pytest.mark.parametrize(
    ("policy_says", "gate_says"), [("permit", "hold"), ("hold", "hold"), ("deny", "deny")]
)
def test_a_doubt_holds_what_policy_permits_and_never_what_it_denies(
    monkeypatch: pytest.MonkeyPatch, policy_says: str, gate_says: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(gate.policy, "decide_batch", lambda asks: [decided(policy_says)])
    monkeypatch.setattr(gate, "_wait_their_turn", lambda held: {})
    monkeypatch.setattr(gate.services, "cover", lambda fresh: None)
    monkeypatch.setattr(gate.services, "request_batch", lambda qs: asked.extend(qs) or [uuid4()])
    ask = gate.GateRequest(
        step_id=uuid4(),
        run_id=uuid4(),
        policy_slug="p",
        request=SimpleNamespace(tool="t"),  # type: ignore[arg-type]  # policy is not asked here
        binding=dict,
        question=dict,
        must_hold=gate.Doubt("branch-conflict", "Another branch did it."),
    )

    if gate_says == "deny":
        monkeypatch.setattr(gate.services, "request_batch", lambda qs: [])
    [given] = gate.gate_batch([ask])

    assert given.answer == gate_says
    if gate_says == "hold":
        assert asked[0].rules[0]["reason"] == "Another branch did it."
        assert asked[0].risk == 3


# --- pages ----------------------------------------------------------------------------------------


def page(client: Client, url: str, status: int = 200, **query: Any) -> str:
    response = client.get(url, query)
    assert response.status_code == status, response.status_code
    return response.content.decode()


def test_the_page_previews_what_a_fork_takes_over_and_proposes(client_as: Any) -> None:
    parent = parent_run()

    text = page(client_as("operator"), reverse("runs:fork", args=[parent.id]), after=1)

    assert "1 step with their results" in text
    assert text.index("Proposed from there") < text.index("will be inherited")  # the cancellation
    assert "v8, published" in text
    assert text.index("v7: the same as this run") < text.index("v8, published")


def test_a_fork_is_made_from_the_page_and_shows_its_lineage(client_as: Any) -> None:
    parent = parent_run()
    client = client_as("operator")
    form = {
        "after": "2",
        "reason": "to see",
        "label": "second <try>",
        "contract": "",
        "ticket": new_id(),
    }

    answer = client.post(reverse("runs:start_fork", args=[parent.id]), form)

    branch = Run.objects.get(parent_id=parent.id)
    assert answer.headers["Location"] == reverse("runs:detail", args=[branch.id])
    text = page(client, reverse("runs:detail", args=[branch.id]))
    assert "second &lt;try&gt;" in text
    assert f"{reverse('runs:detail', args=[parent.id])}?step=2" in text
    text = page(client, reverse("runs:detail", args=[parent.id]))
    assert "1 branch forked from this run" in text
    text = page(client, reverse("runs:step", args=[branch.id, 1]))
    assert "Not done here: inherited" in text
    assert "Fork from here" in text


def test_a_form_that_is_sent_twice_forks_once(client_as: Any) -> None:
    parent = parent_run()
    client = client_as("operator")
    text = page(client, reverse("runs:fork", args=[parent.id]), after=2)
    ticket = text.partition('name="ticket" value="')[2][:36]
    form = {"after": "2", "reason": "to see", "ticket": ticket}

    answers = [client.post(reverse("runs:start_fork", args=[parent.id]), form) for _ in range(2)]

    branch = Run.objects.get(parent_id=parent.id)
    assert str(branch.id) == ticket
    assert {a.headers["Location"] for a in answers} == {reverse("runs:detail", args=[branch.id])}


def test_a_fork_that_cannot_be_is_a_conflict_with_the_reason(client_as: Any) -> None:
    parent = parent_run()
    client = client_as("admin")
    url = reverse("runs:start_fork", args=[parent.id])
    form = {"after": "1", "reason": "x", "ticket": new_id()}

    assert client.post(url, {**form, "after": "9"}).status_code == 409
    assert client.post(url, {**form, "reason": ""}).status_code == 422
    assert client.post(url, {**form, "after": "nine"}).status_code == 422
    assert "has no such step" in page(client, reverse("runs:fork", args=[parent.id]), after=9)
    assert client.get(reverse("runs:fork", args=[uuid4()])).status_code == 404
    assert not Run.objects.filter(parent_id=parent.id).exists()


def test_a_step_that_crosses_another_branch_says_so(client_as: Any) -> None:
    parent = parent_run()
    step = Step.objects.get(run=parent, seq=3)
    rule = {"id": "branch-conflict", "reason": "Another branch has changed <this>."}
    ApprovalFactory.create(run_id=parent.id, step_id=step.id, rules=[rule])

    text = page(client_as("auditor"), reverse("runs:step", args=[parent.id, 3]))

    assert "Another branch has changed &lt;this&gt;." in text


def test_an_auditor_sees_no_way_to_fork(client_as: Any) -> None:
    parent = parent_run()
    client = client_as("auditor")

    assert "Fork from here" not in page(client, reverse("runs:step", args=[parent.id, 1]))
    assert client.get(reverse("runs:fork", args=[parent.id])).status_code == 403


def compare(client: Client, a: UUID | str, b: UUID | str, status: int = 200) -> str:
    return page(client, reverse("runs:compare"), status, a=a, b=b)


def test_a_branch_is_compared_with_its_parent(client_as: Any) -> None:
    parent = parent_run()
    branch = fork(parent, 2)
    Step.objects.filter(run=branch, seq=3).update(arguments={**ARGUMENTS, "reason": "no <reason>"})
    Step.objects.filter(run=branch, seq=3).update(arguments_digest="other")

    text = compare(client_as("auditor"), parent.id, branch.id)

    assert "Both proposed “cancel_reservation” at step 3 with different arguments." in text
    assert "B is a branch of A, forked after step 2." in text
    assert "no &lt;reason&gt;" in text
    assert "3 rows, 1 different" in text
    assert text.index("Where they part") < text.index("The two runs")


def test_policy_that_answered_differently_is_where_two_runs_part() -> None:
    one, other = parent_run(), parent_run()
    step = Step.objects.get(run=other, seq=2)
    Step.objects.filter(pk=step.pk).update(gate="hold")
    DecisionFactory.create(run_id=other.id, step_id=step.id, answer="hold", rules=[{"id": "x"}])

    found = comparing.compare(one.id, other.id)

    assert found.sentence.endswith("and the gate answered permit in A, hold in B.")
    assert found.first is not None
    assert found.first.differs == ("gate",)
    assert found.kinship == ""


def test_answers_are_told_apart_value_by_value() -> None:
    one = {"content": '{"address": {"city": "Denver"}, "items": [1, 2]}', "data": None}
    other = {"content": '{"address": {"city": "New York"}, "items": [1]}', "data": None}

    found = comparing.answers_that_differ(one, other)

    assert [(c.name, c.left, c.right) for c in found] == [
        ("content.address.city", "Denver", "New York"),
        ("content.items[1]", "2", None),
    ]
    assert comparing.answers_that_differ({"n": list(range(99))}, {"n": []}) == ()


def test_another_spelling_of_a_number_is_no_difference() -> None:
    one = {"content": '{"balance": 1.0, "wei": 1e18}', "data": None}
    other = {"content": '{"wei": 1000000000000000000, "balance": 1}', "data": None}

    assert comparing.answers_that_differ(one, other) == ()
    assert [c.name for c in comparing.answers_that_differ({"a": 1}, {"a": True})] == ["a"]
    long = {"content": '{"n": 12345678901234567890.10}'}
    assert [
        (c.left, c.right)
        for c in comparing.answers_that_differ(long, {"content": '{"n": 12345678901234567890.11}'})
    ] == [("12345678901234567890.1", "12345678901234567890.11")]


def test_a_run_is_compared_with_itself(client_as: Any) -> None:
    parent = parent_run()

    text = compare(client_as("operator"), parent.id, parent.id)

    assert "took the same steps" in text
    assert "one and the same run" in text


def test_what_cannot_be_compared_is_said_plainly(client_as: Any) -> None:
    parent = parent_run()
    client = client_as("operator")

    assert "is not a run id" in compare(client, parent.id, "xyz", 422)
    assert "There is no run" in compare(client, uuid4(), parent.id, 404)
    assert "Run A" in page(client, reverse("runs:compare"))


def test_runs_to_compare_with_are_suggested_kin_first(client_as: Any) -> None:
    parent = parent_run()
    other = RunFactory.create(done=True)
    same = RunFactory.create(case_ref=parent.case_ref, created_at=parent.created_at)

    assert [r.id for r in comparing.suggestions(parent)] == [same.id, other.id]
    text = page(client_as("operator"), reverse("runs:compare"), a=parent.id)
    assert f"?a={parent.id}&amp;b={same.id}" in text


def test_a_branch_says_that_what_it_inherited_was_undone_since(client_as: Any) -> None:
    parent = parent_run()
    branch = fork(parent, 3)
    client = client_as("auditor")
    url = reverse("runs:detail", args=[branch.id])
    assert "no longer so" not in page(client, url, step=3)
    effect = Step.objects.get(run=parent, seq=3)
    undoing = StepFactory.create(
        run=parent, seq=4, tool_name="book_again", state="queued", effect="write",
        compensates_id=effect.id,
    )  # fmt: skip

    assert "is being undone" in page(client, url)
    Step.objects.filter(pk=undoing.pk).update(state="running")
    Step.objects.filter(pk=undoing.pk).update(state="failed")
    assert "is being undone" not in page(client, url)
    StepFactory.create(
        run=parent, seq=5, tool_name="book_again", done=True, effect="write",
        compensates_id=effect.id,
    )  # fmt: skip

    text = page(client, url, step=3)
    assert text.count("was undone since") == 2  # in the head, and in the open step
    assert f"{reverse('runs:detail', args=[parent.id])}?step=5" in text
    assert "no longer so" not in page(client, reverse("runs:detail", args=[parent.id]))
