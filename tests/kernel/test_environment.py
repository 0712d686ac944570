"""Settings from the environment."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.kernel.environment import (
    OWN_ADDRESSES,
    count,
    loopback_names,
    mapping,
    origin,
    prefix,
    seconds,
)
from controltower.urls import urlpatterns

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


@pytest.mark.parametrize("text", ["0.99", "0", "-1", "3601", "1e308", "nan", "inf", "soon", " "])
def test_a_time_out_of_bounds_is_told_with_the_bounds(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=rf"{NAME} must be seconds from 1 to 3600"):
        seconds(NAME, 15, least=1, most=3600)


@pytest.mark.parametrize("text", ["1", "15", "0.1e1", "3600"])
def test_a_time_within_bounds_is_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    assert seconds(NAME, 15, least=1, most=3600) == float(text)


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"C3": "many"}', '{"C3": true}'])
def test_a_mapping_is_an_object_of_one_kind(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        mapping(NAME, int, '{"C3": 5000}')


@pytest.mark.parametrize(
    ("text", "read"), [("", ""), ("/", ""), ("/tower", "/tower"), ("/a/b-c/", "/a/b-c")]
)
def test_a_prefix_is_a_path(text: str, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    assert prefix(NAME) == read


@pytest.mark.parametrize(
    "text",
    ["tower", "//evil.example", "/a//b", "/a?b", "/../x", "/ä", "http://h/t", "/runs", "/ws/x"],
)
def test_a_prefix_that_is_none_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        prefix(NAME)


def test_no_address_of_the_site_can_be_taken_for_a_prefix() -> None:
    own = {str(pattern.pattern).partition("/")[0] for pattern in urlpatterns} - {""}
    assert own <= OWN_ADDRESSES


def test_an_origin_has_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "https://Tower.example.com:8443/")
    assert origin(NAME, "") == "https://tower.example.com:8443"
    for wrong in ("https://h/tower", "h:8000", "ftp://h", "https://h:port", "https://u@h"):
        monkeypatch.setenv(NAME, wrong)
        with pytest.raises(ImproperlyConfigured, match=NAME):
            origin(NAME, "")


def test_only_ones_own_machine_has_two_names() -> None:
    both = ["http://127.0.0.1:8000", "http://localhost:8000"]
    assert sorted(loopback_names("http://localhost:8000")) == both
    assert loopback_names("http://localhost:8000")[0] == both[1]
    assert loopback_names("https://tower.example.com") == ["https://tower.example.com"]
    assert loopback_names("http://127.0.0.1.example.com") == ["http://127.0.0.1.example.com"]
