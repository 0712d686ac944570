"""What a contract hides is found nowhere, and still reaches the tools: with worker processes, a
tool server of its own and a secret that is planted wherever values come in."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import django_rq
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.api.selectors import run_document
from apps.audit.domain.actors import Actor
from apps.catalog.selectors import pinned
from apps.kernel.errors import InvalidInputError
from apps.oversight.models import Approval, Edit
from apps.oversight.services import edit
from apps.policy.models import Decision
from apps.redaction.domain.tokens import is_token
from apps.redaction.models import HiddenValue
from apps.runs.models import Run, RunResult, RunScript, Step
from apps.runs.services import NewRun, fork_run, start_run
from tests.calls.executor.raw_server import Answer, RawServer, Request, http, rpc, serving, text
from tests.engine import raw_shop
from tests.engine.conftest import Service, Tower, environment
from tests.engine.shop import CONTRACT
from tests.engine.test_drain import answer, drain
from tests.factories.accounts import UserFactory
from tests.factories.approvals import has_read

CORE = "canary-4711"
CANARY = f"{CORE}-Ünïq"
DONE = {"done": "x"}
TOOLS: list[dict[str, Any]] = [
    {"name": "look", "title": "Look", "effect": "read", "input_schema": {"type": "object"}},
    {
        "name": "book",
        "title": "Book",
        "effect": "write",
        "idempotency": "keyed",
        "preview": "foresee",
        "sentence": "Book {note} for {who}",
        "facts": {"secret": "string?", "cents": "long"},
        "input_schema": {
            "type": "object",
            "properties": {
                "secret": {"type": "string", "minLength": 3, "maxLength": 24},
                "who": {"type": "object"},
                "note": {"type": "string"},
            },
            "required": ["secret"],
        },
    },
    {
        "name": "fail",
        "title": "Fail",
        "effect": "write",
        "idempotency": "keyed",
        "sentence": "Fail",
        "input_schema": {"type": "object"},
    },
]
HELD = """\
@id("tools-of-the-contract") @reason("The contract lists this tool")
@purpose("Agents use only what their contract names")
permit(principal, action, resource) when { resource.listed };

@id("bookings-need-a-person")
@require_approval("operator") @votes("1") @risk("2")
@reason("A booking is looked at by a person")
@purpose("Shows holding")
forbid(principal, action == Action::"book", resource)
  unless { context.approvals.contains("operator") };
