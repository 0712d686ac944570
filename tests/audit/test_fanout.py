from __future__ import annotations

import logging
import time

import pytest
import redis
from django.conf import settings

from apps.audit import fanout


@pytest.fixture
def awake():
    fanout._client.cache_clear()
    fanout._silence.update(rest_until=0.0, log_after=0.0)
    yield
    fanout._client.cache_clear()
    fanout._silence.update(rest_until=0.0, log_after=0.0)


def test_the_ticks_of_a_commit_travel_as_one_message(awake):
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub() as listener:
        listener.subscribe(fanout.CHANNEL)
        listener.get_message(timeout=2)

        fanout.tick(["runs", "run:7"], 41, "run.finished", "7")

        heard = fanout.read(listener.get_message(timeout=2)["data"])
        assert listener.get_message(timeout=0.2) is None
    assert heard == [("runs", 41, "run.finished", "7"), ("run:7", 41, "run.finished", "7")]


@pytest.mark.parametrize("message", [b"{}", b"[[1, 2]]", b'[["runs", "7", "a", "b"]]', b"no JSON"])
def test_a_message_that_holds_no_ticks_is_an_error(message):
    with pytest.raises((ValueError, TypeError)):
        fanout.read(message)


def test_tick_when_redis_is_down_is_quiet_and_logged_once(awake, settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    caplog.set_level(logging.WARNING)
    started = time.monotonic()

    for _ in range(3):
        fanout._silence["rest_until"] = 0.0
        fanout.tick(["runs"], 1, "run.created", "x")

    assert time.monotonic() - started < 3
    assert len([r for r in caplog.records if r.name == fanout.__name__]) == 1


def test_tick_after_a_failure_does_not_wait_for_redis_again(awake, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    fanout.tick(["runs"], 1, "run.created", "x")

    assert fanout._silence["rest_until"] > time.monotonic()
