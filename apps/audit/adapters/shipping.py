"""Checkpoints in a folder of somebody else's: a mounted object store with a lock, another host's
drop box. Each file is written once, under a name of its own, and never touched again."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from apps.audit.adapters.files import CheckpointFileError

_NAME = re.compile(r"checkpoints-to-(\d{1,20})\.jsonl")


def last_shipped(folder: str) -> int:
    """The number of events up to which checkpoints lie there. Raises ``CheckpointFileError``."""
    try:
        found = [_NAME.fullmatch(name) for name in os.listdir(folder)]
    except OSError as error:
        raise _unusable(folder, error) from error
    return max((int(match[1]) for match in found if match), default=0)


def ship(folder: str, upto: int, lines: Sequence[str]) -> None:
    """Write the checkpoints up to so many events. Of two who ship the same, one does."""
    path = Path(folder) / f"checkpoints-to-{upto:020d}.jsonl"
    content = "".join(f"{line}\n" for line in lines).encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    except FileExistsError:
        return
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)  # half of it would be taken for all
        raise _unusable(folder, error) from error


def _unusable(folder: str, error: OSError) -> CheckpointFileError:
    return CheckpointFileError(
        f"Checkpoints can't be shipped to {folder} ({error.strerror or error})."
    )
