"""The embedded Valkey keeps what was written, and lets nobody in without the password."""

from __future__ import annotations

import os
import signal
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis

from controltower.launch import ports
from controltower.launch.listening import Listener
from controltower.launch.processes import PortTakenError, wait_until
from controltower.launch.valkey import EmbeddedValkey, connect


def test_data_survives_a_killed_server(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", "yes")
    time.sleep(1.1)  # the append-only file is synchronised once a second

    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)
    assert wait_until(lambda: valkey.poll() is not None, timeout_seconds=5)
    valkey.start()

    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("kept") == b"yes"


def test_password_is_needed_and_not_on_the_command_line(valkey: EmbeddedValkey) -> None:
    with (
        connect(f"redis://127.0.0.1:{valkey.port}/0") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()

    with open(f"/proc/{valkey.pid}/cmdline") as handle:
        assert valkey.password not in handle.read()
    assert stat.S_IMODE((valkey.data_dir / "valkey.conf").stat().st_mode) == 0o600


def test_server_of_a_killed_tower_is_evicted(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", "yes")
    orphan, valkey.process = valkey.process, None

    valkey.start()

    assert orphan is not None
    assert orphan.wait(5) is not None
    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("kept") == b"yes"


def test_a_port_that_was_taken_meanwhile_is_told_apart(var: Path) -> None:
    with closing(Listener(ports.any_free())) as thief:
        server = EmbeddedValkey(
            var / "valkey", password="secret", log=var / "valkey.log", port=thief.port
        )
        with pytest.raises(PortTakenError, match=f"port {thief.port}"):
            server.start()
    server.start()
    server.stop()
