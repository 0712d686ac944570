"""A model's text: what it may say, and what is never kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.entrydiff import compare_models, compare_pins
from apps.catalog.domain.language_models import (
    Prices,
    parse_model,
    read_model,
    secret_in,
    terms_of,
)
from apps.kernel.patching import dumped

ENTRY: dict[str, Any] = {
    "slug": "careful",
    "name": "Careful",
    "provider": "openai",
    "url": "https://api.example.com/v1",
    "model": "gpt-4.1-mini-2025-04-14",
    "key": {"env": "TOWER_MODEL_KEY_CAREFUL"},
    "prices": {"input_usd_per_million": 2.5, "output_usd_per_million": 10},
    "max_output_tokens": 4000,
    "timeout_s": 30,
}
KEYS = (
    "sk-proj-abcdef0123456789ABCDEF",
    "xai-0123456789abcdef0123",
    "Bearer eyJhbGciOiJIUzI1NiJ9abc",
    "AIzaSyA0123456789abcdefghij",
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
)


def said(**change: Any) -> list[str]:
    entry = {k: v for k, v in {**ENTRY, **change}.items() if v is not None}
    return [str(p) for p in parse_model(dumped(entry), slug="careful")[1]]


def test_what_a_text_says_is_how_the_model_is_asked() -> None:
    entry, problems = parse_model(dumped(ENTRY), slug="careful")

    assert entry is not None
    assert not problems
    terms = terms_of(entry, 3)
    assert (terms.url, terms.model) == (ENTRY["url"], ENTRY["model"])
    assert (terms.key_env, terms.key_file) == ("TOWER_MODEL_KEY_CAREFUL", "")
    assert terms.prices == Prices(Decimal("2.5"), Decimal(10))
    assert (terms.max_output_tokens, terms.timeout_s, terms.number) == (4000, 30.0, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slug": "other"}, "about “other”, not “careful”"),
        ({"provider": "anthropic"}, "not one of the choices"),
        ({"url": "ftp://api.example.com"}, "begin with https:// or http://"),
        ({"url": "python:os"}, "begin with https:// or http://"),
        ({"url": "https://u:p@api.example.com/v1"}, "user name or password"),
        ({"url": "https://api.example.com/v1?key=x"}, "query"),
        ({"url": "https://169.254.169.254/v1"}, "never called"),
        ({"url": "https://"}, "not an address"),
        ({"key": {"env": "DATABASE_URL"}}, "characters that are not allowed"),
        ({"key": {"env": "SECRET_KEY"}}, "characters that are not allowed"),
        ({"key": {"env": "TOWER_MODEL_KEY"}}, "characters that are not allowed"),
        ({"key": {"file": "../approval.key"}}, "characters that are not allowed"),
        ({"key": {"file": "/etc/passwd"}}, "characters that are not allowed"),
        ({"key": {"env": "TOWER_MODEL_KEY_A\n"}}, "characters that are not allowed"),
        ({"key": {"file": "a\n"}}, "characters that are not allowed"),
        ({"slug": "careful\n"}, "characters that are not allowed"),
        ({"key": {}}, "must not be empty"),
        ({"key": {"env": "TOWER_MODEL_KEY_A", "file": "a"}}, "both give the key"),
        ({"key": "hunter2"}, "must be a group"),
        ({"prices": {"input_usd_per_million": 1}}, "“output_usd_per_million” is missing"),
        ({"prices": {**ENTRY["prices"], "input_usd_per_million": -1}}, "too small"),
        ({"timeout_s": 0}, "too small"),
        ({"timeout_s": 601}, "too large"),
        ({"token": "x"}, "not a known key"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], words: str) -> None:
    assert any(words in line for line in said(**change)), said(**change)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", ["key", "name", "url", "comment"])
def test_a_key_is_refused_wherever_it_stands_and_never_repeated(key: str, place: str) -> None:
    text = dumped(ENTRY)
    change: dict[str, Any] = {
        "key": {**ENTRY, "key": key},
        "name": {**ENTRY, "name": key},
        "url": {**ENTRY, "url": f"https://api.example.com/{key}"},
    }
    text = f"{text}# {key}\n" if place == "comment" else dumped(change[place])

    entry, problems = parse_model(text, slug="careful")

    assert entry is None
    assert "looks like a key" in str(problems[0])
    assert not any(key in str(p) for p in problems)
    assert "looks like a key" in secret_in(text)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4.1-mini-2025-04-14",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "Qwen2.5-Coder-32B-Instruct-AWQ-GGUF",
        "Meta_Llama_3_1_405B_Instruct",
        "anthropic/claude-sonnet-4.5",
        "ft:gpt-4o-mini:org::9abcDEF1",
    ],
)
def test_names_of_models_are_no_keys(name: str) -> None:
    assert said(model=name) == []


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    source, problems = read_model(text)
    assert problems or source.value


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ENTRY, "env"]), inner)
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries({name: st.just(value) | json_like for name, value in ENTRY.items()}))
def test_only_keys_of_models_can_ever_be_named(entry: dict[str, Any]) -> None:
    found, _ = parse_model(dumped(entry), slug="careful")
    if found is not None:
        terms = terms_of(found, 1)
        assert terms.key_env == "" or terms.key_env.startswith("TOWER_MODEL_KEY_")
        assert "/" not in terms.key_file
        assert terms.url.startswith(("http://", "https://"))


@given(
    st.decimals(0, 100_000, places=6),
    st.decimals(0, 100_000, places=6),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_a_cost_is_exact_to_half_a_millionth(
    told: Decimal, said: Decimal, tokens_in: int, tokens_out: int
) -> None:
    cost = Prices(told, said).microusd(tokens_in, tokens_out)
    assert abs(cost - (told * tokens_in + said * tokens_out)) <= Decimal("0.5")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"url": "https://other.example/v1"}, "weaker_control"),
        ({"model": "another"}, "weaker_control"),
        ({"key": {"env": "TOWER_MODEL_KEY_OTHER"}}, "weaker_control"),
        ({"key": None}, "weaker_control"),
        ({"output": "json"}, "weaker_control"),
        ({"max_output_tokens": 5000}, "weaker_control"),
        ({"max_output_tokens": 3000}, "stronger_control"),
        ({"timeout_s": 29}, "stronger_control"),
        ({"timeout_s": None}, "weaker_control"),
        ({"prices": {**ENTRY["prices"], "input_usd_per_million": 3}}, "neutral"),
        ({"prices": {**ENTRY["prices"], "input_usd_per_million": 2}}, "weaker_control"),
        ({"prices": None}, "weaker_control"),
        ({"name": "Careful too"}, "neutral"),
    ],
)
def test_what_a_change_means_for_control(change: dict[str, Any], kind: str) -> None:
    new = {k: v for k, v in {**ENTRY, **change}.items() if v is not None}
    assert {str(c.kind) for c in compare_models(ENTRY, new)} == {kind}


def test_nothing_changed_is_nothing_said() -> None:
    assert compare_models(ENTRY, {"output": "tools", **ENTRY}) == []


def test_a_name_that_means_another_model_now_is_told() -> None:
    (change,) = compare_pins({}, {"careful": 7})
    assert (str(change.kind), change.path) == ("weaker_control", "models.careful")
    assert compare_pins({"careful": 6}, {"careful": 7}) == []
