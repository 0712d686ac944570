"""Recordings as they come from outside: what can't be used is named, the rest is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controltower.practice.replay.lines import UnusableError, parse
from controltower.practice.replay.reading import MAX_LINE_BYTES, left_out, read

GOOD: dict[str, Any] = {
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


def call(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "steps": [{"role": "user"}, GOOD["steps"][0] | fields]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xff\xfe{}", "not UTF-8: invalid start byte at byte 1"),
        (b"[1]", "not a JSON object"),
        (b"[" * 200_000, "nested deeper than 64 levels"),
        (b'{"x": NaN}', "NaN is no JSON number"),
        (b'{"x": -Infinity}', "-Infinity is no JSON number"),
        (b'{"x": 1e9999}', "the number 1e9999 is out of range"),
        (b'{"x": ' + b"9" * 5000 + b"}", "a number has more than 4300 digits"),
        ({"domain": "retail"}, "missing field “episode_id”"),
        (GOOD | {"episode_id": 7}, "episode_id: must be a text"),
        (GOOD | {"episode_id": ""}, "episode_id: must not be empty"),
        (GOOD | {"domain": ["retail"]}, "domain: must be a text"),
        (GOOD | {"reward": "1"}, "reward: must be a number or null"),
        (GOOD | {"customer": {"id": "x"}}, "customer: must be a text or null"),
        (GOOD | {"steps": {"0": {}}}, "steps: must be a list"),
        (GOOD | {"steps": [None]}, "steps[0]: must be an object"),
        (GOOD | {"steps": [{"role": "system"}]}, "steps[0].role: must be one of user, assistant"),
        (GOOD | {"steps": [{"role": "user", "content": [1]}]}, "steps[0].content: must be a text"),
        (call(i=True), "steps[1].i: must be a whole number"),
        (call(i="0"), "steps[1].i: must be a whole number"),
        (call(i=-1), "steps[1].i: must be at least 0"),
        (call(i=10**400), "steps[1].i: must be at most 1000000"),
        (call(tool=None), "steps[1].tool: must be a text"),
        (call(args="{}"), "steps[1].args: must be an object or null"),
        (call(gt="right"), "steps[1].gt: must be one of match, extra, no_effect"),
        (call(args={"a": {"b": "x\0"}}), "steps[1].args.a.b: a text contains the character U+0000"),
        (call(args={"\ud800": 1}), "steps[1].args: a text contains half of a surrogate pair"),
        (GOOD | {"steps": GOOD["steps"] * 2}, "steps[1].i: another call has the number 0"),
    ],
    ids=str,
)
def test_an_unusable_line_is_named_with_its_field(
    line: bytes | dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "e.jsonl"
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    path.write_bytes(raw + b"\n" + json.dumps(GOOD).encode() + b"\n")

    episodes, bad = read([path], domains=DOMAINS)

    assert [e["episode_id"] for e in episodes] == ["e1"]
    assert [b.number for b in bad] == [1]
    assert said in str(bad[0])


def test_the_second_line_with_an_id_is_left_out_whatever_file_it_stands_in(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text(json.dumps(GOOD))
    other.write_text("\n" + json.dumps(GOOD))

    episodes, bad = read([one, other], domains=DOMAINS)

    assert len(episodes) == 1
    assert str(bad[0]) == (
        "other.jsonl, line 2: field “episode_id”: the same episode stands in one.jsonl, line 1"
    )


def test_a_missing_or_cut_file_is_an_error_not_a_crash(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress((json.dumps(GOOD) + "\n").encode() * 500)[:60])

    _, bad = read([tmp_path / "none.jsonl.gz", cut], domains=DOMAINS)

    assert {b.file for b in bad} == {"none.jsonl.gz", "cut.jsonl.gz"}
    assert "can't be read on" in str(bad[-1])


def test_what_came_before_the_cut_is_read(tmp_path: Path) -> None:
    lines = [json.dumps(GOOD | {"episode_id": f"e{n}", "note": f"{n:x}" * 99}) for n in range(999)]
    packed = gzip.compress("\n".join(lines).encode())
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 0xFF
    for number, content in enumerate([packed[: len(packed) // 2], bytes(broken), packed[:-6]]):
        path = tmp_path / f"{number}.jsonl.gz"
        path.write_bytes(content)

        episodes, bad = read([path], domains=DOMAINS)

        assert len(episodes) > 300
        assert "can't be read on" in str(bad[-1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file holds no episode"),
        (b"\n \n", "the file holds no episode"),
        (gzip.compress(b""), "the file holds no episode"),
        (b"x" * (MAX_LINE_BYTES + 9), "line 1: the line is longer than 16 MB"),
    ],
    ids=["empty", "blank", "empty gzip", "endless line"],
)
def test_a_file_without_episodes_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(content)

    episodes, bad = read([path, tmp_path], domains=DOMAINS)

    assert episodes == []
    assert said in str(bad[0])
    assert bad[1].file == tmp_path.name


def test_a_gzipped_file_is_known_by_its_content_and_a_mark_at_its_start_is_no_fault(
    tmp_path: Path,
) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(gzip.compress(("\ufeff" + json.dumps(GOOD) + "\r\n").encode()))

    assert [len(found) for found in read([path], domains=DOMAINS)] == [1, 0]


def test_the_limit_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join(json.dumps(GOOD | {"episode_id": f"e{n}"}) for n in range(5)))

    assert len(read([path], domains=DOMAINS, limit=2)[0]) == 2


def test_many_bad_lines_are_counted_and_only_the_first_are_told(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("?\n" * 1000)

    said = left_out(read([path], domains=DOMAINS)[1])

    assert said.startswith("Left out: 1000 (the rest was read)")
    assert said.endswith("… and 950 more")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from([*GOOD, "suite", "customer", "user_request", "agent_cost_usd", "reward"])
STEP_FIELDS = st.sampled_from(
    ["i", "role", "tool", "args", "actor", "kind", "error", "gt", "tokens", "content"]
)


@given(st.dictionaries(FIELDS, JSON), st.dictionaries(STEP_FIELDS, JSON), st.integers(0, 400))
def test_no_line_raises_anything_but_its_own_error(
    fields: dict[str, Any], step: dict[str, Any], cut: int
) -> None:
    whole = json.dumps({**GOOD, "steps": [GOOD["steps"][0] | step], **fields}).encode()
    for line in (whole, whole[:cut] + whole[cut + 1 :], whole[:cut] + b"\xf0" + whole[cut:]):
        assert problem(line) is None or 0 < len(str(problem(line))) < 400


def problem(line: bytes) -> UnusableError | None:
    try:
        assert isinstance(parse(line, DOMAINS)["steps"], list)
    except UnusableError as error:
        return error
    return None
