"""Whatever is logged, one event is one line, and nothing in it acts."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain.caller import calling
from apps.web.adapters.lines import BELOW, LineFormatter
from apps.web.domain.untrusted import hides

FORGED = "2026-11-28 10:00:00,000 INFO apps.oversight approved by ida"


def line(message: str, *args: Any, error: BaseException | None = None) -> str:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("apps.x", logging.WARNING, __file__, 1, message, args, info)
    record.created, record.msecs = 0.0, 0.0
    return LineFormatter().format(record)


def test_a_line_says_when_how_grave_whose_and_what() -> None:
    assert line("%s came", "ida") == "1970-01-01 00:00:00,000 WARNING apps.x ida came"
    assert settings.LOGGING["formatters"]["line"] == {
        "()": f"{LineFormatter.__module__}.LineFormatter"
    }


def test_the_time_is_universal_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as there:
            there.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            assert line("x").startswith("1970-01-01 00:00:00,000 ")
    finally:
        time.tzset()


def test_what_happens_on_a_request_bears_its_name() -> None:
    with calling("203.0.113.7", "5f0c"):
        assert line("x").endswith(" x request=5f0c")
    assert "request" not in line("x")


def test_no_text_makes_a_line_of_its_own_or_turns_one_round() -> None:
    said = line("%s", f"ida\r\n{FORGED}\u2028{FORGED}\x85\x1b[2J\u202e\x00")

    assert len(said.splitlines()) == 1
    assert "ida\\r\\n2026" in said
    assert "\\u202e\\x00" in said


def test_an_error_s_words_stand_below_its_line() -> None:
    try:
        raise ValueError(f"ida\n{FORGED}\x0c{FORGED}")
    except ValueError:
        said = line("failed", error=sys.exc_info()[1]).splitlines()

    assert said[0].endswith(" failed")
    assert said[1] == f"{BELOW}Traceback (most recent call last):"
    assert all(one.startswith(BELOW) for one in said[1:])
    assert sum(FORGED in one for one in said) == 2


@given(st.text())
def test_nothing_hides_in_a_line(text: str) -> None:
    assert not any(hides(char) for char in line("%s", text))
