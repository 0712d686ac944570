"""DATABASE_URL and REDIS_URL: everything their libraries take, and words about the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel import databases
from apps.kernel.databases import AddressError
from controltower.launch import ports
from controltower.launch.places import ROOT
from tests import tls

SECRETS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
READ = """
import json
from django.conf import settings
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT current_setting('statement_timeout'), current_database()")
    row = cursor.fetchone()
pg = connection.connection.pgconn
print(json.dumps({"row": row, "tls": bool(pg.ssl_in_use), "host": pg.host.decode()}))
"""


def django_says(**environment: str) -> subprocess.CompletedProcess[str]:
    """What the product's own connection says, as its processes make it."""
    return subprocess.run(
        [sys.executable, "-c", READ],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "controltower.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def pieces() -> dict[str, str]:
    return databases.postgres(os.environ["DATABASE_URL"])


def address(*places: str, query: str = "") -> str:
    """The tests' PostgreSQL, at other places."""
    of = pieces()
    account = f"{of['user']}:{quote(of['password'], safe='')}"
    return f"postgres://{account}@{','.join(places)}/{of['dbname']}?connect_timeout=5&{query}"


@given(SECRETS)
def test_an_encoded_password_arrives_as_it_is(secret: str) -> None:
    read = databases.postgres(f"postgres://u:{quote(secret, safe='')}@h:1/d")
    assert read == {"user": "u", "password": secret, "host": "h", "port": "1", "dbname": "d"}
    url = f"redis://:{quote(secret, safe='')}@h:1/2"
    client = redis.Redis.from_url(databases.redis_url(url))
    assert client.connection_pool.connection_kwargs["password"] == secret


@given(st.text(st.sampled_from("abcz019/@:#?%&=[] "), min_size=1, max_size=8))
def test_an_error_never_holds_a_piece_of_the_password(part: str) -> None:
    secret = f"Qx7{part}Qx8"
    for read, url in (
        (databases.postgres, f"postgres://u:{secret}@h:1/d?connect_timeout=3"),
        (databases.postgres, f"mysql://u:{secret}@h/d"),
        (databases.postgres, f"host=h password={secret} nonsense"),
        (databases.postgres, f"postgres://h/d?nonsense=1&password={secret}"),
        (databases.redis_url, f"redis://u:{secret}@h:1/0?nonsense=1"),
        (databases.redis_url, f"redis://h:1/0?nonsense=1&password={secret}"),
    ):
        said = _refusal(read, url)
        assert "Qx7" not in said
        assert "Qx8" not in said


def _refusal(read: Callable[[str], object], url: str) -> str:
    """What is said against an address; empty when it can be read."""
    try:
        read(url)
    except AddressError as error:
        return str(error)
    return ""


def test_what_libpq_takes_is_passed_on() -> None:
    read = databases.postgres(
        "postgresql://u:p%40@a:1,[::1]:2/d?target_session_attrs=read-write&sslmode=verify-full"
        "&sslrootcert=/ca.pem&options=-c%20work_mem%3D9MB&keepalives_idle=5&application_name=x"
    )
    assert read == {
        "user": "u",
        "password": "p@",
        "host": "a,::1",
        "port": "1,2",
        "dbname": "d",
        "target_session_attrs": "read-write",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "options": "-c work_mem=9MB",
        "keepalives_idle": "5",
        "application_name": "x",
    }
    assert databases.where(read) == "a:1, ::1:2"
    assert databases.postgres("host=/run/pg dbname=d")["host"] == "/run/pg"
    assert databases.postgres("postgres://%2Frun%2Fpg/d")["host"] == "/run/pg"
    assert databases.postgres("postgres:///?service=tower") == {"service": "tower"}


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgres://h/d?nonsense=1", "nonsense"),
        ("postgres://h:port/d", "port"),
        ("postgres://h:0/d", "port"),
        ("postgres:///d?host=a,b&port=1,2,3", "port"),
        ("postgres://h/d?client_encoding=latin1", "client_encoding"),
        ("postgres://h/d?replication=database", "replication"),
        ("postgres://h", "database"),
        ("mysql://h/d", "mysql"),
        ("", "postgres://"),
    ],
)
def test_what_postgresql_cannot_be_named_by(url: str, named: str) -> None:
    with pytest.raises(AddressError, match=named) as caught:
        databases.postgres(url)
    assert str(caught.value).startswith("DATABASE_URL")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://h/0?nonsense=1", "nonsense"),
        ("redis://h/0?socket_timeout=soon", "socket_timeout"),
        ("redis://h/0?decode_responses=1", "decode_responses"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "maybe"),
        ("redis://h:port/0", "port"),
        ("redis://h/first", "number of a database"),
        ("redis+sentinel://h:1/0", "Sentinel"),
        ("redis://a:1,b:2/0", "Cluster"),
        ("http://h/0", "redis://"),
        ("unix://", "socket"),
    ],
)
def test_what_redis_cannot_be_named_by(url: str, named: str) -> None:
    with pytest.raises(AddressError, match=named) as caught:
        databases.redis_url(url)
    assert str(caught.value).startswith("REDIS_URL")


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:p@h:1/3?socket_timeout=2&health_check_interval=5",
        "rediss://h/0?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock?db=2",
    ],
)
def test_what_redis_takes_is_left_as_it_is(url: str) -> None:
    assert databases.redis_url(url) == url


