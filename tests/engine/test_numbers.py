"""A number from the door of the API through policy, approval and a real tool server to the page:
the same value everywhere. What the server got is read from the bytes that it got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import django_rq
import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.accounts.domain.tokens import Scope
from apps.accounts.services import create_account, create_token
from apps.calls.executor import CallResult, ToolClient
from apps.kernel import exactjson
from apps.oversight.models import Approval
from apps.runs.models import Step
from tests.calls.executor.raw_server import Answer, RawServer, Request, always, http, rpc, serving
from tests.engine import raw_shop
from tests.engine.test_drain import answer, drain
from tests.factories.accounts import UserFactory
from tests.kernel.numerals import (
    DOCUMENT,
    FORMS,
    floats,
    literals,
    long_integers,
    parsed_values,
    texts,
)

RULES = (
    raw_shop.PERMIT
    + """
@id("large") @require_approval("operator") @votes("1") @risk("2")
@reason("A large amount") @purpose("Large amounts are looked at")
forbid(principal, action == Action::"refund", resource)
  when { context.facts has amount_cents && context.facts.amount_cents > 50000 }
  unless { context.approvals.contains("operator") };

@id("mode-nine") @reason("Mode 9 is closed") @purpose("Mode 9 is closed")
forbid(principal, action, resource) when { context.arguments.contains("mode=9") };

@id("zero") @require_approval("operator") @votes("1") @risk("2")
@reason("Zero is looked at") @purpose("Shows holding")
forbid(principal, action, resource) when { context.arguments.contains("n=0") }
  unless { context.approvals.contains("operator") };
