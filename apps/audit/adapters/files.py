"""The file of checkpoints: lines are added at its end, and none is ever changed.

Give it to another user (mode 0620 or a directory of theirs, ``chattr +a``) and whoever becomes the
application's user can add to it, and take nothing back.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from apps.audit.domain.checkpoint import SignedHead, read
from apps.kernel.errors import UnavailableError

TAIL = 64 * 1024  # bytes in which the last checkpoints are looked for
WORDS = "The file of checkpoints {file} {why}."


class CheckpointFileError(UnavailableError):
    """The file can't be read or written, or holds something else. It says which, and why."""

    code = "checkpoints"


def append(file: str, mark: SignedHead) -> None:
    """Add a line in one write, so that two who add at once don't mix, and have the disk keep it. A
    last line that was cut is ended first."""
    append_line(file, mark.line)


def append_line(file: str, text: str) -> None:
    """The same for any line."""
    path, line = Path(file), f"{text}\n".encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            if _is_cut(path):
                line = b"\n" + line
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unusable(file, error) from error


def latest(file: str) -> list[SignedHead]:
    """The whole checkpoints at the end of the file, the last one first: none if there is no file
    yet, or none in it."""
    try:
        with Path(file).open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - TAIL))
            lines = handle.read().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(file, error) from error
    found = (_read(line.decode(errors="replace"), 0) for line in reversed(lines))
    # What is none was cut by a full disk, or written by another program.
    return [mark for mark in found if isinstance(mark, SignedHead)]


def put_aside(file: str, aside: str) -> None:
    """Give the file another name. Raises ``CheckpointFileError``, as for one that only its owner
    may move."""
    try:
        Path(file).rename(aside)
    except OSError as error:
        why = f"can't be put aside ({error.strerror or error}): have its owner move it to {aside}"
        raise CheckpointFileError(WORDS.format(file=file, why=why)) from error


def marks(file: str) -> Iterator[SignedHead | str]:
    """Every line of the file: the checkpoint, or why it is none."""
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield _read(line, number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(file, error) from error


def _read(line: str, number: int) -> SignedHead | str:
    try:
        return read(line)
    except ValueError as error:
        return f"line {number} can't be read: {error}"


def _is_cut(path: Path) -> bool:
    """Whether the last line has no end. Where we may only add, nobody knows: then it has one."""
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            return bool(size) and os.pread(handle.fileno(), 1, size - 1) != b"\n"
    except PermissionError:
        return False


def _unusable(file: str, error: OSError) -> CheckpointFileError:
    why = f"can't be read or written ({error.strerror or error})"
    return CheckpointFileError(WORDS.format(file=file, why=why))
