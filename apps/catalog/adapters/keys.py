"""Read the key that a document of the catalog names: from a variable of its kind's own names, or a
file of its kind's own folder, and from nowhere else."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from apps.catalog.domain.keys import KEY_FILE, KeyPlace, KeyRules
from apps.catalog.domain.servers import secret_problem

MAX_SECRET_FILE = 64 * 1024


class KeyTroubleError(ValueError):
    """A key can't be read; the text says why, as the end of a sentence, and never the key."""


def read_key(place: KeyPlace, rules: KeyRules, folder: str) -> str:
    """The key that is kept there; empty where none is named. ``folder``: that of key files, or
    none. Raises ``KeyTroubleError``."""
    if place.env:
        return _variable(place.env, rules)
    return _file(place.file, rules, folder) if place.file else ""


def _variable(name: str, rules: KeyRules) -> str:
    # Looked at again here: the row may be older than the rule, or not of our writing.
    if not re.fullmatch(rules.variable, name):
        raise KeyTroubleError(f"{name} is no variable that holds keys of {rules.of}")
    value = os.environ.get(name, "").strip()
    if why := secret_problem(value):
        why = "is not set" if name not in os.environ else why
        raise KeyTroubleError(f"its key is read from the variable {name}, which {why}")
    return value


def _file(name: str, rules: KeyRules, folder: str) -> str:
    if not folder:
        raise KeyTroubleError(f"its key is read from a file, and {rules.folder} names no folder")
    where = f"its key is read from the file {name} in {folder}, which"
    try:
        if not re.fullmatch(KEY_FILE, name):  # looked at again, as with variables
            raise KeyTroubleError("lies outside that folder")
        return read_secret(_inside(Path(folder), name))
    except KeyTroubleError as why:
        raise KeyTroubleError(f"{where} {why}") from None


def _inside(folder: Path, name: str) -> Path:
    try:
        path = (folder / name).resolve()
    except (OSError, RuntimeError):  # links that go round
        raise KeyTroubleError("can't be read (it leads nowhere)") from None
    if not path.is_relative_to(folder.resolve()):  # a link may lead anywhere
        raise KeyTroubleError("lies outside that folder")
    return path


def read_secret(path: Path | str) -> str:
    """The secret that a file holds. Raises ``KeyTroubleError``, whose text ends “…, which”. Never
    waits: whoever asks may be in an event loop."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise KeyTroubleError("is a pipe or a device, no ordinary file")
            value = file.read(MAX_SECRET_FILE).decode("ascii").strip()
    except KeyTroubleError:
        raise
    except UnicodeDecodeError:
        raise KeyTroubleError("is not text") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no file has such a name"
        raise KeyTroubleError(f"can't be read ({why})") from None
    if why := secret_problem(value):
        raise KeyTroubleError(why)
    return value


def _at_once(path: str, flags: int) -> int:
    # To open a pipe waits for whoever writes into it, unless one asks not to.
    return os.open(path, flags | os.O_NONBLOCK)
