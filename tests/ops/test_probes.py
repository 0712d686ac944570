"""Readiness tries what is really used: rights, room, and whether changes are taken."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.db import connection
from django.test import Client

from apps.ops.selectors import probes

USES = ["+@all", "-@dangerous", "+info"]


@pytest.fixture
def limited(settings: Any) -> Iterator[Any]:
    """Lets a test say with which rights Redis is used from now on."""
    at = urlsplit(settings.REDIS_URL)
    name = f"limited-{secrets.token_hex(4)}"
    with redis.Redis.from_url(settings.REDIS_URL) as owner:

        def allow(*rules: str) -> None:
            owner.execute_command("ACL", "SETUSER", name, "reset", "on", ">pw", *rules)
            place = at._replace(netloc=f"{name}:pw@{at.hostname}:{at.port}")
            settings.REDIS_URL = place.geturl()

        yield allow
        owner.execute_command("ACL", "DELUSER", name)
        owner.config_set("maxmemory", 0)


def test_what_works_is_said_to_work(limited: Any, db: None) -> None:
    limited(*USES, "~*", "&*")
    assert (probes.of_redis(), probes.of_database()) == (None, None)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([*USES, "~*", "resetchannels"], ["to publish the ticks", "to subscribe to the ticks"]),
        ([*USES, "~*", "&*", "-publish"], ["to publish the ticks"]),
        ([*USES, "~*", "&tower:*"], ["to subscribe"]),
        ([*USES, "~rq:*", "&*"], ["to ring the bell of a lane"]),
        ([*USES, "~tower:*", "&*"], ["to queue work for a lane", "to take a lock"]),
        ([*USES, "~*", "&*", "-set"], ["to take a lock"]),
        ([*USES, "%R~*", "&*"], ["to ring the bell", "to queue work", "to take a lock"]),
    ],
)
def test_a_right_that_is_missing_is_named(
    limited: Any, db: None, rules: list[str], words: list[str]
) -> None:
    limited(*rules)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (503, False)
    assert answer.json()["database"] is True
    (told,) = (p for p in answer.json()["problems"] if p["kind"] == "redis")
    said = told["problem"]
    assert all(word in said for word in words), said
    assert "ACL SETUSER" in told["do"]
    assert told["grave"] is True
    kinds = [what for what, _ in probes.TRIES]
    assert sum(f"to {what}" in said for what in kinds) == len(words)


def test_a_redis_without_room_is_not_ready(limited: Any, settings: Any) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as owner:
        owner.config_set("maxmemory", 1)
    limited(*USES, "~*", "&*")
    refusal = probes.of_redis()
    assert refusal is not None
    assert "Redis refuses to ring the bell of a lane" in refusal.sentence
    assert "maxmemory" in refusal.detail


def test_probes_leave_nothing_behind(settings: Any, db: None) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        probes.of_redis()
        left = [key for key in client.scan_iter("*probe*") if client.ttl(key) < 0]
    assert left == []


def test_a_read_only_database_is_not_ready(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
        refusal = probes.of_database()
        assert refusal is not None
        assert "PostgreSQL takes no changes" in refusal.sentence
        assert "target_session_attrs" in refusal.mend


@pytest.mark.django_db(transaction=True)
def test_a_role_without_rights_is_not_ready() -> None:
    def as_role(role: str) -> probes.ServerRefusal | None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {role}")
        try:
            return probes.of_database()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET ROLE")

    refusal = as_role("pg_monitor")
    assert refusal is not None
    assert refusal.sentence == probes.NO_RIGHTS
    assert "database_role grant" in refusal.mend
