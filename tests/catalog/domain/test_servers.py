from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.egress import Egress, read_hosts
from apps.catalog.domain.servers import (
    EntryError,
    Source,
    line_of,
    read_entries,
    read_entry,
)

CANARY = "s3cret-canary"


@pytest.mark.parametrize("raw", ["http://127.0.0.1:9/mcp", {"url": "http://127.0.0.1:9/mcp"}])
def test_an_entry_is_an_address_or_a_group(raw: Any) -> None:
    assert read_entry("desk", raw, Source.FILE).url == "http://127.0.0.1:9/mcp"


@pytest.mark.parametrize(
    ("raw", "field", "fix"),
    [
        (5, "", "must be an address or a group"),
        (None, "", "must be an address or a group"),
        ([], "", "must be an address or a group"),
        ({}, "url", "is missing"),
        ({"url": 5}, "url", "must be text"),
        ("ftp://tools.example.com/mcp", "url", "must begin with https"),
        ("tools.example.com/mcp", "url", "must begin with https"),
        ("http:///mcp", "url", "is not an address"),
        ("http://tools.example.com:99999/mcp", "url", "is not an address"),
        ("http://tools.exa mple.com/mcp", "url", "is not an address"),
        ("http://[::1/mcp", "url", "is not an address"),
        (f"https://me:{CANARY}@tools.example.com/mcp", "url", "token_env"),
        ("file:///etc/passwd", "url", "must begin with https"),
        ("python:not-a-module", "url", "must name a module"),
        ({"url": "python:a.b", "token_env": "X"}, "token_env", "Leave it out"),
        ({"url": "https://t.example/mcp", "tokn": CANARY}, "tokn", "not a known field"),
        ({"url": "https://t.example/mcp", "token": f"{CANARY}\n"}, "token", "without line breaks"),
        ({"url": "https://t.example/mcp", "token_env": "not a name"}, "token_env", "variable"),
        (
            {"url": "https://t.example/mcp", "token": CANARY, "token_env": "X"},
            "token_env",
            "Keep one",
        ),
        (
            {"url": "https://t.example/mcp", "headers": {"Authorization": "x"}, "token_env": "X"},
            "token_env",
            "Keep one",
        ),
        (
            {"url": "https://t.example/mcp", "headers": {"Host": "evil"}},
            "headers",
            "the protocol writes it",
        ),
        ({"url": "https://t.example/mcp", "headers": {"a b": "x"}}, "headers", "no header"),
        ({"url": "https://t.example/mcp", "headers": CANARY}, "headers", "group"),
        ({"url": "http://127.0.0.1/mcp", "ca_file": "/x"}, "ca_file", "https"),
        ({"url": "https://t.example/mcp", "allow_hosts": "10.0.0.0/8"}, "allow_hosts", "a list"),
        ({"url": "https://t.example/mcp", "allow_hosts": ["a/b"]}, "allow_hosts", "10.0.0.0/8"),
        ("http://10.0.0.5/mcp", "url", '"allow_hosts": ["10.0.0.5"]'),
        ("http://169.254.169.254/latest", "url", "never called"),
        ({"url": "http://127.0.0.1/mcp", "allow_hosts": ["10.0.0.0/8"]}, "url", "doesn't list"),
    ],
)
def test_a_wrong_entry_names_the_field_and_the_fix_and_never_a_secret(
    raw: Any, field: str, fix: str
) -> None:
    with pytest.raises(EntryError) as caught:
        read_entry("desk", raw, Source.ENVIRONMENT)

    assert caught.value.field == field
    assert fix in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("url", ["python:os", "https://t.example/mcp?key=1"])
def test_a_pack_can_name_neither_a_module_nor_a_key(url: str) -> None:
    with pytest.raises(EntryError):
        read_entry("desk", url, Source.PACK)


def test_secrets_are_not_part_of_how_an_entry_is_written_out() -> None:
    raw = {"url": "https://t.example/mcp?key=k", "token": CANARY, "headers": {"X-Key": CANARY}}
    entry = read_entry("desk", raw, Source.FILE)

    assert CANARY not in repr(entry)
    assert entry.shown == "https://t.example/mcp"


