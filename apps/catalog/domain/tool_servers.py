"""A tool server of the catalog as people write it: where it is called and with whose key. The key
itself never stands in it, and nothing but keys of tool servers can be named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from apps.catalog.domain.contract_schema import SLUG, group
from apps.catalog.domain.endpoints import URL, url_problems
from apps.catalog.domain.entries import named, read_entry_text
from apps.catalog.domain.keys import OF_SERVERS, KeyPlace, key_problems
from apps.kernel.canonical import digest
from apps.kernel.documents import Document, Problem

SERVER: dict[str, Any] = group(
    {
        "slug": SLUG,
        "name": {"type": "string", "minLength": 1, "maxLength": 120},
        "url": URL,
        "key": OF_SERVERS.shape,
    },
    "slug",
    "name",
    "url",
)


@dataclass(frozen=True, slots=True)
class ServerTerms:
    """A version of a tool server: all that calling it takes, but for what the key is."""

    slug: str
    number: int
    name: str
    url: str
    key_env: str = ""
    key_file: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def key(self) -> KeyPlace:
        return KeyPlace(self.key_env, self.key_file)

    @property
    def called(self) -> str:
        """A digest of all of it that a call depends on, for approvals to be bound to: with another
        key somebody else is called, even at the same address."""
        key = {"env": self.key_env, "file": self.key_file}
        return digest({"slug": self.slug, "url": self.url, "key": key}, purpose="server-called")


def terms_of(document: Mapping[str, Any], number: int) -> ServerTerms:
    """What a version says."""
    key = document.get("key") or {}
    return ServerTerms(
        slug=document["slug"],
        number=number,
        name=document["name"],
        url=document["url"],
        key_env=key.get("env", ""),
        key_file=key.get("file", ""),
    )


def parse_server(text: str, *, slug: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    """A tool server's entry; None where anything is an error."""
    source, problems = read_server(text)
    if not problems:
        problems = named(source, "slug", slug)
    return (None if problems else source.value), problems


def read_server(text: str) -> tuple[Document, list[Problem]]:
    """A text with one tool server, and all that is wrong with it, whichever it is about."""
    if why := OF_SERVERS.secret_in(text):
        return Document(None), [Problem(why, OF_SERVERS.fix, "key")]
    source, problems = read_entry_text(text, SERVER)
    if not problems:
        problems = [*url_problems(source), *key_problems(source)]
    return source, problems
