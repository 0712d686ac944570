"""What hides in text from outside is shown; everything else stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.untrusted import has_hidden, hides, mixes_scripts, name_of, pieces

HIDING = [
    *range(0x20),
    *range(0x7F, 0xA1),
    0x00AD,
    0x034F,
    0x061C,
    0x115F,
    0x1160,
    0x1680,
    0x17B4,
    0x180B,
    0x180E,
    *range(0x2000, 0x2010),
    *range(0x2028, 0x2030),
    *range(0x205F, 0x2070),
    0x2800,
    0x3000,
    0x3164,
    *range(0xFE00, 0xFE10),
    0xFEFF,
    0xFFA0,
    *range(0xFFF9, 0xFFFC),
    0xE0001,
    *range(0xE0020, 0xE0080),
    0xE0100,
    0xE01EF,
    0xF0000,
    0x10FFFF,
]


@pytest.mark.parametrize("code", HIDING, ids=lambda code: f"U+{code:04X}")
def test_character_is_shown_as_a_mark(code: int) -> None:
    (piece,) = pieces(chr(code))

    assert piece.text == f"U+{code:04X}"
    assert piece.is_mark
    assert name_of(chr(code))


@pytest.mark.parametrize("text", ["Refund $1,240.00", "Zoë Müller", "日本語", "Ελλάδα", "🙂 “x”"])
def test_ordinary_text_stays(text: str) -> None:
    assert [p.text for p in pieces(text)] == [text]
    assert not has_hidden(text)


def test_line_ends_are_kept_where_asked() -> None:
    assert [p.text for p in pieces("a\nb", keep="\n")] == ["a\nb"]
    assert [p.text for p in pieces("a\nb")] == ["a", "U+000A", "b"]


@given(st.text())
def test_nothing_is_lost_and_nothing_hides(text: str) -> None:
    shown = pieces(text)

    back = "".join(chr(int(p.text[2:], 16)) if p.is_mark else p.text for p in shown)
    assert back == text
    assert not any(hides(char) for p in shown for char in p.text)


@pytest.mark.parametrize(
    ("text", "mixed"),
    [
        ("p\u0430ypal", True),
        ("\u0391laskaJazz", True),
        ("paypal", False),
        ("\u041c\u043e\u0441\u043a\u0432\u0430 paypal", False),
        ("caf\u00e9", False),
    ],
)
def test_words_of_two_alphabets_are_noticed(text: str, mixed: bool) -> None:
    assert mixes_scripts(text) is mixed
