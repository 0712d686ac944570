"""Where each tool server is: one resolver with one order for everybody who calls one.

The environment (``TOWER_TOOL_SERVERS``) comes first, then the file (``TOWER_TOOL_SERVERS_FILE``),
then the server's published document, then what its pack states. An entry that is wrong stops its
own server only, and no lower source speaks for it: who wrote it meant another address. The file is
read again when it changed; one that can't be read leaves what it last said in force.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.catalog.adapters.hosts import permitted
from apps.catalog.adapters.keys import KeyTroubleError, read_key, read_secret
from apps.catalog.adapters.snapshot import Snapshot
from apps.catalog.domain.keys import OF_SERVERS, KeyPlace
from apps.catalog.domain.servers import (
    EntryError,
    ServerAddress,
    Source,
    line_of,
    read_entries,
    read_entry,
    secret_problem,
)
from apps.catalog.domain.tool_servers import ServerTerms
from apps.catalog.selectors import servers as stated
from apps.kernel.errors import UnavailableError

VARIABLE = "TOWER_TOOL_SERVERS"
HIDDEN = "•••"


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """What a call to one server needs. ``headers`` are secret: they are neither shown nor
    written out, and ``redacted`` takes them out of what the other side sends back."""

    address: ServerAddress
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        return self.address.url

    @property
    def module(self) -> str:
        """The Python module that answers in this process; empty for a server on the network."""
        return self.address.module

    def redacted(self, text: str) -> str:
        """``text`` without the secrets that were sent to the server."""
        for value in self.headers.values():
            for secret in {value, value.removeprefix("Bearer ")}:
                if len(secret) >= 4:
                    text = text.replace(secret, HIDDEN)
        return text


@dataclass(frozen=True, slots=True)
class _Text:
    """A file of addresses as it was read: what it says, and what is wrong with it as a whole."""

    stamp: tuple[int, ...]
    text: str = ""
    entries: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


_read: dict[str, _Text] = {}
_stated = Snapshot(stated.stated)
Stated = ServerTerms | str  # a document, or the address of a pack


def resolve(slug: str, instead: Stated | None = None) -> ServerAccess:
    """Where the server is and what is sent along. Raises ``UnavailableError`` that names the
    variable or file, the field and the fix. Cheap: a look at the file's date, no query for a
    server that environment or file know. Safe inside an event loop. ``instead``: what a pack that
    is being applied states, instead of what the catalog holds."""
    found = look_up(slug, instead)
    return ServerAccess(found, _credentials(found))


def resolve_entry(slug: str, entry: object) -> ServerAccess:
    """The same of an entry that somebody wrote just now, as on a command line."""
    found = _entry(slug, entry, Source.ENVIRONMENT, "The address")
    return ServerAccess(found, _credentials(found))


def look_up(slug: str, instead: Stated | None = None) -> ServerAddress:
    """The server's entry, as ``resolve`` finds it; its credentials aren't read."""
    if slug in (known := _environment()):
        return _entry(slug, known[slug], Source.ENVIRONMENT, f"{VARIABLE}: {slug}")
    file = _file()
    if slug in file.entries:
        return _from_file(slug, file)
    told = _stated.get(slug) if instead is None else instead
    if isinstance(told, ServerTerms):
        return _of_document(told)
    if told:
        return _entry(slug, told, Source.PACK, f"The pack's server “{slug}”")
    raise UnavailableError(_unknown(slug, file), code="tool_server_unknown", server=slug)


def module_of(slug: str) -> str:
    """The Python module that answers for the server in this process; empty for one on the network,
    and for one that nobody knows. Never asks the database: no pack and no document can name a
    module."""
    try:
        return look_up(slug, "").module
    except UnavailableError:
        return ""


def trouble_of_server(terms: ServerTerms) -> str:
    """Why this process couldn't call a server where its document says; empty if it could. Never the
    key. Nothing is called."""
    try:
        _credentials(_of_document(terms))
    except UnavailableError as error:
        return str(error)
    return ""


def is_configured(slug: str) -> bool:
    """Whether environment or file say where the server is, rightly or not."""
    return slug in _environment() or slug in _file().entries


def remember(slug: str) -> None:
    """Have at hand what the catalog says of this server, for a later ``resolve`` inside an event
    loop. Asks the database now and then, and only if nobody else knows the server."""
    if not is_configured(slug):
        _stated.refresh()


def configured() -> list[str]:
    """The servers that environment or file name."""
    return sorted({*_environment(), *_file().entries})


def problems() -> list[str]:
    """What is wrong with the sources as a whole, as sentences that name variable or file."""
    out = []
    if said := getattr(settings, "TOOL_SERVERS_PROBLEM", ""):
        out.append(f"{VARIABLE} can't be read: {said} Its servers are not known from there.")
    file = _file()
    if file.problem:
        kept = "What it last said stays in force." if file.entries else "It names no server."
        out.append(f"{settings.TOOL_SERVERS_FILE} can't be read: {file.problem} {kept}")
    return out


def _unknown(slug: str, file: _Text) -> str:
    hint = f'Set {VARIABLE} to {{"{slug}": "http://host:port/mcp"}}, or start it with make up.'
    said = " ".join(problems())
    message = f"No address is known for the tool server “{slug}”."
    return f"{message} {said or hint}"


def _environment() -> Mapping[str, Any]:
    return settings.TOOL_SERVERS


def _entry(slug: str, raw: object, source: Source, where: str) -> ServerAddress:
    try:
        return read_entry(slug, raw, source)
    except EntryError as error:
        raise _wrong(slug, where, error) from None


def _from_file(slug: str, file: _Text) -> ServerAddress:
    try:
        return read_entry(slug, file.entries[slug], Source.FILE)
    except EntryError as error:
        line = line_of(file.text, slug, error.field)
        raise _wrong(slug, f"{settings.TOOL_SERVERS_FILE}, line {line}: {slug}", error) from None


def _wrong(slug: str, where: str, error: EntryError) -> UnavailableError:
    """The context is dropped: what was parsed may hold a secret, and tracebacks are logged."""
    return UnavailableError(
        f"{where}: {error}", code="tool_server_misconfigured", server=slug, field=error.field
    )


def _of_document(terms: ServerTerms) -> ServerAddress:
    what, code = f"The tool server “{terms.slug}” v{terms.number}", "tool_server_misconfigured"
    found = permitted(what, terms.slug, terms.url, source=Source.DOCUMENT, code=code)
    return replace(
        found,
        token_env=terms.key_env,
        token_file=terms.key_file,
        number=terms.number,
        called=terms.called,
    )


# --- the file -------------------------------------------------------------------------------------


def _file() -> _Text:
    name = settings.TOOL_SERVERS_FILE
    if not name:
        return _Text(())
    known = _read.get(name)
    try:
        at = ordinary(name)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return _Text(())  # not written yet: the launcher does so before anything is called
        return _kept(known, (), f"{error.strerror}. Let this process read it.")
    stamp = (at.st_mtime_ns, at.st_size, at.st_ino)
    if known is not None and known.stamp == stamp:
        return known
    _read[name] = _parsed(Path(name), stamp, known)
    return _read[name]


def ordinary(name: str) -> os.stat_result:
    """What the system knows of a file. Raises OSError for anything else that a name may lead to: to
    open a pipe waits for whoever writes into it, and a device may never end."""
    at = os.stat(name)
    if not stat.S_ISREG(at.st_mode):
        raise OSError(errno.EINVAL, "it is no ordinary file")
    return at


def _parsed(path: Path, stamp: tuple[int, ...], known: _Text | None) -> _Text:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return _kept(known, stamp, f"{error.strerror}. Let this process read it.")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return _kept(known, stamp, f"line {line}: this is not UTF-8. Save it as UTF-8.")
    entries, problem = read_entries(text)
    return _kept(known, stamp, problem) if problem else _Text(stamp, text, entries)


def _kept(known: _Text | None, stamp: tuple[int, ...], problem: str) -> _Text:
    if known is None:
        return _Text(stamp, problem=problem)
    return _Text(stamp, known.text, known.entries, problem)


# --- credentials ----------------------------------------------------------------------------------


def _credentials(entry: ServerAddress) -> dict[str, str]:
    headers = dict(entry.headers)
    for name, variable in entry.headers_from_env.items():
        headers[name] = _variable(entry.slug, variable, "headers_from_env")
    token = entry.token
    if entry.source is Source.DOCUMENT:
        token = _key(entry)
    elif entry.token_env:
        token = _variable(entry.slug, entry.token_env, "token_env")
    elif entry.token_file:
        token = _secret_file(entry.slug, entry.token_file)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _key(entry: ServerAddress) -> str:
    place = KeyPlace(entry.token_env, entry.token_file)
    try:
        return read_key(place, OF_SERVERS, settings.SERVER_KEYS)
    except KeyTroubleError as error:
        raise _no_credentials(entry.slug, str(error)) from None


def _variable(slug: str, variable: str, key: str) -> str:
    value = os.environ.get(variable, "").strip()
    if why := secret_problem(value):
        why = "is not set" if variable not in os.environ else why
        raise _no_credentials(slug, f"“{key}” names the variable {variable}, which {why}")
    return value


def _secret_file(slug: str, name: str) -> str:
    try:
        return read_secret(name)
    except KeyTroubleError as why:
        raise _no_credentials(slug, f"“token_file” names {name}, which {why}") from None


def _no_credentials(slug: str, what: str) -> UnavailableError:
    return UnavailableError(
        f"The tool server “{slug}” can't be called: {what}. Set it for every process of the tower.",
        code="tool_server_credentials",
        server=slug,
    )
