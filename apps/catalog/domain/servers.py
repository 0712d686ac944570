"""Where a tool server is and what is sent along: one entry as people write it, read strictly.

An entry is an address, or a group with ``url`` and more. One that is wrong is told with the field
and the fix, and never with what stands in a field that may be secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from apps.catalog.domain.egress import Egress, default_for, is_loopback, read_hosts

IN_PROCESS = "python:"
FIELDS = (
    "url",
    "token",
    "token_env",
    "token_file",
    "headers",
    "headers_from_env",
    "ca_file",
    "allow_hosts",
)
EXAMPLE = '{"url": "https://tools.example.com/mcp", "token_env": "DESK_TOKEN"}'
MAX_SECRET = 8192
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TOKEN = re.compile(r"[\x21-\x7e]+")
# What the protocol itself writes; a second one would make another request of it.
_OWN_HEADERS = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class Source(StrEnum):
    """Who says where a server is, the first that knows it wins."""

    ENVIRONMENT = "environment"
    FILE = "file"
    DOCUMENT = "document"  # of the catalog
    PACK = "pack"


class EntryError(ValueError):
    """An entry is wrong: ``field`` names what, the text says how to mend it."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server's entry, read. Secrets are never part of how it is written out."""

    slug: str
    url: str
    source: Source
    egress: Egress = field(default_factory=Egress)
    token: str = field(default="", repr=False)
    token_env: str = ""
    token_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers_from_env: Mapping[str, str] = field(default_factory=dict)
    ca_file: str = ""
    number: int = 0  # of the version of its document that says so, and a digest of what it says
    called: str = ""

    @property
    def module(self) -> str:
        """The Python module that answers in this process; empty for a server on the network."""
        return self.url.removeprefix(IN_PROCESS) if self.url.startswith(IN_PROCESS) else ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: its port changes with each start."""
        return bool(self.module) or is_loopback(self.host)

    @property
    def shown(self) -> str:
        """The address for people: without the query, in which some servers take keys."""
        return self.url.partition("?")[0]

    @property
    def identity(self) -> str:
        """What an approval is bound to: who would be called, and where there. Of a server of this
        machine the port doesn't count, since it is another one after each start; of a query, in
        which some servers take keys, there is a digest; of a document, one of all that it says of a
        call."""
        if self.module:
            return self.url
        parts = urlsplit(self.url)
        origin = "local" if self.is_local else f"{parts.scheme}://{parts.netloc.lower()}"
        query = f"?{sha256(parts.query.encode()).hexdigest()[:16]}" if parts.query else ""
        document = f" document:{self.called[:16]}" if self.called else ""
        return f"{origin}{parts.path}{query}{document}"

    @property
    def has_credentials(self) -> bool:
        return bool(
            self.token or self.token_env or self.token_file or self.headers or self.headers_from_env
        )


class Pairs(dict[str, Any]):
    """A JSON object that remembers which of its keys were written twice."""

    twice: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Pairs:
        made = cls(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            made.twice = tuple(key for key in made if keys.count(key) > 1)
        return made


class Twice:
    """Stands for what is written twice: nobody can say which of the two is meant."""


TWICE = Twice()


def read_entries(text: str) -> tuple[dict[str, Any], str]:
    """The entries of a text by server, and what is wrong with the text as a whole: a text that
    can't be read names no server."""
    try:
        value = json.loads(text, object_pairs_hook=Pairs.of)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return {}, f"{place}: this is not JSON: {error.msg}. Close every brace and quote there."
    except (ValueError, RecursionError):
        return {}, "line 1: this is not JSON that can be read. Write one group of servers."
    if not isinstance(value, Pairs):
        return {}, f"line 1: it must be a group of servers, like {{“shop”: {EXAMPLE}}}."
    return {**value, **dict.fromkeys(value.twice, TWICE)}, ""


def line_of(text: str, slug: str, key: str = "") -> int:
    """The line on which a server's entry, or a field in it, is written."""
    found = re.search(rf"{re.escape(json.dumps(slug))}\s*:", text)
    if found is None:
        return 1
    end = found.end()
    if key and (inner := re.compile(rf"{re.escape(json.dumps(key))}\s*:").search(text, end)):
        end = inner.start() + 1
    return text.count("\n", 0, end) + 1


def read_entry(slug: str, raw: object, source: Source) -> ServerAddress:
    """One entry. Raises ``EntryError``."""
    if isinstance(raw, str):
        raw = {"url": raw}
    if isinstance(raw, Twice):
        raise EntryError("It is written twice. Keep one of the two.")
    if not isinstance(raw, Mapping):
        raise EntryError(f"It must be an address or a group, like {EXAMPLE}.")
    _known_fields(raw)
    url = _text(raw, "url")
    if not url:
        raise EntryError(f"“url” is missing. Write it, like {EXAMPLE}.", field="url")
    if url.startswith(IN_PROCESS):
        return _in_process(slug, url, raw, source)
    parts = _split(url)
    host = parts.hostname or ""
    entry = ServerAddress(
        slug=slug,
        url=url,
        source=source,
        egress=_egress(raw, host, source),
        token=_secret(raw, "token", _TOKEN),
        token_env=_variable(raw.get("token_env"), "token_env"),
        token_file=_text(raw, "token_file"),
        headers=_headers(raw, "headers"),
        headers_from_env=_headers(raw, "headers_from_env"),
        ca_file=_text(raw, "ca_file"),
    )
    _cross_checks(entry, parts)
    return entry


def _known_fields(raw: Mapping[str, Any]) -> None:
    if isinstance(raw, Pairs) and raw.twice:
        raise EntryError(f"“{raw.twice[0]}” is written twice. Keep one.", field=raw.twice[0])
    for key in raw:
        if key not in FIELDS:
            known = ", ".join(FIELDS)
            raise EntryError(f"“{key}” is not a known field. Known are: {known}.", field=key)


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise EntryError(f"“{key}” must be text. Write it in quotes.", field=key)
    return value.strip()


