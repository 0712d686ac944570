"""The rules of a key, for any key, body and moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.api.domain import idempotency as rules
from apps.api.domain.idempotency import KeyVerdict, Known

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | WORDS
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS, v))
BODIES = st.dictionaries(WORDS, VALUES, max_size=4)
SECONDS = st.integers(-(10**7), 10**7).map(lambda s: NOW + timedelta(seconds=s))


def _shuffled(value: Any, seed: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        seed.shuffle(keys)
        return {k: _shuffled(value[k], seed) for k in keys}
    return [_shuffled(v, seed) for v in value] if isinstance(value, list) else value


@given(body=BODIES, seed=st.randoms(use_true_random=False))
def test_how_a_body_is_written_does_not_matter(body: dict[str, Any], seed: Any) -> None:
    written = json.loads(json.dumps(_shuffled(body, seed), indent=2))

    assert rules.fingerprint("POST /a", written) == rules.fingerprint("POST /a", body)


@given(one=BODIES, other=BODIES)
def test_what_a_body_says_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (rules.fingerprint("POST /a", one) == rules.fingerprint("POST /a", other)) is same
    assert rules.fingerprint("POST /a", one) != rules.fingerprint("POST /b", one)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_carry_exactly_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the promise is the kind of error
        rules.fingerprint("POST /a", {"deep": [value]})


@given(is_same=st.booleans(), is_done=st.booleans(), claimed_until=SECONDS, expires_at=SECONDS)
def test_every_request_that_meets_a_key_is_told_one_thing(
    is_same: bool, is_done: bool, claimed_until: datetime, expires_at: datetime
) -> None:
    known = Known("POST /a", "f", is_done, claimed_until, expires_at)

    verdict = rules.judge(known, operation="POST /a", fingerprint="f" if is_same else "g", now=NOW)

    is_working = not is_done and claimed_until > NOW
    is_outlived = expires_at <= NOW and not is_working
    # Work is begun only where nobody is at work, and never twice for an answer that is kept.
    begins = verdict in {KeyVerdict.TAKE_OVER, KeyVerdict.RENEW}
    assert not (begins and is_working)
    assert not (begins and is_done and not is_outlived)
    assert (verdict == KeyVerdict.RENEW) is is_outlived
    assert (verdict == KeyVerdict.MISMATCH) is (not is_same and not is_outlived)
    assert (verdict == KeyVerdict.REPLAY) is (is_same and is_done and not is_outlived)
    assert (verdict == KeyVerdict.WAIT) is (is_same and is_working)


@given(SECONDS)
def test_one_may_ask_again_soon(claimed_until: datetime) -> None:
    assert 1 <= rules.retry_after(claimed_until, now=NOW) <= 2


@given(st.text(max_size=300))
def test_a_key_is_printable_ascii_and_not_long(key: str) -> None:
    usable = 0 < len(key) <= 255 and key.isascii() and key.isprintable()

    assert (rules.key_problem(key) == "") is usable


def test_keys_outlive_thirty_days_and_a_lease_every_statement() -> None:
    assert timedelta(days=30) <= rules.KEPT
    assert timedelta(seconds=30) <= rules.LEASE
