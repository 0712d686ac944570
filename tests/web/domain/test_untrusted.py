"""What hides in text from outside is shown; everything else stays as it is."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.web.domain.untrusted import has_hidden, hides, mixes_scripts, name_of, pieces

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
        ("refund \u0441\u043e\u0441\u0430 now", True),  # all Cyrillic
        ("\u0410\u0421\u041c\u0415", True),
        ("\u0399\u039a\u0395\u0391", True),  # all Greek
        ("\uff50\uff41\uff59pal", True),  # fullwidth
        ("\U0001d429\U0001d41a\U0001d432pal", True),  # mathematical
        ("\u24df\u24d0\u24e8", True),  # circled
        ("\u0441\u043e\u0441\u0430-1", True),
        ("\u043e\u043d \u0438 \u043e\u043d\u0430", False),
        ("\u0395\u03bb\u03bb\u03ac\u03b4\u03b1", False),
        ("1\u00ba, \u00bd, \u65e5\u672c, \u2460", False),
        ("Stra\u00dfe, \u0141\u00f3d\u017a, \u0130zmir", False),
    ],
)
def test_words_that_can_be_taken_for_others_are_noticed(text: str, mixed: bool) -> None:
    assert mixes_scripts(text) is mixed


@given(st.text(), st.sampled_from(["", "\n\t"]))
def test_pieces_are_the_text_cut_where_something_hides(text: str, keep: str) -> None:
    found = pieces(text, keep=keep)

    assert "".join(chr(int(p.text[2:], 16)) if p.is_mark else p.text for p in found) == text
    for piece in found:
        assert piece.is_mark or not any(hides(c) and c not in keep for c in piece.text)
    assert all(b.is_mark or a.is_mark for a, b in pairwise(found))


def test_a_nul_and_the_symbol_for_it_are_told_apart() -> None:
    found = pieces("\u2400\x00\u200b\x00")

    assert [p.text for p in found] == ["\u2400", "U+0000", "U+200B", "U+0000"]


@pytest.mark.parametrize("text", ["x" * 4_000_000, "\u00e9 " * 2_000_000, "\u202ea" * 500_000])
def test_megabytes_are_looked_through_in_moments(text: str) -> None:
    began = time.process_time()

    pieces(text)
    has_hidden(text)
    mixes_scripts(text)

    assert time.process_time() - began < 10  # a character at a time it would take a minute


def test_a_text_of_every_character_is_cut_in_moments() -> None:
    text = "".join(map(chr, range(0x30000)))
    began = time.process_time()

    pieces(text)

    assert time.process_time() - began < 5
