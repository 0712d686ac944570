"""The tower that the cases are sent to: a pack with one tool a case, a tool server and a model that
answer as the cases say, and two workers; and what has to hold afterwards."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import django_rq
from django.test import Client
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from apps.accounts.domain.tokens import Scope
from apps.accounts.services import create_account, create_token
from apps.audit.domain.actors import Actor
from apps.calls.domain.envelope import is_legible
from apps.catalog.selectors import pinned
from apps.catalog.services import apply_packs
from apps.catalog.services.reading import PackError
from apps.kernel.errors import TowerError
from apps.oversight.models import Approval
from apps.runs.models import Breaker, Budget, Run, Step
from apps.runs.services import NewRun, start_runs
from tests.calls.executor.raw_server import Answer, RawServer, Request, http, serving
from tests.engine import raw_shop
from tests.engine.conftest import Tower
from tests.engine.shop import CONTRACT
from tests.factories.accounts import UserFactory
from tests.fuzz.cases import KNOWN, PLAIN_SCHEMA, Case

ORDINARY = 100
SECONDS = 120
DAY = 86_400
DONE = {"succeeded", "failed", "cancelled", "confirmation_unknown", "shed"}
NAME = re.compile(rb'"name":\s*"([^"]*)"')
ASKED = re.compile(rb'"tool":\s*"([^"]*)"')
NUMBER = re.compile(rb'"id":\s*("[^"]*"|\d+)')
PLAIN = (
    {"name": "look_up", "title": "Look", "effect": "read"},
    {"name": "put", "title": "Put", "effect": "write", "idempotency": "keyed", "sentence": "Put"},
)
HOLD = """
@id("some-need-a-person") @require_approval("operator") @votes("1") @risk("2")
@reason("One of three is looked at") @purpose("Shows holding")
forbid(principal, action, resource) when { context.arguments.contains("x=1") }
  unless { context.approvals.contains("operator") };
