"""What a commit takes of what has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.content import Part
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult
from apps.runs.engine import sizes
from apps.runs.work import Finished

K = 1024


def ended(kilobytes: int, *, as_file: bool = False) -> Finished:
    text = "x" * (kilobytes * K)
    file = Part("image", "", len(text), body=text.encode())
    parts = (file,) if as_file else ()
    action: Any = SimpleNamespace()
    return Finished(action, CallResult(Ending.ANSWERED, "" if as_file else text, parts=parts))


@given(
    st.lists(st.sampled_from([0, 1, 200, 256, 257, 4000]), max_size=40),
    st.integers(1, 70),
    st.booleans(),
)
def test_each_is_taken_once_in_commits_that_are_bounded(
    kilobytes: list[int], count: int, as_file: bool
) -> None:
    sizes_kb = {n: ended(n, as_file=as_file) for n in set(kilobytes)}
    left: list[Any] = [sizes_kb[n] for n in kilobytes]
    seen: list[int] = []
    while left:
        taken, rest = sizes.part(left, count=count)
        assert 0 < len(taken) <= count
        assert len(taken) + len(rest) == len(left)
        found = [sizes.size(one) for one in taken]
        large = [n for n in found if n > sizes.LARGE]
        assert len(large) <= 1
        assert sum(found) - sum(large) <= sizes.MOST
        seen += found
        left = rest
    assert sorted(seen) == sorted(n * K for n in kilobytes)


def test_nothing_is_taken_of_nothing() -> None:
    assert sizes.part([], count=64) == ([], [])
