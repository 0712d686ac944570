"""Addresses that documents of the catalog state: written in one way only, and judged by the rules
of tool servers.

A host that can be spelled in several ways is refused in all but one, so that whoever reviews it
reads the host that is called.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from apps.catalog.domain.egress import unwrapped
from apps.catalog.domain.servers import EntryError, ServerAddress, Source, read_entry
from apps.kernel.documents import Document, Problem

MOST_OF_URL = 300
URL = {"type": "string", "minLength": 1, "maxLength": MOST_OF_URL}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def stated_address(
    slug: str, url: str, allow_hosts: Sequence[str] = (), source: Source = Source.PACK
) -> ServerAddress:
    """Where a document leads, judged like the entry of a tool server. Raises ``EntryError``."""
    raw = {"url": url, **({"allow_hosts": list(allow_hosts)} if allow_hosts else {})}
    return read_entry(slug, raw, source)


def url_problems(source: Document) -> list[Problem]:
    """All that is wrong with the field ``url``, whatever hosts are listed."""
    said = _problem(source.value["url"])
    return [source.problem(("url",), said)] if said else []


def _problem(url: str) -> str:
    if not re.match(r"https?://", url):
        return "“url” must begin with https:// or http://."
    if not url.isascii():
        return "“url” holds other than ASCII characters. Write the name as xn--…, the rest as %…."
    for mark, why in (("?", "a query, in which keys are sent"), ("#", "a fragment")):
        if mark in url:
            return f"“url” holds {why}. Leave it out."
    try:
        found = stated_address("stated", url, allow_hosts=["0.0.0.0/0", "::/0"])
    except EntryError as error:
        return str(error).replace("“token_env”", "“key”")
    return _host_problem(urlsplit(url).netloc, found.host)


def _host_problem(netloc: str, host: str) -> str:
    """Why a host could be read as another one, or a port as none; empty if neither."""
    if netloc.endswith(":") or urlsplit(f"//{netloc}").port == 0:
        return "“url” has no usable port. Write one from 1 to 65535, or none."
    try:
        address = ip_address(host)
    except ValueError:
        return _name_problem(host)
    if str(plain := unwrapped(address)) != host:
        return f"“url” spells a numeric address in another way. Write {plain}."
    return ""


def _name_problem(host: str) -> str:
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "“url” names no host. Write letters, digits, “-” and “.”, without a dot at the end."
    if _NUMBER.fullmatch(labels[-1]):  # which resolvers read as a numeric address
        return "“url” spells a numeric address in another way. Write four numbers with dots."
    return ""
