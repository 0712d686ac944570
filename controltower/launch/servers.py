"""Which PostgreSQL and Redis the tower uses: the ones named in the environment, or its own."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from urllib.parse import urlsplit

import psycopg
import redis

from controltower.launch import files
from controltower.launch.places import Places
from controltower.launch.postgres import EmbeddedPostgres
from controltower.launch.processes import evict
from controltower.launch.valkey import EmbeddedValkey, connect


class UnreachableError(RuntimeError):
    """A server named in the environment does not answer; the message names the variable."""


def embedded_postgres(places: Places, *, port: int) -> EmbeddedPostgres:
    """The tower's own PostgreSQL; its passwords are made the first time."""
    return EmbeddedPostgres(
        places.postgres,
        run_dir=places.run / "s",
        password=files.secret(places.key("postgres")),
        owner_password=files.secret(places.key("postgres-owner")),
        log=places.log("postgres"),
        port=port,
    )


def embedded_valkey(places: Places, *, port: int) -> EmbeddedValkey:
    """The tower's own Valkey; its password is made the first time."""
    return EmbeddedValkey(
        places.valkey,
        password=files.secret(places.key("valkey")),
        log=places.log("valkey"),
        port=port,
    )


def evict_leftovers(places: Places) -> int:
    """End the servers of a killed tower, before ports are chosen: they still hold theirs."""
    return evict(places.postgres, executable="postgres", polite=signal.SIGINT) + evict(
        places.valkey, executable="valkey-server", polite=signal.SIGTERM
    )


def where(url: str) -> str:
    """Host and port of a URL, without its password."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.hostname or 'the local socket'}{port}"


def postgres_version(url: str) -> str:
    """The server's version; raises `UnreachableError` that names `DATABASE_URL`."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("show server_version").fetchone()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "no answer"
        raise UnreachableError(
            f"DATABASE_URL names {where(url)}, which cannot be used: {reason}\n"
            "Start that server or correct the variable; without DATABASE_URL the tower runs"
            " a PostgreSQL of its own."
        ) from error
    return str(row[0]) if row else "unknown"


def redis_version(url: str) -> str:
    """The server's version; raises `UnreachableError` that names `REDIS_URL`."""
    try:
        client = connect(url)
        try:
            answer = client.info("server")
        finally:
            client.close()
    except (redis.RedisError, ValueError) as error:
        raise UnreachableError(
            f"REDIS_URL names {where(url)}, which cannot be used: {error}\n"
            "Start that server or correct the variable; without REDIS_URL the tower runs"
            " a Valkey of its own."
        ) from error
    info: Mapping[str, object] = answer  # type: ignore[assignment]  # the stubs allow a coroutine
    return str(info.get("valkey_version") or info.get("redis_version", "unknown"))


def queue_depths(url: str) -> dict[str, int]:
    """How many invitations wait in each lane."""
    client = connect(url)
    try:
        names = sorted(client.smembers("rq:queues"))  # type: ignore[arg-type]  # as above
        return {name.removeprefix("rq:queue:"): int(client.llen(name)) for name in names}  # type: ignore[arg-type]  # as above
    finally:
        client.close()
