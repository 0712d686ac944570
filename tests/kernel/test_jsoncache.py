"""Nothing that lies in Redis is unpickled by the site."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from django.core.cache import caches


def test_the_cache_keeps_and_counts() -> None:
    cache = caches["default"]
    cache.set("tests:words", ["a", {"b": 1}])
    cache.set("tests:times", 1)

    assert cache.get("tests:words") == ["a", {"b": 1}]
    assert cache.incr("tests:times") == 2
    assert cache.get("tests:times") == 2


def test_a_planted_pickle_is_not_run(tmp_path: Path) -> None:
    class Marked:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    cache = caches["default"]
    client = cache._cache.get_client()  # type: ignore[attr-defined]
    client.set(cache.make_key("tests:planted"), pickle.dumps(Marked()))

    with pytest.raises(ValueError, match=r"codec|JSON|Expecting"):
        cache.get("tests:planted")
    assert not (tmp_path / "ran").exists()
