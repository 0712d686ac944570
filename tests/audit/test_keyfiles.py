"""Files of keys keep every line and their owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.audit.adapters import keyfiles


def test_a_file_is_made_once_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "new" / "some.keys"
    keyfiles.create(path, "one\n")

    with pytest.raises(FileExistsError):
        keyfiles.create(path, "two\n")

    assert path.read_text() == "one\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_line_is_added_to_the_very_file_and_ends_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "some.keys"
    path.write_text("a line without an end")
    before = path.stat()

    keyfiles.append(path, "two")
    keyfiles.append(path, "three")

    assert path.read_text() == "a line without an end\ntwo\nthree\n"
    assert path.stat().st_ino == before.st_ino


def test_another_file_takes_the_name_whole(tmp_path: Path) -> None:
    path = tmp_path / "some.keys"
    path.write_text("one\n")

    keyfiles.replace(path, "two\n")

    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
