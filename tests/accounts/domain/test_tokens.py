"""Tokens: how they look, and that a slip of the pen is noticed."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.accounts.domain import tokens

RANDOM = st.binary(min_size=tokens.RANDOM_BYTES, max_size=tokens.RANDOM_BYTES)


@given(RANDOM)
def test_every_token_is_sound_and_found_by_its_shape(random: bytes) -> None:
    token = tokens.mint(random)

    assert tokens.is_sound(token)
    assert re.fullmatch(r"twr_svc_[0-9A-Za-z]{33}", token)
    assert token.startswith(tokens.shown(token))
    assert len(tokens.shown(token)) < 20  # of 160 random bits, too few to guess the rest by
    assert tokens.digest_of(token) not in token


@given(RANDOM, RANDOM)
def test_no_two_are_alike(one: bytes, other: bytes) -> None:
    assume(one != other)

    assert tokens.mint(one) != tokens.mint(other)


@given(RANDOM, st.integers(0, 40), st.sampled_from("09AZaz_"))
def test_one_wrong_letter_is_noticed(random: bytes, place: int, letter: str) -> None:
    token = tokens.mint(random)
    assume(token[place] != letter)

    assert not tokens.is_sound(token[:place] + letter + token[place + 1 :])


@pytest.mark.parametrize("text", ["", "twr_svc_", "x" * 41, "twr_svc_" + "0" * 33 + "0"])
def test_what_is_no_token_is_not_sound(text: str) -> None:
    assert not tokens.is_sound(text)


def test_too_little_randomness_is_an_error() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        tokens.mint(b"short")


def test_no_scope_decides_or_changes_rules() -> None:
    """Written out on purpose: a machine never approves what machines do."""
    assert {str(s) for s in tokens.Scope} == {
        "runs:start",
        "runs:read",
        "runs:cancel",
        "runs:script",
        "runs:all",
    }
