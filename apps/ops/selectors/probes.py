"""Tries what the product really does with Redis and PostgreSQL, and says what is refused.

A server that answers is not one that works: its user may lack rights, it may be a copy that takes
no changes, or have no room. Each probe does what the work does, to names of its own or to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import redis
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from apps.audit.fanout import CHANNEL
from apps.runs.domain.bells import bell_of
from apps.runs.services.workers import beat_nothing

PROBE_SECONDS = 1.0
NOTHING = b"[]"  # a message of no ticks: whoever hears it does nothing
RIGHTS = (
    "Give its user the commands and names that the tower uses, like"
    " `ACL SETUSER tower +@all -@dangerous +info ~* &*`."
)
PRIMARY = (
    "Name the primary in DATABASE_URL, with target_session_attrs=read-write if several hosts stand"
    " there."
)
NO_RIGHTS = "PostgreSQL's role of DATABASE_URL may not do all that the tower does"
GRANT = "Let it by `manage.py database_role grant`, said as the owner of the tables."
LACKING = """
SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL
 AND NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT'))
 ORDER BY name
"""
READ_ONLY = "25006"
NO_RIGHT = "42501"
LOCK = 7_346_099  # advisory lock of this probe alone

Try = Callable[[redis.Redis, str], object]


def _publish(client: redis.Redis, _name: str) -> object:
    return client.publish(CHANNEL, NOTHING)


def _subscribe(client: redis.Redis, name: str) -> object:
    with client.pubsub() as heard:
        heard.subscribe(CHANNEL, f"rq:pubsub:{name}")
        for _ in range(2):
            heard.get_message(timeout=PROBE_SECONDS)
    return None


def _ring(client: redis.Redis, name: str) -> object:
    bell = bell_of(name)
    with client.pipeline(transaction=False) as pipe:
        pipe.lpush(bell, 1).ltrim(bell, 0, 1).expire(bell, 5).blpop([bell], timeout=0.01)
        return pipe.execute()


def _enqueue(client: redis.Redis, name: str) -> object:
    """What RQ does with an entry, from its sender to the worker that has finished it."""
    job, queue, going = f"rq:job:{name}", f"rq:queue:{name}", f"rq:wip:{name}"
    with client.pipeline() as pipe:
        pipe.sadd("rq:queues", f"rq:queue:{settings.LANES[0]}")
        pipe.hset(job, "data", "").expire(job, 5).rpush(queue, name).expire(queue, 5)
        pipe.lmove(queue, queue).zadd(going, {name: 1}).expire(going, 5)
        pipe.lrem(queue, 1, name).zrem(going, name).delete(job, queue, going)
        return pipe.execute()


def _lock(client: redis.Redis, name: str) -> object:
    return client.set(f"rq:clean_registries:{name}", 1, nx=True, ex=5)


TRIES: tuple[tuple[str, Try], ...] = (
    ("publish the ticks of live pages", _publish),
    ("subscribe to the ticks of live pages and to orders for workers", _subscribe),
    ("ring the bell of a lane", _ring),
    ("queue work for a lane", _enqueue),
    ("take a lock", _lock),
)


@dataclass(frozen=True, slots=True)
class ServerRefusal:
    """What a server doesn't do for the tower. ``detail`` has the server's own words, which are not
    for everybody."""

    sentence: str
    mend: str
    detail: str = ""


def of_redis() -> ServerRefusal | None:
    """What Redis refuses; nothing when all that is used works, or when it doesn't answer, which
    others tell. Never raises."""
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=PROBE_SECONDS, socket_timeout=PROBE_SECONDS
    )
    try:
        with client:
            return _refused(client, f"probe-{uuid4().hex}")
    except (redis.RedisError, OSError):
        return None


def _refused(client: redis.Redis, name: str) -> ServerRefusal | None:
    refused: dict[str, redis.exceptions.ResponseError] = {}
    for what, attempt in TRIES:
        try:
            attempt(client, name)
        except redis.exceptions.ReadOnlyError as error:
            said = "Redis is a copy that takes no changes"
            return ServerRefusal(said, "Name the one that does in REDIS_URL.", _first_line(error))
        except redis.exceptions.ResponseError as error:
            refused[f"to {what}"] = error
    if not refused:
        return None
    detail = "; ".join(_first_line(error) for error in refused.values())
    kinds = redis.exceptions.NoPermissionError
    lacks_rights = all(isinstance(error, kinds) for error in refused.values())
    who = "Redis refuses its user" if lacks_rights else "Redis refuses"
    mend = RIGHTS if lacks_rights else "Give it room (maxmemory), or see its log."
    return ServerRefusal(f"{who} {', '.join(refused)}", mend, detail)


def of_database(*, writes: bool = True) -> ServerRefusal | None:
    """What PostgreSQL refuses of what is written and locked; nothing when all works. Never raises.
    What is written is what a worker's heartbeat writes: a row as it is. Pages that people read
    change nothing: without ``writes`` only rights and locks are tried."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            cursor.execute(LACKING, [_tables()])
            lacking = [row[0] for row in cursor.fetchall()]
            if lacking:
                detail = f"lacking: {', '.join(lacking)}"
                return ServerRefusal(NO_RIGHTS, GRANT, detail)
            if writes:
                beat_nothing()
    except (DatabaseError, InterfaceError) as error:
        return _reading(error)
    return None


def _tables() -> list[str]:
    return [model._meta.db_table for model in apps.get_models() if model._meta.managed]


def _reading(error: Exception) -> ServerRefusal:
    state, detail = getattr(error.__cause__, "sqlstate", None), _first_line(error)
    if state == READ_ONLY:
        said = "PostgreSQL takes no changes: it is a standby, or read-only"
        return ServerRefusal(said, PRIMARY, detail)
    if state == NO_RIGHT:
        return ServerRefusal(NO_RIGHTS, GRANT, detail)
    if state is None:
        return ServerRefusal(
            "PostgreSQL can't be reached", "Start it, or correct DATABASE_URL.", detail
        )
    return ServerRefusal("PostgreSQL refuses what the tower writes", "See its log.", detail)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
