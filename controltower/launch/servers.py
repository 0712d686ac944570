"""Which PostgreSQL and Redis the tower uses: the ones named in the environment, or its own."""

from __future__ import annotations

import signal
from collections.abc import Mapping

import psycopg
import redis

from apps.kernel import databases
from controltower.launch import files
from controltower.launch.places import Places
from controltower.launch.postgres import EmbeddedPostgres
from controltower.launch.processes import evict
from controltower.launch.valkey import EmbeddedValkey, connect

WITHOUT_DATABASE = "without DATABASE_URL the tower runs a PostgreSQL of its own."
WITHOUT_REDIS = "without REDIS_URL the tower runs a Valkey of its own."


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


def postgres_version(url: str) -> str:
    """The server's version; raises `UnreachableError` that names `DATABASE_URL`."""
    try:
        parameters = databases.postgres(url)
        with psycopg.connect(**{"connect_timeout": "5"} | parameters) as connection:
            row = connection.execute("show server_version").fetchone()
    except databases.AddressError as error:
        raise UnreachableError(f"{error}\n{WITHOUT_DATABASE}") from error
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "no answer"
        raise UnreachableError(
            f"DATABASE_URL names {databases.where(parameters)}, which cannot be used: {reason}\n"
            f"Start that server or correct the variable; {WITHOUT_DATABASE}"
        ) from error
    return str(row[0]) if row else "unknown"


def pooler(url: str) -> str:
    """What `TOWER_POOLER` has to be for this address; raises `UnreachableError` when the pooler
    there can't be worked with."""
    try:
        found = databases.pooling(databases.postgres(url))
    except psycopg.Error as error:
        raise UnreachableError(f"DATABASE_URL: {error}") from error
    if found is databases.Pooling.STATEMENT:
        raise UnreachableError(databases.STATEMENT_POOLING)
    return found.value


def redis_version(url: str) -> str:
    """The server's version; raises `UnreachableError` that names `REDIS_URL`."""
    try:
        client = connect(databases.redis_url(url))
        try:
            answer = client.info("server")
        finally:
            client.close()
    except databases.AddressError as error:
        raise UnreachableError(f"{error}\n{WITHOUT_REDIS}") from error
    except (redis.RedisError, OSError, ValueError) as error:
        raise UnreachableError(
            f"REDIS_URL names {databases.where_redis(url)}, which cannot be used: {error}\n"
            f"Start that server or correct the variable; {WITHOUT_REDIS}"
        ) from error
    info: Mapping[str, object] = answer  # type: ignore[assignment]  # the stubs allow a coroutine
    if (mode := str(info.get("redis_mode", "standalone"))) != "standalone":
        raise UnreachableError(
            f"REDIS_URL names {databases.where_redis(url)}, which runs as a {mode}: that is not"
            f" supported, name a single server.\n{WITHOUT_REDIS}"
        )
    return str(info.get("valkey_version") or info.get("redis_version", "unknown"))


def queue_depths(url: str) -> dict[str, int]:
    """How many invitations wait in each lane."""
    client = connect(url)
    try:
        names = sorted(client.smembers("rq:queues"))  # type: ignore[arg-type]  # as above
        return {name.removeprefix("rq:queue:"): int(client.llen(name)) for name in names}  # type: ignore[arg-type]  # as above
    finally:
        client.close()