"""


class BrokenError(AssertionError):
    """Something that was promised does not hold; says of which cases."""


@dataclass
class Ground:
    """``Ground(tower, folder)`` inside ``standing``; see the module."""

    tower: Tower
    folder: Path
    cases: dict[str, Case] = field(default_factory=dict)
    runs: dict[UUID, Case] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    token: str = ""

    # --- what the servers answer ------------------------------------------------------------------

    async def route(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
        """Answer one call of a tool as its case says."""
        body = request.body
        name, number = _first(NAME, body), _first(NUMBER, body)
        if name == "foresee":
            case = self.cases.get(_first(ASKED, body))
            text = case.foreseen if case else _plain(f'{{"changes": [], "facts": {KNOWN}}}')
        elif name == "look":
            text = next(iter(self.cases.values())).found
        else:
            case = self.cases.get(name)
            text = case.answer if case else _plain('{"done": true}')
        return http(text.replace("ID", number).encode("utf-8", "surrogatepass"))

    def reply(self, body: bytes) -> bytes:
        """Answer one turn of a model: as its case says at first, at some time that it is done."""
        found = re.search(rb"case-(\w+)\.", body)
        case = self.cases.get(found.group(1).decode()) if found else None
        if case is None:
            return _done()
        self.asked[case.tool] += 1
        if self.asked[case.tool] > 1 + case.number % 3:
            return _done()
        return case.reply.replace("TOOL", case.tool).encode("utf-8", "surrogatepass")

    # --- starting ---------------------------------------------------------------------------------

    def prepare(self, cases: Sequence[Case]) -> None:
        """Publish a tool for each case. What its schema keeps from being published has had words
        said about it, and goes without."""
        self.cases = {case.tool: case for case in cases}
        self.runs.clear()
        entries = {case.tool: dict(case.entry) for case in cases}
        for _ in range(len(cases) + 1):
            problems = self._publish(entries)
            if not problems:
                return
            places = [int(n) for p in problems for n in re.findall(r": tools\[(\d+)\]", p)]
            named = {list(entries)[place - len(PLAIN)] for place in places}
            named |= {n for p in problems for n in re.findall(r"\bodd_\d+\b", p)}
            if any("The text is longer than" in p for p in problems):  # of the pack as a whole
                named = {max(entries, key=lambda name: len(str(entries[name]["input_schema"])))}
            if not named or any(len(p) < 30 for p in problems):
                raise BrokenError(f"not said of which tool or what: {problems[:5]}")
            for name in named:
                self.ends["schemas: refused at apply"] += 1
                entries[name]["input_schema"] = PLAIN_SCHEMA
        raise BrokenError(f"the pack is never accepted: {problems[:5]}")

    def _publish(self, entries: dict[str, dict[str, Any]]) -> list[str]:
        try:
            _apply(self.folder, [*PLAIN, *entries.values()])
        except PackError as error:
            return [str(problem) for problem in error.problems]
        return []

    def start(self) -> list[UUID]:
        """Send each case, ordinary runs among them; returns the ordinary ones."""
        beside: list[UUID] = []
        for n, case in enumerate(self.cases.values()):
            if n % 4 == 0:
                beside += self._ordinary(4 * ORDINARY // len(self.cases) + 1)
            run = self._send(case)
            if run is not None:
                self.runs[run] = case
        return beside

    def _ordinary(self, count: int) -> list[UUID]:
        calls = [{"call": {"tool": t["name"], "args": {"n": 1}, "ref": "0"}} for t in PLAIN]
        new = _new_run([{"hear": "Please."}, *calls, {"done": "done"}])
        return start_runs([new] * count, actor=Actor.user("test"))

    def _send(self, case: Case) -> UUID | None:
        if case.kind == "replies":
            heard = [{"hear": f"Please do case-{case.tool}."}]
            return start_runs([_new_run(heard, "model")], actor=Actor.user("test"))[0]
        if case.kind == "proposals":
            return self._propose(case)
        call = f'{{"call": {{"tool": "{case.tool}", "args": {case.arguments}}}}}'
        after = '{"call": {"tool": "put", "args": {"n": 1}}}'
        body = f'{{"job":"retail-shop","script":[{call},{after}],"input":{case.input}}}'
        return self._post(case, body)

    def _propose(self, case: Case) -> UUID | None:
        """As a recording does, which does not come through the door of the API."""
        try:
            arguments = json.loads(case.arguments)
            call = {"call": {"tool": case.tool, "args": arguments, "ref": "0"}}
            put = {"call": {"tool": "put", "args": {"n": 1}, "ref": "1"}}
            return start_runs([_new_run([call, put, {"done": "x"}])], actor=Actor.user("test"))[0]
        except (ValueError, RecursionError, TowerError) as error:
            self.ends[f"proposals: {type(error).__name__}"] += 1
            return None

    def _post(self, case: Case, body: str) -> UUID | None:
        try:
            response = Client(raise_request_exception=True).post(
                "/api/v1/runs",
                body.encode("utf-8", "surrogatepass"),
                content_type="application/json",
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Idempotency-Key": f"{case.seed}-{case.number}",
                },
            )
        except Exception as error:
            raise BrokenError(f"the API broke: {error!r}\n{case}") from error
        self.ends[f"{case.kind}: HTTP {response.status_code}"] += 1
        told = json.loads(response.content)
        if response.status_code == 202:
            return UUID(told["id"])
        if response.status_code not in (400, 413, 422) or len(told["detail"]) < 10:
            raise BrokenError(f"the API said {response.status_code}: {told}\n{case}")
        return None

    # --- what has to hold -------------------------------------------------------------------------

    def wait(self, runs: Sequence[UUID], *, held: bool) -> None:
        """Wait until all are at an end, or at a person."""
        states = DONE | ({"waiting_approval"} if held else set())
        end = time.monotonic() + SECONDS
        rows = Run.objects.filter(id__in=runs).exclude(state__in=states)
        while rows.exists():
            Breaker.objects.all().delete()  # they are tried elsewhere, and would only be waited for
            Budget.objects.all().delete()
            if time.monotonic() > end:
                steps = Step.objects.filter(run__in=rows).values_list(
                    "tool_name", "state", "attempts_made", "not_before", "waits_for", "error"
                )
                waiting = list(rows)
                left = "\n".join(
                    f"{r.state} {r.admission_reason} {r.deferred_until} {self.runs.get(r.id, r.id)}"
                    for r in waiting[:5]
                )
                said = f"{len(waiting)} never ended:\n{left}\n{list(steps[:20])}"
                raise BrokenError(f"{said}\n{self.logs()}")
            time.sleep(0.1)

    def check(self, beside: Sequence[UUID]) -> None:
        """All ordinary runs succeeded, no worker died, and every case ended with words."""
        ended = Counter(Run.objects.filter(id__in=beside).values_list("state", flat=True))
        if set(ended) != {"succeeded"}:
            raise BrokenError(f"ordinary runs ended {ended}\n{self.logs()}")
        for worker in self.tower.processes:
            if worker.poll() is not None:
                raise BrokenError(f"a worker ended\n{self.logs()}")
        if (
            "terminated unexpectedly" in self.logs()
            or Step.objects.exclude(lease_losses=0).exists()
        ):
            raise BrokenError(f"a work-horse died\n{self.logs()}")
        wordless = [f"{said}\n{self.runs[run]}" for run, said in self._wordless()]
        if wordless:
            raise BrokenError(f"{len(wordless)} ended without words:\n" + "\n".join(wordless[:5]))

    def _wordless(self) -> Iterator[tuple[UUID, str]]:
        asked = set(Approval.objects.filter(state="pending").values_list("run_id", flat=True))
        for run in Run.objects.filter(id__in=list(self.runs)):
            self.ends[f"{self.runs[run.id].kind}: {run.state}"] += 1
            if run.state == "waiting_approval" and run.id not in asked:
                yield run.id, "waits for nobody"
            if run.state == "failed" and not (run.summary or run.outcome not in ("", "error")):
                yield run.id, f"failed {run.outcome} {run.error_class}"
        for step in Step.objects.filter(run_id__in=list(self.runs)).defer("arguments"):
            self.ends[f"step {step.disposition or step.state}"] += 1
            bad = step.disposition in ("denied", "failed", "unknown", "refused_by_tool")
            if (bad or step.state in ("failed", "confirmation_unknown")) and not is_legible(
                step.error
            ):
                yield step.run_id, f"{step.state} {step.disposition} {step.error_class!r}"

    def logs(self) -> str:
        """The ends of what the workers wrote."""
        return "\n".join(p.read_text()[-3000:] for p in self.tower.folder.glob("*.log"))


def _first(wanted: re.Pattern[bytes], body: bytes) -> str:
    found = wanted.search(body)
    return found.group(1).decode() if found else ""


def _plain(document: str) -> str:
    return f'{{"jsonrpc":"2.0","id":ID,"result":{{"content":[],"structuredContent":{document}}}}}'


def _done() -> bytes:
    message = {"role": "assistant", "content": "Nothing more to do."}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    whole = {"id": "x", "object": "chat.completion", "model": "m", "choices": choices}
    return json.dumps(whole).encode()


def _new_run(items: list[dict[str, Any]], kind: str = "reference") -> NewRun:
    contract = pinned.current_contract("retail-shop")
    return NewRun(
        job_slug="retail-shop",
        contract_version_id=contract.pk,
        agent_version_id=pinned.agent_of_kind("retail", kind).pk,
        agent_kind=kind,
        agent_label="test",
        items=items,
        domain_slug="retail",
        contract_number=contract.number,
        customer="ada",
    )


def _apply(folder: Path, tools: Sequence[dict[str, Any]]) -> None:
    pack = folder / "retail"
    for name in ("jobs", "policies", "prompts"):
        (pack / name).mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    yaml.representer.ignore_aliases = lambda *_: True
    prompts = [{"slug": "retail-agent", "file": "prompts/agent.md"}]
    agents: list[dict[str, Any]] = [{"slug": "retail-reference", "name": "R", "kind": "reference"}]
    agents += [{"slug": "retail-model", "name": "M", "kind": "model", "prompt": "retail-agent"}]
    document = {
        "domain": {"slug": "retail", "name": "Shop"},
        "server": {"slug": "retail", "protocol": "mcp"},
        "tools": [{"input_schema": {"type": "object"}, **tool} for tool in tools],
        "prompts": prompts,
        "agents": agents,
        "policies": ["policies/retail.yaml"],
        "jobs": ["jobs/shop.yaml"],
    }
    yaml.dump(document, pack / "pack.yaml")
    (pack / "prompts" / "agent.md").write_text("You work at the desk of a shop.\n")
    policy = {"policy": "retail", "name": "Shop", "limits": {"amount_cents": 1}}
    rules = LiteralScalarString(raw_shop.PERMIT + HOLD)
    yaml.dump({**policy, "policies": rules}, pack / "policies" / "retail.yaml")
    retry = {"attempts": 2, "base_s": 0.05, "cap_s": 0.1}
    uses = [{"name": t["name"], "timeout_s": 20, "retry": retry, "concurrency": 16} for t in tools]
    outcome = {"success": "resolved", "when_any_of": ["put"], "target": 0.9}
    # Nobody decides meanwhile, and no run is to be put off for that.
    day = {"decisions": {**CONTRACT["decisions"], "window_s": DAY}}
    day |= {"limits": {**CONTRACT["limits"], "deadline_s": DAY}}
    yaml.dump({**CONTRACT, **day, "tools": uses, "outcome": outcome}, pack / "jobs" / "shop.yaml")
    apply_packs([pack])


@contextmanager
def _model(ground: Ground) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = ground.reply(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def standing(folder: Path, env: dict[str, str], settings: Any) -> Iterator[Ground]:
    """The ground with its servers and two workers."""
    tower = Tower(None, env, folder)  # type: ignore[arg-type]  # its own tool service is not used
    ground = Ground(tower, folder)
    django_rq.get_connection("normal").flushdb()
    with _model(ground) as model, serving(RawServer(ground.route)) as server:
        settings.TOOL_SERVERS = {"retail": raw_shop.AWAY}  # nothing is compared when applied
        settings.MODEL, settings.MODEL_URL, settings.MODEL_KEY = "test-model", model, "k"
        env["TOWER_TOOL_SERVERS"] = json.dumps({"retail": server.url})
        env |= {"TOWER_MODEL": "test-model", "TOWER_MODEL_URL": model, "TOWER_MODEL_KEY": "k"}
        env["TOWER_LEASE_SECONDS"] = "60"  # that none is lost because the machine is slow
        ground.token = _token()
        try:
            yield ground
        finally:
            tower.stop()


def _token() -> str:
    admin = UserFactory.create(role="admin")
    account = create_account(actor=admin, name="erp", purpose="tests")
    scopes = tuple(Scope)
    return create_token(
        actor=admin, account_id=account.pk, scopes=scopes, days=1, rate_per_minute=6000
    )[1]
