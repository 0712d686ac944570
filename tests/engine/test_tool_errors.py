"""Errors that are looked up before they are believed, lost calls that are looked up later, and what
is kept of an answer: through a drain, against a raw tool server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.db.models.functions import Now
from django.urls import reverse

from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from apps.kernel import exactjson
from apps.runs import reconcile
from apps.runs.domain.finding import MOST_LOOK_UPS
from apps.runs.engine import deciding
from apps.runs.journal import breakers
from apps.runs.models import PARKED_UNTIL, AnswerBody, Intent, LookUp, Receipt, Step
from tests.calls.executor.raw_server import Answer, RawServer, Request, http, rpc, serving, text
from tests.engine import raw_shop
from tests.engine.test_drain import drain

PNG = b"\x89PNG" + bytes(1000)
BIG = "3.14159265358979323846264338327950288419716939937510"
GONE = {"gone": True}  # our session
READ = {"input_schema": {"type": "object"}, "title": "T"}
WRITE = {**READ, "effect": "write", "sentence": "Do it"}
TOOLS = [
    {"name": "look", **READ, "effect": "read"},
    {"name": "keyed", **WRITE, "idempotency": "keyed"},
    {"name": "both", **WRITE, "idempotency": "keyed", "lookup": "found"},
    {"name": "found.later", **WRITE, "idempotency": "lookup", "lookup": "found"},
    {"name": "none", **WRITE, "idempotency": "none"},
    {"name": "seen", **WRITE, "idempotency": "keyed", "preview": "foresee"},
]


@dataclass
class Desk:
    """The server's side: what the next calls of each tool are answered with, and who called."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    look_up: Any = None
    met: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
        params = request.message["params"]
        name = params["name"]
        self.met.append((name, params["_meta"].get("idempotency_key", "")))
        if name == "found":
            return self._looked_up(request)
        if name == "foresee":
            body = text("x", structuredContent={"before": {}, "after": {"n": "HERE"}, "facts": {}})
            return http(rpc(request, result=body).replace('"HERE"', BIG))
        left = self.answers.get(name) or [text("done")]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer is None:
            return None  # the connection is cut
        if isinstance(answer, bytes):
            return answer
        if answer == GONE:
            return http(b"", status="404 Not Found")
        member = "error" if "code" in answer else "result"
        return http(rpc(request, **{member: answer}).replace('"HERE"', BIG))

    def _looked_up(self, request: Request) -> Answer:
        if self.look_up is None:
            return http(b"", status="503 Away")
        if isinstance(self.look_up, str):
            return http(rpc(request, result=text(self.look_up)))
        return http(rpc(request, result={"content": [], "structuredContent": self.look_up}))

    def called(self, name: str) -> int:
        return sum(tool == name for tool, _ in self.met)


@pytest.fixture
def desk(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Desk]:
    made = Desk()
    with serving(RawServer(made)) as server:
        settings.TOOL_SERVERS = {"retail": raw_shop.AWAY}
        retry = {"attempts": 2, "base_s": 0.01, "cap_s": 0.02}
        uses = [{"name": t["name"], "timeout_s": 2, "retry": retry} for t in TOOLS]
        raw_shop.apply(tmp_path, TOOLS, uses)
        settings.TOOL_SERVERS = {"retail": server.url}
        django_rq.get_connection("normal").flushdb()
        breakers._memory.__init__()  # type: ignore[misc]
        yield made


def carried(tool: str, arguments: dict[str, Any] | None = None) -> Step:
    raw_shop.start([tool], arguments)
    drain(linger_s=1)
    return Step.objects.get()


ERRORS = [text("no stock", isError=True), {"code": -32603, "message": "no stock"}]
FOUND = {"found": True, "result": {"refund": 5}}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("tool", ["both", "found.later"])
@pytest.mark.parametrize(
    ("look_up", "disposition"),
    [
        (FOUND, "executed"),
        (json.dumps(FOUND), "executed"),
        ({"found": False}, "refused_by_tool"),
    ],
)
def test_an_error_is_looked_up_before_it_is_believed(
    desk: Desk, error: Any, tool: str, look_up: Any, disposition: str
) -> None:
    desk.answers[tool], desk.look_up = [error], look_up

    step = carried(tool)

    assert (step.disposition, step.attempts_made) == (disposition, 1)
    assert (desk.called(tool), desk.called("found")) == (1, 1)
    if disposition == "executed":
        assert json.loads(step.result["content"]) == {"refund": 5}
        receipt = Receipt.objects.get(step=step)
        assert receipt.evidence == "lookup"
        assert "no stock" in receipt.note
    else:
        assert "no stock" in step.error


def test_an_error_that_nothing_was_done_is_believed_at_once(desk: Desk) -> None:
    desk.answers["both"] = [{"code": -32602, "message": "amount must be positive"}]
    desk.look_up = FOUND

    step = carried("both")

    assert (step.disposition, step.attempts_made) == ("refused_by_tool", 1)
    assert "amount must be positive" in step.result["content"]
    assert desk.called("found") == 0