"""


@dataclass
class Witness:
    """The tool server: it repeats whatever it was told, in every way there is."""

    met: list[dict[str, Any]] = field(default_factory=list)
    loses: Path | None = None  # a file that is gone once it was called

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
        params = request.message["params"]
        self.met.append(params)
        arguments = params["arguments"]
        if params["name"] == "foresee":
            body = self._foreseen(arguments["args"])
            return http(rpc(request, result={"content": [], "structuredContent": body}))
        if self.loses is not None:
            self.loses.unlink()
        if params["name"] == "fail" and "works" not in arguments:
            return http(rpc(request, result=text(f"no such {CANARY.upper()}", isError=True)))
        found = {"secret": CANARY, "list": [{"who": {"born": CANARY}}], "cents": 5}
        told = text(f"Hello {CANARY}", structuredContent={**found, "told": dict(arguments)})
        told["content"].append(
            {"type": "text", "text": json.dumps({"secret": "other-canary-4711"})}
        )
        blob = base64.b64encode(b"\xff\x00" + CANARY.encode()).decode()
        told["content"].append({"type": "image", "data": blob, "mimeType": "image/png"})
        return http(rpc(request, result=told))

    def _foreseen(self, args: dict[str, Any]) -> dict[str, Any]:
        return {
            "before": {"users": {"x": {"secret": "old-canary-4711"}}},
            "after": {"users": {"x": {"secret": args["secret"]}}},
            "changes": [{"path": "users.x.secret", "before": "a canary-4711", "after": CANARY}],
            "facts": {"secret": args["secret"], "cents": 5},
        }

    def told(self, tool: str) -> list[dict[str, Any]]:
        return [params for params in self.met if params["name"] == tool]


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def tower(
    transactional_db: None,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    witness: Witness,
) -> Iterator[Tower]:
    hides = {"classification": "internal", "redact": ["secret", "who.born", "passphrase"]}
    output = {
        "type": "object",
        "properties": {"secret": {"type": "string", "maxLength": 24}},
    }
    monkeypatch.setattr(raw_shop, "CONTRACT", {**CONTRACT, "data": hides, "output": output})
    with serving(RawServer(witness)) as server:
        settings.TOOL_SERVERS = {"retail": raw_shop.AWAY}
        retry = {"attempts": 1, "base_s": 0.01, "cap_s": 0.02}
        uses = [{"name": t["name"], "timeout_s": 5, "retry": retry} for t in TOOLS]
        raw_shop.apply(tmp_path, TOOLS, uses, rules=HELD)
        settings.TOOL_SERVERS = {"retail": server.url}
        django_rq.get_connection("normal").flushdb()
        service: Any = Service(server.url, None)  # type: ignore[arg-type]  # it runs in a thread
        made = Tower(service, environment(service), tmp_path)
        yield made
        made.stop()


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"call": {"tool": tool, "args": arguments, "ref": "1"}}


BOOK = {"secret": CANARY, "who": {"born": CANARY, "name": "Ada"}, "note": f"a note on {CANARY}"}
SCRIPT = [
    {"hear": f"My secret is {CANARY}."},
    call("look", secret=CANARY),
    {"say": f"I book for {CANARY}"},
    call("book", **BOOK),
    call("fail", secret=CANARY),
    {"result": {"secret": CANARY}},
    {"done": f"done for {CANARY}"},
]


def start(script: list[dict[str, Any]], **changes: Any) -> Run:
    contract = pinned.current_contract("retail-shop")
    case = NewRun(
        job_slug="retail-shop",
        contract_version_id=contract.pk,
        agent_version_id=pinned.agent_of_kind("retail", "reference").pk,
        agent_kind="reference",
        agent_label="test",
        items=script,
        domain_slug="retail",
        contract_number=contract.number,
        **{
            "customer": f"ada {CANARY}",
            "request": f"Book for {CANARY}",
            "case_ref": f"ref {CANARY}",
            "context": {"passphrase": CANARY, "world": "w", "odd": f"x {CANARY}"},
            "input": {"secret": CANARY, "request": f"Book for {CANARY}"},
            **changes,
        },
    )
    return Run.objects.get(pk=start_run(case, actor=Actor.user("test")))


def stores() -> str:
    """All that PostgreSQL and Redis hold, as text; bytes as they are, where they are text."""
    found: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT r::text FROM "{table}" r')
            found += [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT body FROM runs_answerbody")
        found += [bytes(row[0]).decode("latin-1") for row in cursor.fetchall()]
    redis = django_rq.get_connection("normal")
    for key in redis.scan_iter():
        found += [str(key), str(redis.dump(key))]
    return "\n".join(found)


def pages(run: Run, asked: Approval) -> Iterator[tuple[str, str]]:
    """What every page says of a run and its question, and every export."""
    people = {role: UserFactory.create(role=role) for role in ("operator", "admin", "auditor")}
    tabs = ("timeline", "conversation", "steps", "decisions", "receipts", "approvals", "raw")
    runs = reverse("runs:detail", args=[run.pk])
    wanted = [
        *(f"{runs}?tab={tab}" for tab in (*tabs, "audit")),
        *(reverse("runs:step", args=[run.pk, n]) for n in (1, 2, 3)),
        *(reverse("runs:answer", args=[run.pk, n]) for n in (1, 2)),
        reverse("runs:export_json", args=[run.pk]),
        reverse("runs:export_csv"),
        reverse("runs:list"),
        reverse("runs:undo", args=[run.pk]),
        reverse("runs:fork", args=[run.pk]),
        reverse("redaction:hidden", args=[run.pk]),
        reverse("approvals:queue"),
        reverse("approvals:detail", args=[asked.pk]),
        reverse("approvals:arguments", args=[asked.pk]),
        reverse("runs:held", args=[asked.pk]),
        reverse("held:edit", args=[asked.pk]),
        reverse("audit:list"),
        reverse("audit:export"),
    ]
    for role, person in people.items():
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        for url in wanted:
            answered = client.get(url)
            body = (
                b"".join(answered.streaming_content)  # type: ignore[arg-type]  # no async
                if answered.streaming
                else answered.content
            )
            assert answered.status_code < 500, url
            yield f"{url} as {role}: {answered.status_code}", body.decode("utf-8", "replace")


def assert_clean(where: str, said: str) -> None:
    at = said.casefold().find(CORE)
    assert at < 0, f"{where}: …{said[max(0, at - 200) : at + 100]}…"


def test_what_the_contract_hides_is_found_nowhere(tower: Tower, witness: Witness) -> None:
    run = start(SCRIPT)
    tower.worker()
    tower.wait([run.pk], states={"waiting_approval"})
    asked = Approval.objects.get()
    for where, said in pages(run, asked):
        assert_clean(where, said)
    answer(asked, approve=True)
    tower.wait([run.pk])

    assert list(Step.objects.order_by("seq").values_list("tool_name", "disposition")) == [
        ("look", "executed"),
        ("book", "executed"),
        ("fail", "refused_by_tool"),
    ]
    [booked] = witness.told("book")
    assert [params["arguments"]["args"] for params in witness.told("foresee")] == [BOOK, BOOK]
    assert booked["arguments"] == BOOK
    assert booked["_meta"]["passphrase"] == CANARY
    assert booked["_meta"]["odd"] == f"x {CANARY}"
    assert_clean("stores", stores())
    for where, said in pages(run, asked):
        assert_clean(where, said)
    run.refresh_from_db()
    assert_clean("API", json.dumps(run_document(run), default=str))
    for log in tower.folder.glob("*.log"):
        assert_clean(log.name, log.read_text())


def test_equal_values_have_one_token_wherever_they_came_from(
    tower: Tower, witness: Witness
) -> None:
    run = start(SCRIPT)
    drain()
    asked = Approval.objects.get()

    token = run.context["passphrase"]
    assert is_token(token)
    secret = asked.arguments["secret"]
    assert is_token(secret)
    assert secret != token, "a token is bound to its name"
    assert asked.arguments["note"] == f"a note on {token}" or secret in asked.arguments["note"]
    assert asked.facts["secret"] == secret
    assert Step.objects.get(seq=1).result["data"]["secret"] == secret
    assert Decision.objects.filter(run_id=run.pk).exists()
    assert RunScript.objects.get(run_id=run.pk).items[1]["call"]["args"] == {"secret": secret}


def test_arguments_are_judged_by_their_real_values(tower: Tower, witness: Witness) -> None:
    """A token has more than the 24 characters that the schema allows; the value hasn't."""
    start([call("book", secret=CANARY * 2), {"done": "x"}])
    drain()

    step = Step.objects.get()
    assert (step.disposition, step.error_class) == ("denied", "schema")
    assert_clean("error", step.error)
    assert witness.met == []


