"""The page of faults can't lie: all 42 are there, and every test that it names exists and runs."""

from __future__ import annotations

import importlib
import re

from tests.faults.matrix import PAGE, TABLE, page


def test_all_faults_are_there() -> None:
    assert [fault.number for fault in TABLE] == list(range(1, 43))


def test_every_test_exists_and_is_not_switched_off() -> None:
    for fault in TABLE:
        for name in fault.tests:
            path, _, function = name.partition("::")
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            test = getattr(module, function)
            marks = {mark.name for mark in getattr(test, "pytestmark", ())}
            marks |= {m.name for m in getattr(module, "pytestmark", ()) if hasattr(m, "name")}
            assert not marks & {"skip", "skipif", "xfail"}, name


def test_every_numbered_test_is_in_the_table() -> None:
    known = {t for fault in TABLE for t in fault.tests}
    for fault in TABLE:
        for name in fault.tests:
            path = name.partition("::")[0]
            if "/faults/" not in path:
                continue
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            numbered = [f for f in vars(module) if re.match(r"test_\d\d_", f)]
            mine = [f for f in numbered if getattr(module, f).__module__ == module.__name__]
            assert {f"{path}::{f}" for f in mine} <= known


def test_the_page_is_the_table() -> None:
    def bare(text: str) -> list[str]:
        return [re.sub(r"\| [^|]* \|$", "|", line) for line in text.splitlines() if line[:1] == "|"]

    assert bare(PAGE.read_text()) == bare(page({}, ""))


def test_no_result_is_made_up() -> None:
    last = [
        line.rsplit("|", 2)[1].strip() for line in PAGE.read_text().splitlines() if "::" in line
    ]
    assert len(last) == 42
    assert all(re.fullmatch(r"passed|not run|(failed|skipped).*", word) for word in last)
