"""Free ports, and secrets that are written once."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from controltower.launch import files, ports
from controltower.launch.places import Places, first_ports, hold_ports


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_next_free_port_follows_a_busy_one(busy_port: int) -> None:
    assert not ports.is_free(busy_port)
    assert ports.is_open(busy_port)

    assert ports.next_free(busy_port) > busy_port


def test_next_free_port_leaves_out_what_is_taken() -> None:
    first = ports.next_free(20000)

    assert ports.next_free(first, taken={first}) > first


def test_ports_of_last_time_are_used_again_unless_busy(var: Path, busy_port: int) -> None:
    places = Places(var)
    free = ports.next_free(busy_port + 1)
    files.write_json(places.state, {"ports": {"web": busy_port, "postgres": free}})

    held = hold_ports(first_ports(places, {}))

    chosen = [one.port for one in held.values()]
    for one in held.values():
        one.close()
    assert held["web"].port > busy_port
    assert len(set(chosen)) == len(chosen)
    assert first_ports(places, {})["postgres"] == free
    assert first_ports(places, {"TOWER_PORT": str(free)})["web"] == free


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_named(var: Path, text: str) -> None:
    with pytest.raises(ports.NoFreePortError, match=rf"TOWER_PORT .* is '{text}'"):
        first_ports(Places(var), {"TOWER_PORT": text})


def test_secret_is_made_once_and_private(var: Path) -> None:
    path = var / "some.key"

    first = files.secret(path)

    assert len(first) >= 40
    assert files.secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_state_that_was_cut_short_reads_as_empty(var: Path) -> None:
    (var / "state.json").write_text('{"pid": 1')

    assert files.read_json(var / "state.json") == {}


def test_long_socket_directories_get_a_short_name(var: Path) -> None:
    long = var / ("x" * 90)

    chosen = files.socket_dir(long)

    assert len(str(chosen)) <= files.LONGEST_SOCKET_DIR
    assert files.socket_dir(long) == chosen
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o700
    chosen.rmdir()


def test_any_free_port_is_none_that_outgoing_connections_get() -> None:
    found = {ports.any_free() for _ in range(20)}

    assert len(found) > 10
    assert all(port < 32_768 and ports.is_free(port) for port in found)