@pytest.mark.parametrize("value", [1987, {"a": "ab12"}, 'it\'s "so"\n' * 3, "a street, " * 90])
def test_what_is_wrong_with_a_hidden_value_is_said_without_it(
    tower: Tower, witness: Witness, value: Any
) -> None:
    """Whatever the library's own sentence would repeat: short, cut, or spelt as Python does."""
    start([call("book", secret=value), {"done": "x"}])
    drain()

    step = Step.objects.get()
    assert (step.disposition, step.error_class) == ("denied", "schema")
    assert re.search(r'secret: it does not fit “(type|maxLength)”: ("string"|24)', step.error)


def test_a_token_that_the_run_was_not_given_is_refused(tower: Tower, witness: Witness) -> None:
    other = start(SCRIPT)
    secret = RunScript.objects.get(run_id=other.pk).items[1]["call"]["args"]["secret"]
    nothing = {"customer": "", "request": "", "case_ref": "", "context": {}, "input": {}}
    run = start([call("book", secret="abc", note=secret), {"done": "x"}], **nothing)
    drain()

    step = Step.objects.get(run=run)
    assert step.disposition == "denied"
    assert "only in the run that was given it" in step.error
    assert not any(secret in json.dumps(params) for params in witness.met)


def test_an_agent_uses_a_token_and_the_tool_gets_the_value(tower: Tower, witness: Witness) -> None:
    run = start([call("look", secret=CANARY), {"say": "next"}, {"done": "x"}])
    secret = RunScript.objects.get(run_id=run.pk).items[0]["call"]["args"]["secret"]
    script = RunScript.objects.get(run_id=run.pk)
    script.items.insert(1, call("look", other=secret, said=f"with {secret}"))
    script.save()
    drain()

    assert witness.told("look")[1]["arguments"] == {"other": CANARY, "said": f"with {CANARY}"}


def test_what_a_person_types_is_hidden_too_and_judged_by_its_value(
    tower: Tower, witness: Witness
) -> None:
    run = start([call("book", secret=CANARY, who={"born": CANARY}), {"done": "x"}])
    drain()
    asked = Approval.objects.get()
    person = UserFactory.create(role="operator")
    has_read(asked, person)
    typed = {**asked.arguments, "secret": f"new-{CORE}"}
    how = {"user": person, "reason": "the customer said so", "digest": asked.digest}
    with pytest.raises(InvalidInputError) as refused:
        edit(approval_id=asked.pk, arguments={**typed, "secret": CORE * 9}, **how)
    assert_clean("refusal", str(refused.value))

    edit(approval_id=asked.pk, arguments=typed, **how)
    drain()
    asked = Approval.objects.get(state="pending")
    answer(asked, approve=True)
    drain()

    assert witness.told("book")[0]["arguments"]["secret"] == f"new-{CORE}"
    assert witness.told("book")[0]["arguments"]["who"] == {"born": CANARY}
    assert is_token(Edit.objects.get().after["secret"])
    assert_clean("stores", stores())
    assert run.pk


