from __future__ import annotations

from itertools import combinations
from uuid import UUID

from apps.calls.domain.keys import arguments_digest, change_key, undoing_key

A, B = UUID(int=1), UUID(int=2)
ONE, TWO = arguments_digest({"n": 1}), arguments_digest({"n": 2})


def test_the_same_change_of_a_run_has_one_key() -> None:
    assert change_key(A, "refund", ONE) == change_key(A, "refund", arguments_digest({"n": 1}))
    assert change_key(A, "refund", ONE, own_step=B) == change_key(A, "refund", ONE, own_step=B)


def test_any_other_change_has_another() -> None:
    found = [
        change_key(A, "refund", ONE),
        change_key(B, "refund", ONE),
        change_key(A, "cancel", ONE),
        change_key(A, "refund", TWO),
        change_key(A, "refund", ONE, own_step=A),
        change_key(A, "refund", ONE, own_step=B),
        undoing_key(A, B, "refund", {"n": 1}),
        undoing_key(B, B, "refund", {"n": 1}),
        undoing_key(A, A, "refund", {"n": 1}),
        undoing_key(A, B, "cancel", {"n": 1}),
        undoing_key(A, B, "refund", {"n": 2}),
    ]
    assert all(one != other for one, other in combinations(found, 2))


def test_a_key_is_what_it_was_in_the_release_before() -> None:
    """Tools remember keys: another way to make them would make a change a second time."""
    change = "9c90b23dfe5ad14a3dfff805cc0973b81526ff17b25b7a90218894ab3a669107"
    undoing = "1a0ae00ecbf3463dfc062c8ecc1f57539ca0eb4d2697b5b852466ebef3799e35"

    assert change_key(A, "refund", ONE) == change
    assert undoing_key(A, B, "refund", {"n": 1}) == undoing