@pytest.mark.parametrize("look_up", [None, "rubbish", {"found": True, "tool": "another"}])
def test_an_error_of_which_the_look_up_can_say_nothing_stays_open(desk: Desk, look_up: Any) -> None:
    desk.answers["found.later"], desk.look_up = [ERRORS[0]], look_up

    step = carried("found.later")

    assert (step.state, step.error_class) == ("confirmation_unknown", "unconfirmed_error")
    assert "no stock" in step.error
    assert desk.called("found.later") == 1


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_a_keyed_tool_is_asked_again_by_its_key(desk: Desk, error: Any) -> None:
    desk.answers["keyed"] = [error, text("refunded")]

    step = carried("keyed")

    assert (step.disposition, step.attempts_made) == ("executed", 1)
    assert step.result["content"] == "refunded"
    assert "no stock" in Receipt.objects.get(step=step).note
    assert len({key for tool, key in desk.met if tool == "keyed"}) == 1


def test_an_error_of_a_keyed_tool_that_stays_is_believed(desk: Desk) -> None:
    desk.answers["keyed"] = [ERRORS[0]]

    step = carried("keyed")

    assert (step.disposition, step.attempts_made) == ("refused_by_tool", 1)
    assert desk.called("keyed") == 2


def test_an_error_that_the_key_cannot_clear_up_is_a_lost_answer(desk: Desk) -> None:
    desk.answers["keyed"] = [ERRORS[0], None]

    step = carried("keyed")

    assert step.state == "confirmation_unknown"
    assert desk.called("keyed") == 3  # with the second attempt


def test_an_error_of_a_read_is_believed(desk: Desk) -> None:
    desk.answers["look"] = [ERRORS[0]]

    step = carried("look")

    assert (step.disposition, step.attempts_made, desk.called("look")) == ("refused_by_tool", 1, 1)


@pytest.mark.parametrize(("first", "state"), [(None, "confirmation_unknown"), (GONE, "failed")])
def test_a_change_has_failed_only_if_no_attempt_may_have_done_it(
    desk: Desk, first: Any, state: str
) -> None:
    desk.answers["keyed"] = [first, GONE]

    step = carried("keyed")

    assert (step.state, step.error_class, step.attempts_made) == (state, "session_lost", 2)


# --- proposed again -------------------------------------------------------------------------------


def status(line: str) -> bytes:
    return http(b"", status=line)


NOTHING_DONE = {
    "credentials": [status("401 Unauthorized")],
    "no such place": [status("405 Method Not Allowed")],
    "too large": [status("413 Content Too Large")],
    "come again": [status("429 Too Many Requests")] * 2,
    "too early, then no": [status("425 Too Early"), status("403 Forbidden")],
    "no session": [GONE] * 4,
}


@pytest.mark.parametrize("tool", ["keyed", "none", "found.later"])
@pytest.mark.parametrize("case", NOTHING_DONE)
def test_a_change_that_did_nothing_may_be_proposed_again(desk: Desk, case: str, tool: str) -> None:
    desk.answers[tool] = [*NOTHING_DONE[case], text("done")]

    [run] = raw_shop.start([tool], {"n": 1}, times=3)
    drain(linger_s=1)

    steps = Step.objects.filter(run_id=run).order_by("seq")
    assert [s.disposition for s in steps] == ["failed", "executed", "deduplicated"]
    assert desk.called(tool) == len(NOTHING_DONE[case]) + 1
    assert [i.step_id for i in Intent.objects.all()] == [steps[1].pk]


def test_what_cant_be_sent_is_no_conflict_the_second_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsendable = CallResult(Ending.REJECTED, error_class="unsendable", error="It can't be sent.")

    async def refuse(*_: Any, **__: Any) -> CallResult:
        return unsendable

    monkeypatch.setattr(ToolClient, "call", refuse)

    [run] = raw_shop.start(["none"], {"n": 1}, times=2)
    drain(linger_s=1)

    told = Step.objects.filter(run_id=run).values_list("disposition", "error_class")
    assert list(told) == [("failed", "unsendable")] * 2
    assert not Intent.objects.exists()


@pytest.mark.parametrize("answers", [[None], [None, GONE], [status("503 Away")]])
def test_a_change_that_may_have_been_made_is_not_given_up(desk: Desk, answers: list[Any]) -> None:
    desk.answers["keyed"] = answers

    [run] = raw_shop.start(["keyed"], {"n": 1}, times=2)
    drain(linger_s=1)

    steps = Step.objects.filter(run_id=run).order_by("seq")
    assert [s.state for s in steps] == ["confirmation_unknown"]
    assert [i.step_id for i in Intent.objects.all()] == [steps[0].pk]