def test_required_tls_is_required(tmp_path: Path) -> None:
    plain = int(pieces()["port"])
    refused = django_says(DATABASE_URL=address(f"127.0.0.1:{plain}", query="sslmode=require"))
    assert "SSL was required" in refused.stderr
    pem = tls.certificate(tmp_path)
    with tls.before(plain, pem, postgres=True) as port:
        query = f"sslmode=verify-full&sslrootcert={quote(str(pem), safe='')}"
        said = django_says(DATABASE_URL=address(f"127.0.0.1:{port}", query=query))
        assert json.loads(said.stdout)["tls"] is True, said.stderr
        stranger = tls.certificate(tmp_path)
        query = f"sslmode=verify-full&sslrootcert={quote(str(stranger), safe='')}"
        said = django_says(DATABASE_URL=address(f"127.0.0.1:{port}", query=query))
        assert "certificate verify failed" in said.stderr


def test_of_several_hosts_the_first_that_serves_is_taken() -> None:
    plain, nobody = pieces()["port"], ports.any_free()
    places = f"127.0.0.1:{nobody}", f"127.0.0.1:{plain}"
    query = "target_session_attrs=read-write&options=-c%20statement_timeout%3D7s"
    said = django_says(DATABASE_URL=address(*places, query=query), TOWER_PROCESS="web")
    assert json.loads(said.stdout)["row"] == ["7s", pieces()["dbname"]], said.stderr


def test_a_directory_of_sockets_is_a_host() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SHOW unix_socket_directories").fetchone()
    assert row is not None
    said = django_says(DATABASE_URL=address("", query=f"host={row[0]}&port={pieces()['port']}"))
    assert json.loads(said.stdout)["row"][0] == "15s", said.stderr
    assert json.loads(said.stdout)["host"] == row[0]


def test_redis_over_tls_serves_every_client_of_the_product(tmp_path: Path) -> None:
    url = os.environ["REDIS_URL"]
    plain = redis.Redis.from_url(url).connection_pool.connection_kwargs
    pem = tls.certificate(tmp_path)
    ask = (
        "import django; django.setup()\n"
        "import asyncio\n"
        "from django.core.cache import cache\n"
        "from channels.layers import get_channel_layer\n"
        "from apps.runs import dispatch\n"
        "from apps.runs.engine.doorbell import Doorbell\n"
        "cache.set('seen', 1); assert cache.get('seen') == 1\n"
        "async def hear():\n"
        "    bell = Doorbell('urgent')\n"
        # Bells don't wait for a slow machine; somebody rings again, as the sweep does.
        "    for _ in range(40):\n"
        "        if dispatch.ring('urgent') and await bell.wait(1): break\n"
        "    else: raise SystemExit('nobody heard the bell')\n"
        "    await bell.close()\n"
        "    layer = get_channel_layer()\n"
        "    name = await layer.new_channel()\n"
        "    await layer.send(name, {'type': 'x'})\n"
        "    assert (await layer.receive(name))['type'] == 'x'\n"
        "asyncio.run(hear())\n"
        "print('heard')\n"
    )
    with tls.before(plain["port"], pem) as port:
        secure = f"rediss://:{plain['password']}@127.0.0.1:{port}/0?ssl_ca_certs={pem}"
        for address, is_heard in ((secure, True), (secure.partition("?")[0], False)):
            done = subprocess.run(
                [sys.executable, "-c", ask],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "controltower.settings",
                    "REDIS_URL": address,
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=180,
            )
            assert (done.stdout == "heard\n") is is_heard, done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "", "Set DATABASE_URL"),
        ("REDIS_URL", "", "Set REDIS_URL"),
        ("DATABASE_URL", "postgres://tower:tower@h/d", "anybody would try"),
        ("DATABASE_URL", "postgres://tower:s3cret@h:x/d", "port"),
    ],
)
def test_production_wants_addresses_of_its_own(name: str, value: str, words: str) -> None:
    done = django_says(
        **{
            "TOWER_ENV": "production",
            "DATABASE_URL": "postgres://tower:long@h/d",
            "REDIS_URL": "redis://:long@h/0",
            name: value,
        }
    )
    assert words in done.stderr.splitlines()[-1]
    assert "s3cret" not in done.stderr
