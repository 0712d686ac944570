from __future__ import annotations

import json
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


def test_tick_publishes_one_frame_a_stream(awake):
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub() as listener:
        listener.subscribe(fanout.CHANNEL)
        listener.get_message(timeout=2)

        fanout.tick(["runs", "run:7"], 41, "run.finished", "7")

        frames = [json.loads(listener.get_message(timeout=2)["data"]) for _ in range(2)]
    assert frames == [
        {"stream": "runs", "seq": 41, "kind": "run.finished", "id": "7"},
        {"stream": "run:7", "seq": 41, "kind": "run.finished", "id": "7"},
    ]


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