"""
)
TOOLS = [
    {"name": "pay", "title": "Pay", "effect": "write", "idempotency": "keyed", "sentence": "Pay"},
    {
        "name": "refund",
        "title": "Refund",
        "effect": "write",
        "idempotency": "keyed",
        "sentence": "Refund {facts.amount_cents}",
        "preview": "foresee",
        "facts": {"amount_cents": "long"},
    },
]
NAMES = ("pay", "refund", "foresee")


def arguments_of(request: Request) -> str:
    """The arguments of a call as the server got them, to the letter."""
    text = request.body.decode()
    start = text.index('"arguments":') + len('"arguments":')
    _, length = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode(text[start:].lstrip())
    return text[start:].lstrip()[:length]


def told_back(request: Request) -> Answer:
    """What was sent, as text and as data; of a preview, the amount that was asked about."""
    sent = arguments_of(request)
    if request.message["params"]["name"] == "foresee":
        amount = sent[sent.index('"amount":') + len('"amount":') :].rstrip("}")
        sent = f'{{"changes": [], "facts": {{"amount_cents": {amount}}}}}'
    said = '{"content": [{"type": "text", "text": %s}], "structuredContent": %s}'
    ours = rpc(request, result="HERE").replace('"HERE"', said % (json.dumps(sent), sent))
    return http(ours)


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[RawServer]:
    django_rq.get_connection("normal").flushdb()
    served_tools = [{"name": n, "inputSchema": {"type": "object"}} for n in NAMES]
    with serving(RawServer(always(told_back), tools=served_tools)) as served:
        settings.TOOL_SERVERS = {"retail": served.url}
        uses = [{"name": tool["name"], "timeout_s": 3} for tool in TOOLS]
        raw_shop.apply(tmp_path, TOOLS, uses, rules=RULES)
        yield served


@pytest.fixture
def token(transactional_db: None) -> str:
    admin = UserFactory.create(role="admin")
    account = create_account(actor=admin, name="erp", purpose="tests")
    return create_token(
        actor=admin, account_id=account.pk, scopes=tuple(Scope), days=1, rate_per_minute=6000
    )[1]


def begin(token: str, *calls: tuple[str, str], key: str = "k") -> UUID:
    """Start a run over HTTP, as text."""
    items = ", ".join(f'{{"call": {{"tool": "{t}", "args": {a}}}}}' for t, a in calls)
    response = Client().post(
        "/api/v1/runs",
        f'{{"job": "retail-shop", "script": [{items}]}}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
    )
    assert response.status_code == 202, response.content
    return UUID(response.json()["id"])


def page(name: str, *args: Any) -> str:
    client = Client()
    client.force_login(UserFactory.create(role="admin"))
    response = client.get(reverse(name, args=args))
    assert response.status_code == 200
    return unescape(response.content.decode())


def read(text: str) -> Any:
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def test_every_form_reaches_tool_database_page_and_export_as_the_same_value(
    server: RawServer, token: str
) -> None:
    run = begin(token, ("pay", DOCUMENT))
    drain()

    step = Step.objects.get(run_id=run)
    assert (step.state, step.disposition) == ("succeeded", "executed"), step.error
    [call] = server.called()
    assert read(arguments_of(call)) == read(DOCUMENT)
    ours = exactjson.loads(DOCUMENT)
    assert exactjson.same(step.arguments, ours)
    assert exactjson.same(exactjson.loads(step.result["content"]), ours)
    shown = page("runs:step", run, step.seq)
    for text in FORMS.values():
        assert exactjson.dumps(exactjson.loads(text)) in shown, text[:40]
    [exported] = exactjson.loads(page("runs:export_json", run))["steps"]
    assert exactjson.same(exported["arguments"], ours)


AMOUNTS = {
    "60000": "large",
    "60000.0": "large",
    "6e4": "large",
    "9007199254740993": "large",
    "1e18": "large",
    '"60000"': "facts-unknown",
    "60000.5": "facts-unknown",
    "1e19": "facts-unknown",
    "null": "facts-unknown",
    "40000.0": "",
}
"""What the preview tells of the amount, and the rule that holds it."""


def test_a_limit_is_passed_by_no_spelling(server: RawServer, token: str) -> None:
    runs = {a: begin(token, ("refund", f'{{"amount": {a}}}'), key=a) for a in AMOUNTS}
    drain()

    gates = {a: Step.objects.get(run_id=run).gate for a, run in runs.items()}
    assert gates == {a: "hold" if rule else "permit" for a, rule in AMOUNTS.items()}
    asked = {a: Approval.objects.filter(run_id=run).first() for a, run in runs.items()}
    assert {a: q.rules[0]["id"] if q else "" for a, q in asked.items()} == AMOUNTS
    refunds = [c for c in server.called() if c.message["params"]["name"] == "refund"]
    assert [read(arguments_of(c)) for c in refunds] == [{"amount": 40000}]


def test_arguments_are_judged_by_value_and_text_is_text(server: RawServer, token: str) -> None:
    modes = ["9", "9.0", "0.9e1", '"9"', "9.5"]
    run = begin(token, *(("pay", f'{{"mode": {mode}}}') for mode in modes))
    drain()

    steps = Step.objects.filter(run_id=run).order_by("seq")
    assert [s.disposition for s in steps] == ["denied"] * 3 + ["executed"] * 2
    assert [read(arguments_of(c)) for c in server.called()] == [
        {"mode": "9"},
        {"mode": Decimal("9.5")},
    ]


def test_the_same_change_in_another_spelling_is_done_once(server: RawServer, token: str) -> None:
    run = begin(token, *(("pay", f'{{"n": {n}}}') for n in ("5", "5.0", "50e-1", "5.5", '"5"')))
    drain()

    found = Step.objects.filter(run_id=run).order_by("seq").values_list("disposition", flat=True)
    assert list(found) == ["executed", "deduplicated", "deduplicated", "executed", "executed"]
    assert len(server.called()) == 3


def test_an_approval_for_minus_zero_is_not_thrown_away(server: RawServer, token: str) -> None:
    run = begin(token, ("pay", '{"n": -0.0, "wei": 1e18}'))
    plain = begin(token, ("pay", '{"id": 12345678901234567890}'), key="beside")
    drain()
    assert Step.objects.get(run_id=plain).disposition == "executed"
    approval = Approval.objects.get()
    assert "1000000000000000000" in page("approvals:detail", approval.pk)

    answer(approval, approve=True)
    drain()

    assert Step.objects.get(run_id=run).disposition == "executed"
    assert Approval.objects.count() == 1
    assert [read(arguments_of(c)) for c in server.called()] == [
        {"id": 12345678901234567890},
        {"n": 0, "wei": 10**18},
    ]


@examples(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    found=st.dictionaries(texts, parsed_values(floats | literals().map(Decimal) | long_integers))
)
def test_any_value_reaches_a_tool_server_and_comes_back(echo: RawServer, found: Any) -> None:
    sent = exactjson.check(found)

    result = asyncio.run(tried(sent))

    assert exactjson.same(exactjson.loads(arguments_of(echo.called()[-1])), sent)
    assert exactjson.same(result.document, sent)


async def tried(arguments: dict[str, Any]) -> CallResult:
    async with ToolClient() as tools:
        return await tools.call("retail", "pay", arguments, meta={}, call_id="x", timeout_s=10)


@pytest.fixture
def echo(settings: Any) -> Iterator[RawServer]:
    with serving(RawServer(always(told_back))) as served:
        settings.TOOL_SERVERS = {"retail": served.url}
        yield served
