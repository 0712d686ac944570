"""The socket, against a real Redis: who may open it, what it carries, what it doesn't do."""

from __future__ import annotations

import asyncio
import json
import time
from importlib import import_module
from uuid import uuid4

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connections
from django.utils.module_loading import import_string

from apps.accounts.domain.roles import Role
from apps.accounts.models import User
from apps.api.live import consumers, hub
from apps.audit import fanout
from tests.api.sockets import Socket
from tests.conftest import BACKEND
from tests.factories.accounts import UserFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

ORIGIN = settings.TOWER_ORIGIN


@pytest_asyncio.fixture(autouse=True)
async def closed_connections():
    """Consumers read the database in a thread of their own, whose connection is closed here."""
    yield
    await sync_to_async(connections.close_all)()


@sync_to_async
def logged_in(role: str = Role.OPERATOR) -> tuple[User, str]:
    """A person and the cookie of their session."""
    user = UserFactory.create(role=role)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return user, f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


@sync_to_async
def idled(cookie: str) -> None:
    """As if nobody had done anything for an hour."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(cookie.partition("=")[2])
    session["began"] = session["seen"] = time.time() - 3600
    session.save()


async def test_an_ended_session_opens_no_socket_and_closes_its_own_within_five_seconds():
    assert consumers.RECHECK_SECONDS < 5
    _, cookie = await logged_in()
    await idled(cookie)

    assert not await socket(cookie).connect()


def socket(cookie: str = "", *, streams: str = "runs", origin: str | None = ORIGIN) -> Socket:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    application = import_string(settings.ASGI_APPLICATION)
    return Socket(application, f"/ws/live/?streams={streams}", headers)


async def opened(cookie: str, **options) -> Socket:
    live = socket(cookie, **options)
    assert await live.connect()
    return live


async def frames(live: Socket, seconds: float = 0.6) -> list[dict]:
    """What arrives within ``seconds``, heartbeats apart."""
    found = []
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        if await live.receive_nothing(timeout=left, interval=0.02):
            break
        frame = json.loads(await live.hear())
        if "head" not in frame:
            found.append(frame)
    return found


async def subscribed(live: Socket) -> dict:
    """The greeting: the first heartbeat. The hub's subscription gets a moment to stand."""
    greeting = json.loads(await live.hear(timeout=3))
    await asyncio.sleep(0.2)
    return greeting


ticks = sync_to_async(fanout.tick_many)


async def test_greeting_tells_how_far_the_streams_are():
    _, cookie = await logged_in()
    live = await opened(cookie, streams="runs,approvals")

    greeting = await subscribed(live)

    assert greeting.keys() == {"head", "now"}
    assert greeting["head"] == {"approvals": 0, "runs": 0}
    await live.disconnect()


async def test_a_tick_reaches_those_who_listen_and_nobody_else():
    _, cookie = await logged_in()
    run = f"run:{uuid4()}"
    mine, other = await opened(cookie, streams=run), await opened(cookie, streams="approvals")
    await subscribed(mine)
    await subscribed(other)

    await ticks([(run, 5, "run.finished", "x")])

    heard = await asyncio.gather(frames(mine), frames(other))
    assert heard == [[{"stream": run, "seq": 5, "kind": "run.finished", "id": "x"}], []]
    await mine.disconnect()
    await other.disconnect()


async def test_a_storm_becomes_a_few_frames_and_the_latest_wins():
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)

    for part in range(20):
        await ticks([("runs", part * 50 + n, "step.ended", "x") for n in range(50)])
        await asyncio.sleep(0.02)

    heard = await frames(live, 1.5)
    assert len(heard) <= 6
    assert heard[-1]["seq"] == 999
    await live.disconnect()


@pytest.mark.parametrize(
    "origin",
    [
        ORIGIN.replace("http:", "https:"),
        ORIGIN.rsplit(":", 1)[0] + ":8443",
        ORIGIN.rsplit(":", 1)[0],
        ORIGIN.replace("//", "//evil."),
        ORIGIN.replace("127.0.0.1", "127.0.0.1.evil.example"),
        "null",
        "http://evil.example",
        None,
    ],
)
async def test_another_origin_is_refused(origin):
    _, cookie = await logged_in()
    live = socket(cookie, origin=origin)

    assert not (await live.connect())


