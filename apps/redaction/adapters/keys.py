"""The keys that hide values, in one file outside the database (mode 0600), the same everywhere.

``join KEY`` makes tokens, and stays: with another one equal values would have other tokens. Each
``seal KEY`` is a Fernet key: the last one seals, every one opens what it sealed.
"""

from __future__ import annotations

import base64
import os
import secrets
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

from apps.kernel.errors import UnavailableError

JOIN, SEAL = "join", "seal"
WORDS = "Hidden values can't be read or written here: the file {file} {why}."


class RedactionKeyError(UnavailableError):
    """The file of keys is not what it has to be. It says which file, and why."""

    code = "redaction_keys"


@dataclass(frozen=True, slots=True)
class Keys:
    """What makes tokens, and what seals and opens values."""

    join: bytes
    ring: MultiFernet


def keys(*, may_make: bool) -> Keys:
    """The keys of the file, read again whenever it changed. Made when it isn't there and nothing
    was sealed with others (``may_make``). Raises ``RedactionKeyError``."""
    path = Path(settings.REDACTION_KEY_FILE)
    try:
        if not path.exists():
            if not may_make:
                raise RedactionKeyError(
                    WORDS.format(file=path, why="is not there, though values are")
                )
            _create(path)
        found = path.stat()
        return _read(str(path), (found.st_ino, found.st_mtime_ns, found.st_size))
    except OSError as error:
        why = f"can't be read or written ({error.strerror or error})"
        raise RedactionKeyError(WORDS.format(file=path, why=why)) from None
    except ValueError:
        raise RedactionKeyError(WORDS.format(file=path, why="holds no keys")) from None


def rotate() -> None:
    """Let a new key seal from now on. What others sealed is still opened."""
    path = Path(settings.REDACTION_KEY_FILE)
    keys(may_make=False)
    _named(path, f"{path.read_text().rstrip()}\n{SEAL} {Fernet.generate_key().decode()}\n")


@lru_cache(maxsize=4)
def _read(file: str, mark: tuple[int, int, int]) -> Keys:
    lines = [line.split() for line in Path(file).read_text().splitlines() if line.strip()]
    joins = [base64.b64decode(key, validate=True) for what, key in lines if what == JOIN]
    seals = [Fernet(key) for what, key in lines if what == SEAL]
    if len(joins) != 1 or len(joins[0]) < 32 or not seals:
        raise ValueError("one join key and one seal key at least")
    return Keys(joins[0], MultiFernet(seals[::-1]))


def _create(path: Path) -> None:
    """Of two processes that start at once one wins: the file gets its name whole, and once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    join = base64.b64encode(secrets.token_bytes(32)).decode()
    name = _written(path, f"{JOIN} {join}\n{SEAL} {Fernet.generate_key().decode()}\n")
    try:
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)


def _named(path: Path, text: str) -> None:
    os.replace(_written(path, text), path)


def _written(path: Path, text: str) -> str:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".redaction-")  # mkstemp: 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return name
