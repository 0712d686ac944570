"""Which PostgreSQL and Redis are used: ``DATABASE_URL`` and ``REDIS_URL``, as their libraries read
them.

Nothing is dropped on the way: what libpq or redis-py understands reaches it, and what it doesn't is
refused here with the parameter's name. A message never holds a password, nor a piece of one: the
libraries quote what they can't read, so their words are passed on only of addresses whose secrets
were taken out before. Imports no Django: the launcher asks too.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict

SECRET = {"password", "sslpassword", "oauth_client_secret", "ssl_password"}
DATABASE_EXAMPLE = "postgres://user:password@host:port/name"
DEFAULT_DATABASE = "postgres://tower:tower@127.0.0.1:5432/controltower"
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"
REDIS_EXAMPLE = "redis://:password@host:port/0"
ENCODE = "write / as %2F, @ as %40, : as %3A, # as %23, ? as %3F and % as %25 in it"
# What the product can't work with, whatever the library says.
REFUSED_BY_US = {
    "client_encoding": "the tower speaks UTF-8 to PostgreSQL",
    "replication": "a connection for replication takes no ordinary statements",
}
REFUSED_OF_REDIS = {
    "decode_responses": "bells and ticks are bytes",
    "encoding": "bells and ticks are bytes",
    "single_connection_client": "several threads share a client",
}
# Of every connection: what hangs is given up, and held by nobody.
LIMITS = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}
TIMEOUTS = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
POOL = {"min_size": 2, "max_size": 12, "timeout": 3, "reconnect_timeout": 2}  # seconds
PROBE_MS = 14_321
STATEMENT_POOLING = (
    "DATABASE_URL leads to PgBouncer in statement mode, where no transaction can be made: set"
    " pool_mode to transaction or session."
)
REDIS_SCHEMES = ("redis", "rediss", "unix")


class AddressError(ValueError):
    """An address that can't be used; the message names the variable and the parameter."""


def postgres(url: str, *, name: str = "DATABASE_URL") -> dict[str, str]:
    """The connection parameters of libpq: of a ``postgres://`` address with any of its query
    parameters and several hosts, or of ``key=value`` pairs. Raises ``AddressError``."""
    begins = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    scheme = begins[1] if begins else ""
    if scheme not in {"", "postgres", "postgresql"} or not url.strip():
        raise AddressError(f"{name} must be {DATABASE_EXAMPLE}; its scheme is “{scheme[:20]}”.")
    try:
        found = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError) as error:
        raise AddressError(f"{name} can't be read: {_libpq_says(url, scheme)}") from error
    read = {key: str(value) for key, value in found.items() if value is not None}
    _check_places(read, name)
    for key, reason in REFUSED_BY_US.items():
        if read.get(key, "").lower() not in {"", "utf8", "utf-8", "false"}:
            raise AddressError(f"{name}: {key} can't be set: {reason}.")
    if "dbname" not in read and "service" not in read:
        raise AddressError(f"{name} names no database: it must be like {DATABASE_EXAMPLE}.")
    return read


def of_django(read: dict[str, str], *, process: str, pooler: str) -> dict[str, Any]:
    """Django's settings of the database that ``postgres`` read. Everything that libpq understands
    is passed on to it (TLS, several hosts, a service …).

    Each request of the process ``web`` runs in a thread of its own, so a connection that lives as
    long as its thread would be made anew with each request: a pool keeps some, looks at each before
    it is lent out, and soon tries again after an outage. Workers fork, so they have none."""
    options: dict[str, Any] = {"application_name": process, **read}
    named = {key: options.pop(key, "") for key in ("dbname", "user", "password", "host", "port")}
    if not pooler:
        # What the address says comes later, and wins. Through a pooler nothing of it would come:
        # there the role itself has the limits (controltower.pooling).
        options["options"] = f"{TIMEOUTS} {options.get('options', '')}".strip()
    if process == "web":
        options["pool"] = POOL
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": named.pop("dbname"),
        **{key.upper(): value for key, value in named.items()},
        "CONN_MAX_AGE": 0 if process == "web" else 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
        "ATOMIC_REQUESTS": False,
        # A cursor or a prepared statement outlives the transaction, and with it the server's
        # connection that a pooler lends out.
        "DISABLE_SERVER_SIDE_CURSORS": bool(pooler),
    }


def _libpq_says(url: str, scheme: str) -> str:
    """Why an address can't be read, in libpq's words unless they could quote a secret."""
    if not scheme:
        return f"it is neither {DATABASE_EXAMPLE} nor pairs like host=… dbname=…."
    if "@" not in url.partition("?")[2]:
        try:
            conninfo_to_dict(_without_secrets(url))
        except (psycopg.Error, UnicodeError) as error:
            return str(error).strip() + "."
    return f"its password must be percent-encoded ({ENCODE})."


def _without_secrets(url: str) -> str:
    address, mark, query = url.partition("?")
    scheme, _, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    kept = [part for part in query.split("&") if unquote(part.partition("=")[0]) not in SECRET]
    account = user.partition(":")[0]
    return f"{scheme}://{account}{at}{place}{mark}{'&'.join(kept)}"