def _in_process(slug: str, url: str, raw: Mapping[str, Any], source: Source) -> ServerAddress:
    if source is Source.PACK:
        message = "A pack can't name a Python module. Set it in TOWER_TOOL_SERVERS."
        raise EntryError(message, field="url")
    if not _MODULE.fullmatch(url.removeprefix(IN_PROCESS)):
        message = "“url” must name a module after “python:”, like python:company.tools."
        raise EntryError(message, field="url")
    for key in raw:
        if key != "url":
            message = f"A Python module is called in this process: “{key}” means nothing there."
            raise EntryError(f"{message} Leave it out.", field=key)
    return ServerAddress(slug, url, source)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number, or too large
    except ValueError:
        raise EntryError(_not_an_address(), field="url") from None
    if parts.username is not None or parts.password is not None:
        message = "“url” holds a user name or password. Take it out, and use “token_env”."
        raise EntryError(message, field="url")
    if parts.scheme not in {"http", "https"}:
        scheme = parts.scheme[:20] or "nothing"
        message = f"“url” must begin with https:// or http://, not with {scheme}."
        raise EntryError(message, field="url")
    if not parts.hostname or re.search(r"[\s\x00-\x20\\]", url) or parts.fragment:
        raise EntryError(_not_an_address(), field="url")
    return parts


def _not_an_address() -> str:
    return "“url” is not an address. Write it like https://tools.example.com/mcp."


def _egress(raw: Mapping[str, Any], host: str, source: Source) -> Egress:
    if "allow_hosts" not in raw:  # this machine is offered by whoever runs it, not by a page
        return Egress() if source is Source.DOCUMENT else default_for(host)
    written = raw["allow_hosts"]
    if not isinstance(written, list):
        message = "“allow_hosts” must be a list of host names, addresses or networks."
        raise EntryError(message, field="allow_hosts")
    egress, wrong = read_hosts(written)
    if wrong:
        message = f"“allow_hosts” can't be read at “{wrong[0]}”."
        fix = "Write tools.example.com, *.example.com, 10.1.2.3 or 10.0.0.0/8."
        raise EntryError(f"{message} {fix}", field="allow_hosts")
    return egress


def _variable(value: Any, key: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        message = f"“{key}” must be the name of a variable, like DESK_TOKEN, not its value."
        raise EntryError(message, field=key)
    return value


def _secret(raw: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or secret_problem(value, pattern):
        message = f"“{key}” must be printable text without line breaks (it is not shown here)."
        raise EntryError(message, field=key)
    return value


def secret_problem(value: str, pattern: re.Pattern[str] = _VALUE) -> str:
    """Why a value can't be sent as a header; empty if it can. The value isn't part of it."""
    if not value:
        return "is empty"
    if len(value) > MAX_SECRET:
        return f"is longer than {MAX_SECRET} characters"
    return "" if pattern.fullmatch(value) else "holds characters that a header can't carry"


def _headers(raw: Mapping[str, Any], key: str) -> dict[str, str]:
    written = raw.get(key)
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise EntryError(f"“{key}” must be a group of header names.", field=key)
    out: dict[str, str] = {}
    for name, value in written.items():
        if not _HEADER.fullmatch(name):
            raise EntryError(f"“{key}” names no header that HTTP knows.", field=key)
        if name.lower() in _OWN_HEADERS or name.lower().startswith("mcp-"):
            message = f"“{key}” can't set {name}: the protocol writes it. Leave it out."
            raise EntryError(message, field=key)
        if key == "headers_from_env":
            out[name] = _variable(value, key)
        else:
            out[name] = _secret(written, name, _VALUE)
    if len({name.lower() for name in out}) < len(out):
        raise EntryError(f"“{key}” names a header twice. Keep one.", field=key)
    return out


def _cross_checks(entry: ServerAddress, parts: SplitResult) -> None:
    given = [k for k in ("token", "token_env", "token_file") if getattr(entry, k)]
    if len(given) > 1:
        message = f"“{given[0]}” and “{given[1]}” both give the token. Keep one."
        raise EntryError(message, field=given[1])
    names = [name.lower() for name in (*entry.headers, *entry.headers_from_env)]
    if len(set(names)) < len(names):
        message = "A header stands in “headers” and in “headers_from_env”. Keep one."
        raise EntryError(message, field="headers_from_env")
    if given and "authorization" in names:
        message = f"“{given[0]}” and a header both set Authorization. Keep one."
        raise EntryError(message, field=given[0])
    if entry.source is Source.PACK and (entry.has_credentials or parts.query):
        message = "A pack can't hold credentials. Set them in TOWER_TOOL_SERVERS."
        raise EntryError(message, field="url" if parts.query else "token")
    if entry.ca_file and parts.scheme == "http":
        message = "“ca_file” is for https:// addresses only. Leave it out, or use https://."
        raise EntryError(message, field="ca_file")
    _check_literal(entry)


def _check_literal(entry: ServerAddress) -> None:
    """An address that is written as numbers is judged at once; a name, each time it is called."""
    try:
        address = ip_address("127.0.0.1" if entry.host == "localhost" else entry.host)
    except ValueError:
        return
    if refusal := entry.egress.refusal(entry.host, address):
        fix = listing_fix(entry.host) if "allow_hosts" in refusal else ""
        raise EntryError(f"It can't be called: {refusal}.{fix}", field="url")


def listing_fix(address: str) -> str:
    """What to write where a private address isn't listed."""
    return f' If it is meant, add "allow_hosts": ["{address}"].'