def test_a_change_that_was_answered_is_known_as_done_though_the_keys_are_gone(
    tower: Tower, witness: Witness, settings: Any, tmp_path: Path
) -> None:
    """What the answer says can't be kept without them, only that it came."""
    witness.loses = tmp_path / "redaction.keys"
    settings.REDACTION_KEY_FILE = str(witness.loses)
    run = start([call("fail", works=True), call("look"), DONE])
    drain()

    [step] = Step.objects.all()
    assert (step.disposition, step.state) == ("executed", "succeeded")
    run.refresh_from_db()
    assert run.state == "failed"
    assert "is not there, though values are" in run.summary
    assert len(witness.met) == 1


def test_a_value_at_another_name_has_a_person_asked(tower: Tower, witness: Witness) -> None:
    """A rule that compares it could not see what it is."""
    start([call("fail", secret=CANARY, other=CANARY), {"done": "x"}])
    drain()

    asked = Approval.objects.get()
    assert "no rule could see what it is" in json.dumps(asked.rules)
    assert witness.met == []


def test_a_number_that_is_hidden_all_the_same_is_not_known_to_rules(
    tower: Tower, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    """A contract of before the check could hide one: what would be permitted is held."""
    hides = {"classification": "internal", "redact": ["cents"]}
    monkeypatch.setattr("apps.catalog.services.reading.numbers_of", lambda tool: ())
    monkeypatch.setattr(raw_shop, "CONTRACT", {**CONTRACT, "data": hides})
    url, settings.TOOL_SERVERS = settings.TOOL_SERVERS, {"retail": raw_shop.AWAY}
    cheap = HELD.replace('Action::"book", resource)', 'Action::"book", resource) when { COND }')
    rules = cheap.replace("COND", "context.facts has cents && context.facts.cents > 100")
    raw_shop.apply(tmp_path, TOOLS, [{"name": t["name"]} for t in TOOLS], rules=rules)
    settings.TOOL_SERVERS = url

    start([call("book", secret="abc"), DONE])
    drain()

    step = Step.objects.get()
    assert is_token(step.facts["cents"])
    assert step.state == "waiting_approval"


def test_a_branch_goes_on_with_what_its_root_hid(tower: Tower, witness: Witness) -> None:
    run = start([{"say": "x"}, call("look", secret=CANARY), call("look", secret=CANARY, n=2), DONE])
    drain()
    witness.met.clear()

    branch = fork_run(run.pk, 1, None, actor=Actor.user("test"), reason="again", label="b")
    drain()

    assert Run.objects.get(pk=branch).state == "succeeded"
    assert witness.told("look")[0]["arguments"] == {"secret": CANARY, "n": 2}
    assert {v.root_id for v in HiddenValue.objects.all()} == {run.pk}


def test_the_result_of_a_run_fits_by_its_value_and_is_kept_as_a_token(
    tower: Tower, witness: Witness
) -> None:
    run = start([{"say": "x"}, call("look"), {"result": {"secret": CANARY}}, DONE])
    bad = start([{"say": "x"}, call("look"), {"result": {"secret": CANARY * 3}}, DONE])
    drain()

    assert is_token(RunResult.objects.get(run_id=run.pk).value["secret"])
    bad.refresh_from_db()
    assert bad.state == "failed"
    assert_clean("summary", bad.summary)


def test_contracts_that_hide_nothing_ask_nothing(
    tower: Tower, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    monkeypatch.setattr(raw_shop, "CONTRACT", CONTRACT)
    uses = [{"name": t["name"], "timeout_s": 5} for t in TOOLS]
    url, settings.TOOL_SERVERS = settings.TOOL_SERVERS, {"retail": raw_shop.AWAY}
    raw_shop.apply(tmp_path, TOOLS, uses, rules=HELD)
    settings.TOOL_SERVERS = url
    asked: list[UUID] = []
    monkeypatch.setattr(
        "apps.redaction.services.storing.fetch", lambda *args: asked.append(args[1]) or []
    )

    run = start([{"say": "x"}, call("look", secret=CANARY), DONE])
    drain()

    run.refresh_from_db()
    assert (run.state, asked) == ("succeeded", [])
    assert Step.objects.get().arguments == {"secret": CANARY}
    assert CORE in stores(), "what is looked for would be found"