def _check_places(read: dict[str, str], name: str) -> None:
    # A secret that is not encoded spills into what follows it: nothing of it is quoted.
    hosts, ports = read.get("host", "").split(","), read.get("port", "").split(",")
    if any(port and not _is_port(port) for port in ports):
        raise AddressError(
            f"{name}: a port is no number from 1 to 65535. If the password has / or @: {ENCODE}."
        )
    if any(re.search(r"[@:\s]", host) and not _is_ipv6(host) for host in hosts):
        raise AddressError(f"{name}: a host can't be read. If the password has / or @: {ENCODE}.")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise AddressError(f"{name}: {len(ports)} ports are given for {len(hosts)} hosts.")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536


def _is_ipv6(host: str) -> bool:
    return re.fullmatch(r"[0-9A-Fa-f:.]+(%\w+)?", host) is not None


class Pooling(StrEnum):
    """What stands between the tower and its PostgreSQL."""

    NONE = ""
    TRANSACTION = "transaction"
    STATEMENT = "statement"


def pooling(parameters: dict[str, str]) -> Pooling:
    """Whether the way to this PostgreSQL leads through a pooler that doesn't let through what a
    connection begins with (PgBouncer refuses ``options``, or drops them where it is told to).
    Raises ``psycopg.Error`` when nothing answers."""
    asked = f"{parameters.get('options', '')} -c statement_timeout={PROBE_MS}".strip()
    plain = {"connect_timeout": "5", **parameters}
    try:
        with psycopg.connect(**{**plain, "options": asked}) as connection:  # type: ignore[arg-type]
            row = connection.execute("SHOW statement_timeout").fetchone()
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
        row = None
    if row is not None and str(row[0]) == f"{PROBE_MS}ms":
        return Pooling.NONE
    plain.pop("options", None)
    try:
        with psycopg.connect(**plain) as connection:  # type: ignore[arg-type]
            connection.execute("SELECT 1")
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        if "statement pooling" not in str(error):
            raise
        return Pooling.STATEMENT
    return Pooling.TRANSACTION


def redis_url(url: str, *, name: str = "REDIS_URL") -> str:
    """The same address, once redis-py has understood every part of it. Raises ``AddressError``."""
    scheme, _, rest = url.partition("://")
    plain = rest.partition("?")[0].rpartition("@")[2]
    if "sentinel" in scheme or "cluster" in scheme or (scheme in REDIS_SCHEMES and "," in plain):
        raise AddressError(
            f"{name}: Sentinel, Cluster and several servers aren't supported. Name one server, or"
            " the one address behind which they change over."
        )
    if scheme not in REDIS_SCHEMES:
        raise AddressError(f"{name} must be {REDIS_EXAMPLE}, rediss://… or unix://…/socket?db=0.")
    parameters = _redis_parameters(url, scheme, name)
    for key, reason in REFUSED_OF_REDIS.items():
        if key in parameters:
            raise AddressError(f"{name}: {key} can't be set: {reason}.")
    try:
        for library in (redis.Redis, redis.asyncio.Redis):
            # Makes no connection yet, but reads every parameter.
            library.from_url(url).connection_pool.make_connection()
    except Exception as error:
        raise AddressError(f"{name} can't be read: {_redis_says(error, parameters)}") from error
    return url


def _redis_parameters(url: str, scheme: str, name: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise AddressError(
            f"{name}: its host or port can't be read. If the password has / or @: {ENCODE}."
        ) from error
    if parts.fragment or "@" in parts.query:
        raise AddressError(f"{name}: its password must be percent-encoded: {ENCODE}.")
    if scheme != "unix" and not re.fullmatch(r"/?|/[0-9]+/?", parts.path):
        raise AddressError(
            f"{name}: what follows the host must be the number of a database, like /0."
            f" If the password has / or @: {ENCODE}."
        )
    if scheme == "unix" and not parts.path:
        raise AddressError(f"{name} names no socket: it must be like unix:///run/redis.sock?db=0.")
    return dict(parse_qsl(parts.query, keep_blank_values=True))


def _redis_says(error: Exception, parameters: dict[str, str]) -> str:
    for key in parameters:
        if f"'{key}'" in str(error):
            return f"the parameter {key} is unknown, or its value can't be used."
    if isinstance(error, redis.RedisError) and not SECRET & set(parameters):
        return f"{error}."
    return f"one of its parameters ({', '.join(sorted(parameters)) or 'none'}) can't be used."


def where(parameters: dict[str, Any]) -> str:
    """Host and port of a PostgreSQL for people: never a secret."""
    hosts = parameters.get("host") or parameters.get("hostaddr")
    if not hosts:
        service = parameters.get("service")
        return f"the service {service}" if service else "the local socket"
    hosts, ports = hosts.split(","), (parameters.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return ", ".join(
        f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=True)
    )


def where_redis(url: str) -> str:
    """Host and port, or socket, of a Redis for people: never a secret."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
