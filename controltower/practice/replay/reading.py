"""Read recorded episodes line by line. A line that can't be used is named, with its number and
field, and left out; every other line is read. Nothing that stands in a file raises."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from controltower.practice.replay.lines import UnusableError, parse

GZIP = b"\x1f\x8b"
MAX_LINE_BYTES = 16 * 1024 * 1024
SHOWN = 50


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, or with number 0 a whole file, that was left out, and why."""

    file: str
    number: int
    problem: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.number}" if self.number else self.file
        return f"{where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Recording:
    """An episode and where it stands."""

    file: str
    number: int
    episode: dict[str, Any]


def left_out(bad: Sequence[BadLine]) -> str:
    """What was left out, for people: how many, and the first of them one by one."""
    lines = [f"Left out: {len(bad)} (the rest was read)", *map(str, bad[:SHOWN])]
    return "\n".join([*lines, f"… and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else lines)


def read(
    paths: Sequence[Path], *, domains: frozenset[str], limit: int | None = None
) -> tuple[list[dict[str, Any]], list[BadLine]]:
    """All good episodes, at most ``limit``, and every bad line met on the way."""
    bad: list[BadLine] = []
    episodes: list[dict[str, Any]] = []
    with closing(recordings(paths, domains=domains, bad=bad)) as found:
        while (limit is None or len(episodes) < limit) and (one := next(found, None)):
            episodes.append(one.episode)
    return episodes, bad


def recordings(
    paths: Sequence[Path], *, domains: frozenset[str], bad: list[BadLine]
) -> Iterator[Recording]:
    """The good lines of the files, one after the other. What is left out is added to ``bad``:
    lines that can't be used, the second line with an episode's id, and files that can't be read or
    hold no line."""
    seen: dict[str, str] = {}
    for path in paths:
        lines = 0
        before = len(bad)
        for number, line in _lines(path, bad):
            if not line.strip():
                continue
            lines += 1
            try:
                episode = parse(line, domains)
                _first_of_its_id(episode["episode_id"], f"{path.name}, line {number}", seen)
            except UnusableError as error:
                bad.append(BadLine(path.name, number, str(error)))
                continue
            yield Recording(path.name, number, episode)
        if not lines and len(bad) == before:
            bad.append(BadLine(path.name, 0, "the file holds no episode"))


def _first_of_its_id(episode_id: str, here: str, seen: dict[str, str]) -> None:
    if (first := seen.setdefault(episode_id, here)) != here:
        raise UnusableError(f"field “episode_id”: the same episode stands in {first}")


def _lines(path: Path, bad: list[BadLine]) -> Iterator[tuple[int, bytes]]:
    """The lines of a plain or gzipped file, as bytes: what is wrong with one stays its own."""
    number = 0
    try:
        with _opened(path) as source:
            while line := source.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                    bad.append(BadLine(path.name, number, _too_long()))
                    _skip(source)
                else:
                    yield number, line
    except FileNotFoundError:
        bad.append(BadLine(path.name, 0, "there is no such file"))
    except (OSError, EOFError, zlib.error) as error:
        bad.append(BadLine(path.name, number + 1, f"the file can't be read on: {error}"))


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    with path.open("rb") as source:
        zipped = source.read(len(GZIP)) == GZIP
    return gzip.open(path, "rb") if zipped or path.suffix == ".gz" else path.open("rb")


def _skip(source: BinaryIO | gzip.GzipFile) -> None:
    while (rest := source.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
        pass


def _too_long() -> str:
    return f"the line is longer than {MAX_LINE_BYTES // 1024**2} MB"
