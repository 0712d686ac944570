from __future__ import annotations

import gzip
import json
from pathlib import Path

from controltower.replay.reading import read

GOOD = {
    "episode_id": "e1",
    "domain": "retail",
    "model": "m",
    "steps": [{"i": 0, "role": "tool", "tool": "t", "args": {}}],
}
DOMAINS = frozenset({"retail"})


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl.gz"
    lines = [
        json.dumps(GOOD),
        "{not json",
        json.dumps({**GOOD, "domain": "bank"}),
        json.dumps({**GOOD, "steps": [{"role": "tool", "i": 0, "args": {}}]}),
        "",
        json.dumps(GOOD | {"episode_id": "e2"}),
    ]
    with gzip.open(path, "wt") as out:
        out.write("\n".join(lines))

    episodes, bad = read([path], domains=DOMAINS)

    assert [e["episode_id"] for e in episodes] == ["e1", "e2"]
    assert [b.number for b in bad] == [2, 3, 4]
    assert "domain “bank” has no pack" in str(bad[1])
    assert "steps[0]: missing field “tool”" in str(bad[2])


def test_a_missing_or_cut_file_is_an_error_not_a_crash(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress((json.dumps(GOOD) + "\n").encode() * 500)[:60])

    _, bad = read([tmp_path / "none.jsonl.gz", cut], domains=DOMAINS)

    assert [b.file for b in bad] == ["none.jsonl.gz", "cut.jsonl.gz"]


def test_the_limit_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join([json.dumps(GOOD)] * 5))

    assert len(read([path], domains=DOMAINS, limit=2)[0]) == 2
