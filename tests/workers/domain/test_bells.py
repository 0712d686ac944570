"""Only an invitation to drain the lane is a bell; nothing else that lies in a queue is run."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.runs import dispatch
from apps.workers.domain.bells import MOST_BYTES, TASK, why_refused


def entry(call: Any = (TASK, None, ["normal"], {}), **more: bytes) -> dict[bytes, bytes]:
    data = call if isinstance(call, bytes) else zlib.compress(json.dumps(call).encode())
    fields = {"data": data, "origin": b"normal", "success_callback_name": b""} | more
    return {name.encode(): value for name, value in fields.items()}


def test_the_name_is_that_of_the_task_that_is_rung() -> None:
    assert dispatch.TASK == TASK


def test_a_bell_is_taken() -> None:
    assert why_refused(entry(), "normal") == ""
    assert why_refused(entry(timeout=b"-1", status=b"queued", worker_name=b"w"), "normal") == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (entry(["os.system", None, ["id"], {}]), "would call “os.system”"),
        (entry([TASK, None, ["urgent"], {}]), "form"),
        (entry([TASK, None, ["normal", 1], {}]), "form"),
        (entry([TASK, None, ["normal"], {"x": 1}]), "form"),
        (entry([TASK, "builtins.object", ["normal"], {}]), "form"),
        (entry([TASK, None, [["normal"]], {}]), "form"),
        (entry({}), "form"),
        (entry(b"\x80\x04\x95pickle"), "form"),
        (entry(zlib.compress(b"\x80\x04\x95pickle")), "form"),
        (entry(zlib.compress(b"[" * 4000)), "form"),
        (entry(b""), "form"),
        (entry(origin=b"urgent"), "another lane"),
        (entry(timeout=b"1"), "time limit"),
        (entry(success_callback_name=b"os.system"), "success_callback_name"),
        (entry(failure_callback_name=b"os.system"), "failure_callback_name"),
        (entry(stopped_callback_name=b"os.system"), "stopped_callback_name"),
        (entry(webhooks=b'[{"url": "http://10.0.0.1/"}]'), "webhooks"),
        (entry(retries_left=b"9"), "retries_left"),
        (entry(repeats_left=b"9"), "repeats_left"),
        (entry(dependency_ids=b'["other"]'), "dependency_ids"),
        (entry(meta=b"{}"), "meta"),
        ({}, "another lane"),
    ],
)
def test_what_is_no_bell_is_refused(other: dict[bytes, bytes], why: str) -> None:
    assert why in why_refused(other, "normal")


def test_little_is_unpacked_of_what_is_packed_well() -> None:
    bomb = zlib.compress(b"[" + b" " * 50_000_000 + b"]")
    assert len(bomb) > MOST_BYTES
    assert "form" in why_refused(entry(bomb), "normal")


@given(st.dictionaries(st.binary(max_size=30), st.binary(max_size=60), max_size=6))
def test_nothing_else_is_taken_and_nothing_fails(fields: dict[bytes, bytes]) -> None:
    assert why_refused(fields, "normal")
