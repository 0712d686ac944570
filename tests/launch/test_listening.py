"""A port that is held belongs to nobody else, whether it is served or rests."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controltower.launch import ports
from controltower.launch.listening import Listener
from controltower.launch.processes import wait_until
from controltower.launch.supervisor import Program

SERVER = """
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    caller, _ = listener.accept()
    caller.sendall(str(os.getpid()).encode())
    caller.close()  # closed here first: it lingers on this side
"""


@pytest.fixture
def held() -> Iterator[Listener]:
    with closing(Listener(ports.any_free())) as made:
        yield made


def heard(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        return caller.recv(100).decode()


def is_stolen(port: int, *, share: bool) -> bool:
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(share))
        try:
            thief.bind(("127.0.0.1", port))
            thief.listen()
        except OSError:
            return False
        return True


def test_towers_that_look_at_the_same_port_get_different_ones() -> None:
    first = ports.any_free()
    held = [Listener(first) for _ in range(10)]
    assert sorted(one.port for one in held) == [one.port for one in held]
    assert len({one.port for one in held}) == 10
    for one in held:
        one.close()


def test_a_held_port_is_nobody_elses(held: Listener) -> None:
    for prepare in (lambda: None, held.open, held.rest, held.open, held.rest):
        prepare()
        assert not is_stolen(held.port, share=True)
        assert not is_stolen(held.port, share=False)
        assert not ports.is_free(held.port)
    held.close()
    assert ports.is_free(held.port)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere callers wait")
def test_a_port_that_rests_turns_callers_away_at_once(held: Listener) -> None:
    assert not ports.is_open(held.port)
    held.open()
    assert ports.is_open(held.port)
    held.rest()
    assert not ports.is_open(held.port)


def test_a_process_that_crashed_finds_its_port_again(held: Listener, tmp_path: Path) -> None:
    program = Program(
        "server",
        [sys.executable, "-c", SERVER, str(held.descriptor)],
        env={},
        log=tmp_path / "log",
        listener=held,
    )
    for _ in range(3):
        program.start()
        assert heard(held.port) == str(program.pid)
        program.kill()
        assert wait_until(lambda: not ports.is_open(held.port), timeout_seconds=5)
    held.close()
    # The connections that linger are nobody's reason to move to another port.
    with closing(Listener(held.port)) as again:
        assert again.port == held.port
