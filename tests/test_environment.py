"""Settings from the environment."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from controltower.environment import count, mapping, seconds

NAME = "TOWER_EXAMPLE"


def test_what_is_not_set_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (None, ""):
        monkeypatch.delenv(NAME, raising=False) if text is None else monkeypatch.setenv(NAME, text)
        assert (seconds(NAME, 30), count(NAME, 4), mapping(NAME, str, "{}")) == (30, 4, {})


def test_what_is_set_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "0.5")
    assert seconds(NAME, 30) == 0.5
    monkeypatch.setenv(NAME, "12")
    assert count(NAME, 4) == 12
    monkeypatch.setenv(NAME, '{"C3": 5}')
    assert mapping(NAME, int, "{}") == {"C3": 5}


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_an_error_names_the_variable_and_the_value(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, text)
    for read in (lambda: seconds(NAME, 30), lambda: count(NAME, 4)):
        with pytest.raises(ImproperlyConfigured, match=rf"{NAME} must be .* is '{text}'"):
            read()


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"C3": "many"}', '{"C3": true}'])
def test_a_mapping_is_an_object_of_one_kind(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        mapping(NAME, int, '{"C3": 5000}')
