"""A tool server's text: what it may say, and what is never kept."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.egress import Egress
from apps.catalog.domain.endpoints import stated_address
from apps.catalog.domain.entrydiff import compare_servers
from apps.catalog.domain.servers import EntryError, Source
from apps.catalog.domain.tool_servers import ServerTerms, parse_server, read_server, terms_of
from apps.kernel.patching import dumped

ENTRY: dict[str, Any] = {
    "slug": "desk",
    "name": "Desk",
    "url": "https://tools.example.com/mcp",
    "key": {"env": "TOWER_SERVER_KEY_DESK"},
}
KEY = "sk-proj-abcdef0123456789ABCDEF"


def said(**change: Any) -> list[str]:
    entry = {k: v for k, v in {**ENTRY, **change}.items() if v is not None}
    return [str(p) for p in parse_server(dumped(entry), slug="desk")[1]]


def test_what_a_text_says_is_how_the_server_is_called() -> None:
    entry, problems = parse_server(dumped(ENTRY), slug="desk")

    assert entry is not None
    assert not problems
    terms = terms_of(entry, 3)
    assert terms == ServerTerms("desk", 3, "Desk", ENTRY["url"], key_env="TOWER_SERVER_KEY_DESK")
    assert terms.host == "tools.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://tools.example.com/mcp",
        "https://TOOLS.example.com:8443/mcp/",
        "https://xn--mnchen-3ya.example/mcp",
        "https://my_tools.internal/mcp",
        "http://10.1.2.3:9000/mcp",
        "http://127.0.0.1:9000/mcp",
        "http://[::1]:9000/mcp",
        "http://localhost/mcp",
        "https://tools.example.com/a%20b/@c",
    ],
)
def test_an_address_is_taken_as_it_is_written(url: str) -> None:
    assert said(url=url) == []


METADATA = [
    "http://169.254.169.254/latest",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://0.0.0.0/",
    "http://[::]/",
]
OTHER_SPELLINGS = [
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://127.1/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://tools.example.0x7f/",
]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slug": "other"}, "about “other”, not “desk”"),
        ({"slug": "Desk"}, "characters that are not allowed"),
        ({"slug": "desk/../x"}, "characters that are not allowed"),
        ({"slug": "d\u0435sk"}, "characters that are not allowed"),  # a Cyrillic e
        ({"url": "ftp://tools.example.com"}, "begin with https:// or http://"),
        ({"url": "HTTPS://tools.example.com"}, "begin with https:// or http://"),
        ({"url": "//tools.example.com"}, "begin with https:// or http://"),
        ({"url": "python:os"}, "begin with https:// or http://"),
        ({"url": "file:///etc/passwd"}, "begin with https:// or http://"),
        ({"url": "unix:///run/docker.sock"}, "begin with https:// or http://"),
        ({"url": "http+unix://%2Frun%2Fdocker.sock/mcp"}, "begin with https:// or http://"),
        ({"url": "http://unix:/run/docker.sock"}, "no usable port"),
        ({"url": "https://u:p@tools.example.com/mcp"}, "user name or password"),
        ({"url": "https://@tools.example.com/mcp"}, "user name or password"),
        ({"url": "https://tools.example.com@evil.example/mcp"}, "user name or password"),
        ({"url": "https://tools.example.com/mcp?key=x"}, "query"),
        ({"url": "https://tools.example.com/mcp?"}, "query"),
        ({"url": "https://tools.example.com/mcp#a"}, "fragment"),
        ({"url": "https://tools.example.com#@evil.example/"}, "fragment"),
        ({"url": "https://tools.example.com/mcp#"}, "fragment"),
        ({"url": "https://tools.example.com\\@evil.example/"}, "user name or password"),
        ({"url": "https://tools.example.com/a b"}, "not an address"),
        ({"url": "https://münchen.example/mcp"}, "xn--"),
        ({"url": "https://tools。example.com/mcp"}, "xn--"),
        ({"url": "http://\uff11\uff16\uff19.254.169.254/"}, "xn--"),
        ({"url": "https://tools.example.com./mcp"}, "without a dot at the end"),
        ({"url": "https://tools%2eexample.com/mcp"}, "names no host"),
        ({"url": "https://-tools.example.com/mcp"}, "names no host"),
        ({"url": "https://tools..example.com/mcp"}, "names no host"),
        ({"url": "https://tools.example.com:/mcp"}, "no usable port"),
        ({"url": "https://tools.example.com:0/mcp"}, "no usable port"),
        ({"url": "https://tools.example.com:70000/mcp"}, "not an address"),
        ({"url": "https://tools.example.com:8o/mcp"}, "not an address"),
        ({"url": "https://"}, "not an address"),
        ({"url": "https:///mcp"}, "not an address"),
        ({"url": f"https://tools.example.com/{'a/' * 150}"}, "too long"),
        *(({"url": url}, "never called") for url in METADATA),
        *(({"url": url}, "numeric address in another way") for url in OTHER_SPELLINGS),
        ({"url": "http://169.254.169.254./"}, "without a dot at the end"),
        ({"key": {"env": "DATABASE_URL"}}, "characters that are not allowed"),
        ({"key": {"env": "TOWER_MODEL_KEY_CAREFUL"}}, "characters that are not allowed"),
        ({"key": {"env": "TOWER_SERVER_KEY_A\n"}}, "characters that are not allowed"),
        ({"key": {"file": "../approval.key"}}, "characters that are not allowed"),
        ({"key": {"file": "/etc/passwd"}}, "characters that are not allowed"),
        ({"key": {}}, "must not be empty"),
        ({"key": {"env": "TOWER_SERVER_KEY_A", "file": "a"}}, "both give the key"),
        ({"key": "hunter2"}, "must be a group"),
        ({"headers": {"X-Key": "a"}}, "not a known key"),
        ({"allow_hosts": ["10.0.0.0/8"]}, "not a known key"),
        ({"url": None}, "“url” is missing"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], words: str) -> None:
    assert any(words in line for line in said(**change)), said(**change)


@pytest.mark.parametrize("place", ["key", "name", "url", "comment"])
def test_a_key_is_refused_wherever_it_stands_and_never_repeated(place: str) -> None:
    change: dict[str, Any] = {
        "key": {**ENTRY, "key": KEY},
        "name": {**ENTRY, "name": KEY},
        "url": {**ENTRY, "url": f"https://tools.example.com/{KEY}"},
    }
    text = f"{dumped(ENTRY)}# {KEY}\n" if place == "comment" else dumped(change[place])

    entry, problems = parse_server(text, slug="desk")

    assert entry is None
    assert "looks like a key" in str(problems[0])
    assert "TOWER_SERVER_KEY_" in str(problems[0])
    assert not any(KEY in str(p) for p in problems)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "[::7f00:1]"])
def test_this_machine_and_private_networks_are_a_documents_only_where_they_are_listed(
    host: str,
) -> None:
    url = f"http://{host}:9000/mcp"
    with pytest.raises(EntryError, match="private address"):
        stated_address("desk", url, (), Source.DOCUMENT)

    listed = ("127.0.0.0/8", "::1", "10.1.2.3")
    assert stated_address("desk", url, listed, Source.DOCUMENT).url == url


@pytest.mark.parametrize("address", ["64:ff9b:1::a9fe:a9fe", "::127.0.0.1", "::10.1.2.3"])
def test_ipv4_in_ipv6_clothes_is_private_where_it_is_private(address: str) -> None:
    assert "private address" in Egress().refusal("tools.example.com", ip_address(address))


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    source, problems = read_server(text)
    assert problems or source.value


@given(st.text(alphabet="htps:/@?#[]%.\\ax0179-_éΩ。", max_size=40))
def test_any_address_is_read_in_one_way_or_refused(end: str) -> None:
    """What is let through names the host that stands in it, letter by letter."""
    entry, _ = parse_server(dumped({**ENTRY, "url": f"https://{end}"}), slug="desk")
    if entry is not None:
        host = terms_of(entry, 1).host
        written = end.partition("/")[0].lower()
        assert written in {host, f"[{host}]"} or written.rpartition(":")[0] in {host, f"[{host}]"}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"url": "https://other.example/mcp"}, "weaker_control"),
        ({"key": {"env": "TOWER_SERVER_KEY_OTHER"}}, "weaker_control"),
        ({"key": None}, "weaker_control"),
        ({"name": "Desk too"}, "neutral"),
    ],
)
def test_what_a_change_means_for_control(change: dict[str, Any], kind: str) -> None:
    new = {k: v for k, v in {**ENTRY, **change}.items() if v is not None}
    assert {str(c.kind) for c in compare_servers(ENTRY, new)} == {kind}
    assert compare_servers(ENTRY, dict(ENTRY)) == []


def test_an_approval_is_bound_to_all_that_a_call_depends_on() -> None:
    def called(**change: Any) -> str:
        return terms_of({**ENTRY, **change}, 1).called

    assert called() == called(name="Another name")
    others = [
        called(url="https://tools.example.com/other"),
        called(key={"env": "TOWER_SERVER_KEY_OTHER"}),
        called(key={"file": "desk"}),
        called(key=None),
    ]
    assert len({called(), *others}) == 5