@pytest.mark.parametrize(("first", "state"), [(None, "confirmation_unknown"), (GONE, "failed")])
def test_a_change_whose_end_cant_be_recorded_is_no_surer_than_it_was(
    desk: Desk, first: Any, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.answers["keyed"] = [first, GONE]
    whole = deciding.decided

    def broken(finished: Any, cache: Any) -> Any:
        if any(done.action.number == 2 for done in finished):
            raise KeyError("x")
        return whole(finished, cache)

    monkeypatch.setattr(deciding, "decided", broken)

    step = carried("keyed")

    assert (step.state, step.attempts_made) == (state, 2)
    assert Intent.objects.exists() is (state == "confirmation_unknown")


# --- later ----------------------------------------------------------------------------------------


def due(step: Step) -> None:
    Step.objects.filter(pk=step.pk).update(not_before=Now() - timedelta(seconds=1))


def test_a_lost_call_is_looked_up_until_its_server_is_back(desk: Desk, client_as: Any) -> None:
    desk.answers["both"] = [None]
    step = carried("both")
    assert (step.state, step.attempts_made) == ("confirmation_unknown", 2)

    assert reconcile.look_up_due() == 0  # at once
    assert reconcile.look_up_due() == 0  # not yet again
    assert LookUp.objects.get().tries == 1
    due(step)
    assert reconcile.look_up_due() == 0
    row = LookUp.objects.get()
    assert (row.tries, row.word) == (2, "silent")
    page = client_as("operator").get(reverse("runs:step", args=[step.run_id, 1])).content.decode()
    assert "asked 2 times by itself" in page
    assert "It asks again" in page
    desk.look_up = FOUND
    due(step)

    assert reconcile.look_up_due() == 1
    step.refresh_from_db()
    assert step.disposition == "executed"


def test_looking_up_gets_more_seldom_and_ends(desk: Desk, client_as: Any) -> None:
    desk.answers["both"] = [None]
    desk.look_up = {"found": False}
    step = carried("both")
    waits = []
    for _ in range(MOST_LOOK_UPS):
        due(step)
        before = Step.objects.values_list("not_before", flat=True).get()
        reconcile.look_up_due()
        waits.append((Step.objects.values_list("not_before", flat=True).get() - before).seconds)

    step.refresh_from_db()
    assert waits[:3] == pytest.approx([30, 60, 120], abs=3)
    assert waits[10] == pytest.approx(3600, abs=3)
    assert step.not_before == PARKED_UNTIL
    page = client_as("operator").get(reverse("runs:step", args=[step.run_id, 1])).content.decode()
    assert "It does not ask again by itself" in " ".join(page.split())
    assert "doesn&#x27;t know the key" in page
    assert reconcile.look_up_due() == 0


# --- kept -----------------------------------------------------------------------------------------


def test_every_kind_of_answer_is_kept_shown_and_downloaded(desk: Desk, client_as: Any) -> None:
    image = {"type": "image", "data": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
    link = {"type": "resource_link", "uri": "https://x.example/a", "name": "Terms"}
    said = {"content": [{"type": "text", "text": "see"}, image, link]}
    desk.answers["keyed"] = [{**said, "structuredContent": {"n": "HERE"}}]

    step = carried("keyed")

    sha = hashlib.sha256(PNG).hexdigest()
    assert AnswerBody.objects.get().pk == sha
    assert [p["kind"] for p in step.result["parts"]] == ["text", "image", "link", "structured"]
    assert exactjson.dumps(step.result["data"]) == f'{{"n":{BIG.rstrip("0")}}}'
    assert "[image image/png, 1,004 bytes: left out]" in step.result["content"]
    client = client_as("operator")
    page = client.get(reverse("runs:step", args=[step.run_id, 1])).content.decode()
    assert sha in page
    assert BIG.rstrip("0") in page
    answer = client.get(reverse("runs:answer_part", args=[step.run_id, 1, 2]))
    assert answer.content == PNG
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    for number in (0, 1, 3, 9):
        asked = client.get(reverse("runs:answer_part", args=[step.run_id, 1, number]))
        assert asked.status_code == 404


def test_a_long_answer_is_shown_by_its_beginning(desk: Desk, client_as: Any) -> None:
    desk.answers["look"] = [text("word " * 100_000)]

    step = carried("look")

    client = client_as("operator")
    page = client.get(reverse("runs:step", args=[step.run_id, 1])).content.decode()
    assert len(page) < 60_000
    whole = client.get(reverse("runs:answer", args=[step.run_id, 1]))
    assert json.loads(whole.content)["content"] == "word " * 100_000


def test_numbers_of_a_preview_are_exact(desk: Desk) -> None:
    step = carried("seen")

    assert exactjson.dumps(step.preview["after"]) == f'{{"n":{BIG.rstrip("0")}}}'


@pytest.mark.parametrize("number", ["12345678901234567890", "1" * 400, "0.10000000000000000000001"])
def test_numbers_of_arguments_are_exact(desk: Desk, number: str) -> None:
    sent: list[bytes] = []
    inner = desk.__class__.__call__

    async def kept(self: Desk, request: Request, writer: Any) -> Answer:
        sent.append(request.body)
        return await inner(self, request, writer)

    desk.__class__.__call__ = kept  # type: ignore[method-assign]
    try:
        step = carried("keyed", exactjson.loads(f'{{"amount": {number}}}'))
    finally:
        desk.__class__.__call__ = inner  # type: ignore[method-assign]

    assert step.disposition == "executed"
    assert f'"arguments":{{"amount":{number}}}'.encode() in sent[0]
