"""Patterns from outside mean what ECMA 262 says, in linear time, or are refused."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.ecma import PatternError
from apps.kernel.patterns import TooLongError, pattern


@pytest.mark.parametrize(
    ("source", "found", "not_found"),
    [
        (r"^[\p{L}\p{N} ._-]+$", "Ana Žižek_9", "Ana <b>"),
        (r"^\d+$", "12", "१२"),
        (r"^\w+$", "az_09", "é"),
        (r"\s", "\ufeff", "\x85"),
        (r"^[^\s]$", "x", "\u2003"),
        (r"^[\S]$", "x", "\u3000"),
        (r"^\/a\-b\@$", "/a-b@", "a-b@"),
        (r"^\u0041\x42\cJ\0$", "AB\n\0", "AB"),
        (r"^\uD83D\uDE00$", "😀", "x"),
        (r"^\u{1F600}.$", "😀😀", "😀"),
        (r"^.$", "\x85", "\u2028"),
        (r"a$", "a", "a\n"),
        (r"^(?<year>\d{4})-(?<month>\d\d)$", "2026-11", "11-2026"),
        (r"^[[:alpha:]]$", "a]", "b"),
        (r"^[^]$", "\n", ""),
        (r"x|[]", "x", "y"),
        (r"^[\w-.]+$", "a-b.c", "a b"),
        (r"^[\b\]\\^-]+$", "\b]\\^-", "b"),
        (r"\p{Script=Greek}", "λ", "a"),
        (r"\p{sc=Cyrl}", "я", "R"),
        (r"^\p{Lu}\p{Lowercase_Letter}\P{L}$", "Éa1", "éaa"),
        (r"^[^\p{L}]\p{ASCII}\p{Any}$", "1a\n", "aaa"),
        (r"^a{2,3}?$", "aaa", "a"),
        (r"^(?:ab){2}$", "abab", "ab"),
        (r"\bab\B", "abc", "ab c"),
        (r"^(?i:ä)b$", "Äb", "ÄB"),
        (r"^{a}$", "{a}", "a"),
        ("^\ud83d\ude00$".encode("utf-16", "surrogatepass").decode("utf-16"), "\ud83d\ude00", "x"),
        (r"^.$", "\ud800", ""),
    ],
)
def test_a_pattern_means_what_ecma_262_says(source: str, found: str, not_found: str) -> None:
    assert pattern(source).found_in(found)
    assert not pattern(source).found_in(not_found)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (r"(?=a)b", "looks around"),
        (r"a(?!b)", "looks around"),
        (r"(?<=a)b", "looks around"),
        (r"(?<!a)b", "looks around"),
        (r"(a)\1", "refers back"),
        (r"(?<n>a)\k<n>", "refers back"),
        (r"\Aa\Z", "means nothing"),
        (r"\a", "means nothing"),
        (r"\u{110000}", "means nothing"),
        (r"\ud800", "means nothing"),
        (r"\08", "means nothing"),
        ("\ud800", "stands alone"),
        (r"\pL", "in braces"),
        (r"\p{Greek}", "not known"),
        (r"\p{Script=Klingon}", "can't be used"),
        (r"\p{Alphabetic}", "not known"),
        ("a{1001}", "more than 1000 times"),
        ("(a{100}){100}", "can't be used"),
        ("a{2,1}", "the wrong way round"),
        ("a++", "repetition is repeated"),
        ("*a", "repeats nothing"),
        ("^*", "assertion can't be repeated"),
        (r"\b+", "assertion can't be repeated"),
        ("(a", "never closed"),
        ("a)", "closes nothing"),
        ("[a", "never closed"),
        ("[b-a]", "goes down"),
        ("(?#a)", "opens no group"),
        ("(?P<a>b)", "opens no group"),
        ("(?i)a", "opens no group"),
        ("\\", "ends too early"),
        ("(" * 61 + ")" * 61, "nested too deeply"),
        ("a" * 4001, "longer than 4,000"),
        (r"(?:\p{L}{0,900}\p{N}){9}", "can't be used"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_way_out(source: str, says: str) -> None:
    with pytest.raises(PatternError, match=re.escape(says)) as refused:
        pattern(source)

    assert refused.value.fix


@pytest.mark.parametrize(
    "source", ["(a|aa)+$", "^(a+)+$", "(.*)*b$", "(a|a?)+c", "^(([a-z])+.)+[A-Z]$"]
)
def test_a_pattern_takes_time_in_proportion_to_the_text(source: str) -> None:
    started = time.process_time()

    assert not pattern(source).found_in("a" * 50_000 + "!")
    assert time.process_time() - started < 5


def test_a_text_longer_than_a_pattern_may_be_tried_on_is_said() -> None:
    with pytest.raises(TooLongError):
        pattern("a").found_in("b" * 2_000_001)


@pytest.mark.parametrize(
    ("source", "found", "not_found"),
    [
        (r"\bété\b", "UN ÉTÉ CHAUD", "répété"),
        (r"\b(\bcancel\b|\bété\b)\b", "l'été", "étés"),
        (r"\binjur\w*\b", "she is injuréd", "perjury"),
        (r"^\w+$", "naïve_ж9٣", "naïve!"),
        (r"^\W+$", "…—!", "é"),
        (r"^[^\W\d]+$", "éж", "é٣"),
        (r"^\D+$", "é!", "٣"),
        (r"^[\s\S]$", "é", "éé"),
        (r"^x[à-ü]y$", "xéy", "xey"),
        (r"^[^à-ü]$", "ж", "é"),
        (r"^\S\s\S$", "é\x85ж", "é_ж"),
        (r"(?s)a.é", "a\né", "aé"),
        (r"(?m)^é$", "a\né\nb", "éé"),
        (r"\Aé\Z", "é", "éé"),
        (r"(?P<name>é)$", "é", "e"),
        (r"^\p{L}[^\p{L}]$", "é1", "éé"),
        (r"^.é", "\x01é", "é"),
    ],
)
def test_a_signal_knows_the_letters_of_every_script(
    source: str, found: str, not_found: str
) -> None:
    assert pattern(source, words=True).found_in(found)
    assert not pattern(source, words=True).found_in(not_found)


ATOMS = [
    "a",
    "é",
    ".",
    r"\w",
    r"\W",
    r"\d",
    r"\s",
    "[aé-]",
    "[^é]",
    r"[\w.]",
    r"[^\w]",
    r"\b",
    "^",
    "$",
]
WORDS = st.lists(
    st.tuples(st.sampled_from(ATOMS), st.sampled_from(["", "", "*", "?", "{1,2}"])), max_size=6
).map(lambda parts: "".join(a + ("" if a in ("^", "$", r"\b") else r) for a, r in parts))


@pytest.mark.parametrize(
    "source", [r"\b^", r"\b^é", r"^\bé", r"é$\b", r"é\b$", r"$\b", r"\b\b^é", r"(?m)\b^é$\b"]
)
def test_assertions_of_one_place_hold_in_any_order(source: str) -> None:
    assert pattern(source, words=True).found_in("é")
    assert not pattern(source, words=True).found_in("")


@given(WORDS, st.text("aéB1 .-_ж\n", max_size=8))
def test_a_signal_is_heard_as_python_would_hear_it(source: str, text: str) -> None:
    said = re.search(source.replace("$", r"\Z"), text, re.IGNORECASE)

    assert pattern(source, words=True).found_in(text) == bool(said)


@given(
    st.text(r"a\()[]{}?*+.|^$pPuxbBdDsSwWkL=<!:-,01 é" + "\ud800", max_size=14), st.text(max_size=9)
)
def test_any_text_is_a_pattern_or_refused(source: str, text: str) -> None:
    for words in (False, True):
        with contextlib.suppress(PatternError):
            assert pattern(source, words=words).found_in(text) in (True, False)
