"""What a page must have shown, what has to be typed anew, and what a reason has to say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.oversight.domain import confirming, reading, reasons

OPENED = datetime(2026, 5, 4, 12, tzinfo=UTC)
ALL = frozenset(reading.PARTS)


@pytest.mark.parametrize(
    ("risk", "seen", "after_s", "words"),
    [
        (1, frozenset(), 0, ""),
        (2, ALL, 2, ""),
        (2, ALL, 1.5, "Approve in 1 s."),
        (3, ALL, 3.9, "it has to be read for 4 s. Approve in 1 s."),
        (3, ALL, 4, ""),
        (4, ALL, 7, "Approve in 1 s."),
        (4, ALL, 8, ""),
        (2, ALL - {"why"}, 60, "Not on your screen yet: “Why it needs you”."),
        (2, frozenset({"why"}), 60, "“Exactly what will run” and “What changes”. Scroll there"),
    ],
)
def test_what_keeps_an_approval_from_counting(
    risk: int, seen: frozenset[str], after_s: float, words: str
) -> None:
    read = reading.SheetRead(OPENED, seen)

    why = reading.unread(read, risk, OPENED + timedelta(seconds=after_s))

    assert words in why
    assert bool(why) == bool(words)


@pytest.mark.parametrize("risk", [2, 3, 4])
def test_who_never_opened_it_is_told_to(risk: int) -> None:
    assert reading.unread(None, risk, OPENED).startswith("You have not opened this request")


@pytest.mark.parametrize(
    ("typed", "is_met"),
    [
        ("6178", True),
        ("$6,178.00", True),
        (" 6178.0 ", True),
        ("6 178,00", False),
        ("6\u202f178.00", True),
        ("6178.001", False),
        ("617800", False),
        ("6,17,8", False),
        ("-6178", False),
        ("\uff16\uff11\uff17\uff18", True),
        ("all of it", False),
        ("9" * 400, False),
        ("", False),
    ],
)
def test_an_amount_is_compared_by_its_value(typed: str, is_met: bool) -> None:
    asked = confirming.challenge(risk=4, amount_cents=617800, arguments={}, digest="0" * 64)

    assert asked is not None
    assert asked.is_met(typed) is is_met
    assert bool(asked.why_not(typed)) is not is_met
    assert "6178" not in asked.why_not(typed)


@pytest.mark.parametrize(
    ("arguments", "label", "text"),
    [
        ({"reservation_id": "Q69X3R", "cabin": "first"}, "The reservation id", "q69x3r"),
        ({"items": [], "order_id": "#W5199551"}, "The order id", "#W5199551"),
        ({"paid": "yes", "user_id": "p\u0430ypal"}, "The last eight", "89abcdef"),
        ({"reservation_id": ["A"]}, "The last eight", "89ABCDEF"),
        (["A"], "The last eight", "89abcdef"),
        (None, "The last eight", "89abcdef"),
    ],
)
@pytest.mark.parametrize("amount", [None, 0])
def test_where_no_money_moves_the_object_is_named(
    arguments: Any, label: str, text: str, amount: int | None
) -> None:
    digest = f"{'0' * 56}89abcdef"
    asked = confirming.challenge(risk=4, amount_cents=amount, arguments=arguments, digest=digest)

    assert asked is not None
    assert asked.label.startswith(label)
    assert asked.is_met(text)
    assert not asked.is_met(f"{text}x")
    assert "type the " in asked.why_not("")


@pytest.mark.parametrize("risk", [1, 2, 3])
def test_nothing_is_typed_anew_below_critical(risk: int) -> None:
    asked = confirming.challenge(risk=risk, amount_cents=5, arguments={}, digest="0" * 64)
    assert asked is None


@pytest.mark.parametrize(
    "said",
    [
        "Fare rules allow it",
        "duplicate of W5199551",
        "Kunde hat schriftlich zugestimmt",
        "客户已书面确认",
        "Le client a confirmé par téléphone",
        "Fee is covered by gold status.",
    ],
)
def test_a_reason_about_the_case_is_taken(said: str) -> None:
    assert reasons.fault(said) == ""


@pytest.mark.parametrize(
    "said",
    [
        *("x", "xx", "xxxxxxxxxxxx", "abababababab", "asdfasdf", "qwertyuiop", "12345678"),
        *("ok", "OK, looks good to me!", "Approved", "checked and fine", "lgtm lgtm lgtm", "yes"),
        *("....", " ", "🙂🙂🙂", "because", "fare ok", "\uff14" * 9, "8231 9922"),
    ],
)
def test_a_reason_that_says_nothing_is_not(said: str) -> None:
    assert reasons.fault(said)