async def test_nobody_is_refused():
    assert not (await socket().connect())


@pytest.mark.parametrize(
    ("role", "streams", "allowed"),
    [
        (Role.OPERATOR, "audit", False),
        (Role.AUDITOR, "audit", True),
        (Role.OPERATOR, "runs,nonsense", False),
        (Role.OPERATOR, "run:1", False),
        (Role.OPERATOR, ",".join(f"run:{uuid4()}" for _ in range(13)), False),
    ],
)
async def test_each_stream_has_its_permission(role, streams, allowed):
    _, cookie = await logged_in(role)
    live = socket(cookie, streams=streams)

    assert (await live.connect()) is allowed

    await live.disconnect()


async def test_more_streams_can_be_asked_for_and_are_checked():
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)

    await live.say(json.dumps({"subscribe": ["approvals"]}))
    assert (await subscribed(live))["head"] == {"approvals": 0, "runs": 0}
    await live.say(json.dumps({"subscribe": ["audit"]}))

    assert (await live.receive_output(timeout=2))["code"] == consumers.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        '{"decide": 1}',
        '{"subscribe": [1]}',
        '{"subscribe": "runs"}',
        '{"subscribe": ["runs"], "x": 1}',
        json.dumps({"subscribe": ["runs" * 2000]}),
        "[" * 4000,
    ],
)
async def test_any_other_message_closes(text):
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)

    await live.say(text)

    assert (await live.receive_output(timeout=2))["code"] == consumers.MISBEHAVED


async def test_a_flood_of_messages_closes():
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)

    for _ in range(consumers.MESSAGES_A_SECOND + 1):
        await live.say('{"ping": 1}')

    assert (await live.receive_output(timeout=2))["code"] == consumers.MISBEHAVED


async def test_a_person_holds_only_a_few_sockets():
    _, cookie = await logged_in()
    held = [await opened(cookie) for _ in range(consumers.SOCKETS_A_USER)]

    assert not (await socket(cookie).connect())
    await held.pop().disconnect()
    held.append(await opened(cookie))

    for live in held:
        await live.disconnect()


@pytest.mark.parametrize("change", ["disabled", "logged_out", "new_password", "idle"])
async def test_a_person_who_may_no_longer_is_cut_off(monkeypatch, change):
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    user, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)

    if change == "disabled":
        await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    elif change == "idle":
        await idled(cookie)
    elif change == "new_password":
        await User.objects.filter(pk=user.pk).aupdate(password="another")
    else:
        store = import_module(settings.SESSION_ENGINE).SessionStore
        await sync_to_async(store(cookie.partition("=")[2]).delete)()

    while (output := await live.receive_output(timeout=3))["type"] == "websocket.send":
        pass
    assert output["code"] == consumers.GONE


async def test_heartbeats_carry_heads(monkeypatch):
    monkeypatch.setattr(hub, "HEARTBEAT_SECONDS", 0.1)
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)
    await ticks([("runs", 77, "run.created", "x")])

    while (frame := json.loads(await live.hear(timeout=3))).get("head") != {"runs": 77}:
        assert frame

    await live.disconnect()


async def test_subscription_comes_back_after_redis_dropped_it():
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)

    await sync_to_async(fanout._client().execute_command)("CLIENT", "KILL", "TYPE", "pubsub")
    await asyncio.sleep(1.0)
    await ticks([("runs", 9, "run.created", "x")])

    assert [f["seq"] for f in await frames(live, 1)] == [9]
    await live.disconnect()


async def test_the_last_socket_stops_the_subscription():
    _, cookie = await logged_in()
    live = await opened(cookie)
    await subscribed(live)
    tasks = list(hub.hub().tasks)

    await live.disconnect()

    assert hub.hub().tasks == []
    assert all(task.done() for task in tasks)
