"""The keys that hide values, in one file outside the database (mode 0600), the same everywhere.

``join KEY`` makes tokens, and stays: with another one equal values would have other tokens. Each
``seal KEY`` is a Fernet key: the last one seals, every one opens what it sealed.
"""

from __future__ import annotations

import base64
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

from apps.audit.adapters import keyfiles
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
    with _in_words(path):
        if not path.exists():
            if not may_make:
                raise RedactionKeyError(
                    WORDS.format(file=path, why="is not there, though values are")
                )
            with suppress(FileExistsError):
                keyfiles.create(path, f"{JOIN} {_join_key()}\n{_seal_line()}\n")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # to read a pipe waits for whoever writes into it
            raise RedactionKeyError(WORDS.format(file=path, why="is no ordinary file"))
        return _read(str(path), (found.st_ino, found.st_mtime_ns, found.st_size))


def rotate() -> None:
    """Let a new key seal from now on. What others sealed is still opened. Raises
    ``RedactionKeyError``."""
    path = Path(settings.REDACTION_KEY_FILE)
    keys(may_make=False)
    with _in_words(path):
        keyfiles.append(
            path, _seal_line()
        )  # of two at once no key is lost; the file keeps its owner


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = f"can't be read or written ({error.strerror or error})"
        raise RedactionKeyError(WORDS.format(file=path, why=why)) from None
    except ValueError:
        raise RedactionKeyError(WORDS.format(file=path, why="holds no keys")) from None


@lru_cache(maxsize=4)
def _read(file: str, mark: tuple[int, int, int]) -> Keys:
    lines = [line.split() for line in Path(file).read_text().splitlines() if line.strip()]
    joins = [base64.b64decode(key, validate=True) for what, key in lines if what == JOIN]
    seals = [Fernet(key) for what, key in lines if what == SEAL]
    if len(joins) != 1 or len(joins[0]) < 32 or not seals:
        raise ValueError("one join key and one seal key at least")
    return Keys(joins[0], MultiFernet(seals[::-1]))


def _join_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _seal_line() -> str:
    return f"{SEAL} {Fernet.generate_key().decode()}"