@pytest.mark.parametrize(
    ("raw", "identity"),
    [
        ("http://127.0.0.1:9000/mcp", "local/mcp"),
        ("http://localhost:1/mcp", "local/mcp"),
        ("http://localhost:1/other", "local/other"),
        ("https://T.example:8443/mcp", "https://t.example:8443/mcp"),
        ("https://t.example:8443/Other", "https://t.example:8443/Other"),
        ("https://t.example/mcp?tenant=1", "https://t.example/mcp?70fcdb809679f538"),
        ("python:company.tools", "python:company.tools"),
    ],
)
def test_who_would_be_called_is_an_address_without_the_port_on_this_machine(
    raw: str, identity: str
) -> None:
    assert read_entry("desk", raw, Source.ENVIRONMENT).identity == identity


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"desk": "http://x/mcp"', "line 1, column 24"),
        ('{\n "desk": {"url": "x"\n', "line 3"),
        ("[]", "group of servers"),
        ("{'desk': 1}", "line 1, column 2"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_text_that_cannot_be_read_says_where(text: str, said: str) -> None:
    entries, problem = read_entries(text)

    assert entries == {}
    assert said in problem


@pytest.mark.parametrize("text", ['{"a": {"token": "s3cret"', "[1]", "s3cret"])
def test_a_text_that_cannot_be_read_is_told_without_its_secrets(text: str) -> None:
    found, problem = read_entries(text)

    assert found == {}
    assert "line 1" in problem
    assert "s3cret" not in problem


def test_entries_are_read_one_by_one() -> None:
    entries = '{"a": "http://x/", "b": 5}'

    assert read_entries(entries) == ({"a": "http://x/", "b": 5}, "")


def test_a_key_that_is_written_twice_is_told_of_its_server_only() -> None:
    text = '{"a": "http://127.0.0.1/", "b": {"url": "http://127.0.0.1/", "url": "http://[::1]/"}}'
    entries, problem = read_entries(text)

    assert problem == ""
    assert read_entry("a", entries["a"], Source.FILE).url == "http://127.0.0.1/"
    with pytest.raises(EntryError, match="“url” is written twice"):
        read_entry("b", entries["b"], Source.FILE)


def test_a_server_that_is_written_twice_is_called_at_neither_address() -> None:
    text = '{"a": "http://127.0.0.1/", "b": "http://127.0.0.1:1/", "b": "http://127.0.0.1:2/"}'
    entries, problem = read_entries(text)

    assert problem == ""
    assert read_entry("a", entries["a"], Source.FILE).url == "http://127.0.0.1/"
    with pytest.raises(EntryError, match="It is written twice"):
        read_entry("b", entries["b"], Source.FILE)


def test_the_line_of_a_field_is_found() -> None:
    text = json.dumps({"a": {"url": "x"}, "b": {"url": "y", "token": "z"}}, indent=1)

    assert line_of(text, "b") == 5
    assert line_of(text, "b", "token") == 7


@pytest.mark.parametrize(
    ("hosts", "host", "address", "is_allowed"),
    [
        (None, "t.example", "93.184.216.34", True),
        (None, "t.example", "10.0.0.1", False),
        (None, "t.example", "127.0.0.1", False),
        (None, "t.example", "::ffff:10.0.0.1", False),
        (None, "t.example", "64:ff9b::a00:1", False),
        (None, "t.example", "2002:0a00:0001::", False),
        (None, "t.example", "100.64.0.1", False),
        (["10.0.0.0/8"], "t.example", "10.0.0.1", True),
        (["10.0.0.0/8"], "t.example", "93.184.216.34", False),
        (["t.example"], "t.example", "93.184.216.34", True),
        (["t.example"], "t.example", "10.0.0.1", False),
        (["t.example"], "x.example", "93.184.216.34", False),
        (["*.example"], "a.b.example", "93.184.216.34", True),
        (["*.example"], "example", "93.184.216.34", False),
        (["localhost"], "localhost", "::1", True),
        (["0.0.0.0/0"], "t.example", "169.254.169.254", False),
        (["0.0.0.0/0", "::/0"], "t.example", "::ffff:169.254.169.254", False),
        (["169.254.169.254"], "169.254.169.254", "169.254.169.254", False),
        (["fd00::/8"], "t.example", "fd00:ec2::254", False),
        (["::/0"], "t.example", "fe80::1", False),
    ],
)
def test_private_addresses_are_called_only_when_listed_and_metadata_never(
    hosts: list[str] | None, host: str, address: str, is_allowed: bool
) -> None:
    egress, wrong = (Egress(), []) if hosts is None else read_hosts(hosts)

    assert not wrong
    assert (egress.refusal(host, ip_address(address)) == "") is is_allowed


FIELDS = ["url", "token", "headers", "headers_from_env", "allow_hosts", "ca_file"]


def _anything() -> st.SearchStrategy[Any]:
    leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    known = st.sampled_from(FIELDS)
    return st.recursive(leaf, lambda x: st.lists(x) | st.dictionaries(known | st.text(), x))


@given(_anything())
def test_whatever_an_entry_is_it_is_read_or_refused_with_words(raw: Any) -> None:
    said = ""
    try:
        said = read_entry("desk", raw, Source.FILE).url
    except EntryError as error:
        said = str(error)
    assert said
