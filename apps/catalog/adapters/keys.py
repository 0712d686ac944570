"""Read the key that a document of the catalog names: from a variable of its kind's own names, or a
file of its kind's own folder, and from nowhere else."""

from __future__ import annotations

import os
import re
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
    if not re.fullmatch(KEY_FILE, name):  # looked at again, as with variables
        raise KeyTroubleError(f"{where} lies outside that folder")
    try:
        value = _inside(Path(folder), name, where)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "it leads nowhere"
        raise KeyTroubleError(f"{where} can't be read ({why})") from None
    except UnicodeDecodeError:
        raise KeyTroubleError(f"{where} is not text") from None
    if why := secret_problem(value):
        raise KeyTroubleError(f"{where} {why}")
    return value


def _inside(folder: Path, name: str, where: str) -> str:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):  # a link may lead anywhere
        raise KeyTroubleError(f"{where} lies outside that folder")
    if path.is_fifo():  # reading would wait for whoever writes
        raise KeyTroubleError(f"{where} is a pipe")
    with open(path, "rb") as file:
        return file.read(MAX_SECRET_FILE).decode("ascii").strip()
