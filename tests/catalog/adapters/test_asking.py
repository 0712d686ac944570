from __future__ import annotations

import datetime
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.responses import PlainTextResponse

from apps.catalog.adapters import ask, resolve
from apps.kernel.errors import UnavailableError
from tests.catalog.serving import Toys, hints, redirect, serving, tool

CANARY = "s3cret-canary"


@pytest.fixture
def toys() -> Iterator[Toys]:
    with serving(tool("refund", "order_id", annotations=hints(destructive_hint=True))) as made:
        yield made


def entry(settings: Any, url: str, **more: Any) -> None:
    settings.TOOL_SERVERS = {"toys": {"url": url, **more}}


@pytest.mark.parametrize("events", [True, False])
@pytest.mark.parametrize("stateless", [True, False])
def test_a_server_of_either_kind_is_asked_for_what_it_offers(
    stateless: bool, events: bool, settings: Any
) -> None:
    with serving(tool("refund", "order_id"), stateless=stateless, events=events) as toys:
        entry(settings, toys.url)
        found = ask(resolve("toys"))

    assert found.input_schemas()["refund"]["required"] == ["order_id"]
    assert found.server == "toys 1"
    assert found.protocol


def test_hints_are_those_that_the_server_states(toys: Toys, settings: Any) -> None:
    entry(settings, toys.url)

    assert ask(resolve("toys")).tools["refund"].hints == {"destructiveHint": True}


def test_a_name_that_is_listed_twice_is_noted(toys: Toys, settings: Any) -> None:
    toys.tools.append(tool("refund", "other"))
    entry(settings, toys.url)

    found = ask(resolve("toys"))

    assert found.twice == ("refund",)
    assert found.input_schemas()["refund"]["required"] == ["order_id"]


def test_credentials_are_sent_and_a_refusal_says_what_to_do_without_showing_them(
    toys: Toys, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    toys.token = CANARY
    entry(settings, toys.url)
    with pytest.raises(UnavailableError, match=r"asks for credentials \(401\).*token_env"):
        ask(resolve("toys"))
    entry(settings, toys.url, token=f"old-{CANARY}")
    with pytest.raises(UnavailableError, match=r"doesn't accept the credentials \(401\)") as told:
        ask(resolve("toys"))
    entry(settings, toys.url, token=CANARY)

    assert "refund" in ask(resolve("toys")).tools
    assert CANARY not in f"{told.value} {caplog.text}"


def test_what_a_server_echoes_is_shown_without_the_secret(toys: Toys, settings: Any) -> None:
    toys.answer = lambda request: PlainTextResponse(request.headers["authorization"], 400)
    entry(settings, toys.url, token=CANARY)

    with pytest.raises(UnavailableError) as caught:
        ask(resolve("toys"))

    assert CANARY not in str(caught.value)


def test_a_redirect_is_not_followed_even_within_the_origin(toys: Toys, settings: Any) -> None:
    toys.answer = lambda r: redirect("/mcp/")(r) if r.url.path == "/mcp" else None  # type: ignore[return-value]
    entry(settings, toys.url, token=CANARY)

    with pytest.raises(UnavailableError, match="it answered 307"):
        ask(resolve("toys"))
    assert len(toys.seen) <= 2  # the question of each revision


def test_a_name_that_leads_to_a_private_address_is_not_called(
    toys: Toys, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of the name server is what an attacker changes after the check."""
    real = socket.getaddrinfo
    names = {"tools.example": "127.0.0.1"}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real(names.get(host, host), *a, **k)
    )
    url = f"http://tools.example:{toys.port}/mcp"
    entry(settings, url)
    with pytest.raises(UnavailableError, match=r"tools\.example is at 127\.0\.0\.1, a private"):
        ask(resolve("toys"))
    entry(settings, url, allow_hosts=["tools.example"])
    with pytest.raises(UnavailableError, match="allow_hosts"):
        ask(resolve("toys"))
    assert toys.seen == []

    entry(settings, url, allow_hosts=["127.0.0.1"])
    toys.answer = None
    with pytest.raises(UnavailableError):  # reached; it refuses the foreign Host, as it should
        ask(resolve("toys"))
    assert toys.seen[0]["host"] == f"tools.example:{toys.port}"


def test_metadata_addresses_are_never_called(settings: Any, monkeypatch: Any) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("169.254.169.254", *a[:1], **k)
    )
    entry(settings, "http://tools.example:80/mcp", allow_hosts=["0.0.0.0/0"])

    with pytest.raises(UnavailableError, match="never called"):
        ask(resolve("toys"))


def test_credentials_do_not_leave_in_plain_text(settings: Any, monkeypatch: Any) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("93.184.216.34", *a[:1], **k)
    )
    entry(settings, "http://tools.example:80/mcp", token=CANARY)

    with pytest.raises(UnavailableError, match="in plain text"):
        ask(resolve("toys"))


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toys")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
    ]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(private)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_is_verified_and_an_authority_of_ones_own_can_be_named(
    host: str, authority: tuple[Path, Path], settings: Any
) -> None:
    cert, key = authority
    with serving(tool("refund"), ssl_certfile=str(cert), ssl_keyfile=str(key)) as toys:
        url = toys.url.replace("127.0.0.1", host)
        entry(settings, url)
        with pytest.raises(UnavailableError, match=r"(?i)certificate"):
            ask(resolve("toys"))
        assert toys.seen == []
        entry(settings, url, ca_file=str(cert))
        assert "refund" in ask(resolve("toys")).tools


def test_an_authority_that_cannot_be_read_stops_its_server_only(settings: Any) -> None:
    entry(settings, "https://127.0.0.1:9/mcp", ca_file="/no/such/file")

    with pytest.raises(UnavailableError, match="“ca_file” names /no/such/file"):
        ask(resolve("toys"))


@pytest.mark.parametrize("stateless", [True, False])
def test_one_wrong_entry_is_its_own_trouble(stateless: bool, settings: Any) -> None:
    with serving(tool("refund"), tool("bad"), stateless=stateless) as toys:
        entry(settings, toys.url)
        toys.tampered = (b'"description":"bad"', b'"description":7')
        found = ask(resolve("toys"))

    assert found.tools["refund"].problem == ""
    assert "description" in found.tools["bad"].problem
