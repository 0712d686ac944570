"""Each of the attacks in ``docs/security.md`` has tests that are there, or a reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings

from tests.architecture.test_terms import assert_test

ROOT = Path(settings.BASE_DIR)
ROW = re.compile(r"^\| (S-\d\d) \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")
SHORTEST_REASON = 20
EMPTY = " \N{EN DASH}"  # what a cell with nothing in it holds


class Item(NamedTuple):
    """One attack: what holds, what proves it, what doesn't hold."""

    number: str
    holds: str
    proofs: tuple[str, ...]
    reason: str


def items() -> list[Item]:
    rows = ROW.findall((ROOT / "docs" / "security.md").read_text())
    return [
        Item(number, holds.strip(EMPTY), tuple(NAMED.findall(proof)), reason.strip(EMPTY))
        for number, holds, proof, reason in rows
    ]


ITEMS = items()


def test_each_item_stands_once_and_in_order() -> None:
    assert [item.number for item in ITEMS] == [f"S-{n:02}" for n in range(1, 55)]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.number)
def test_an_item_has_a_proof_that_is_there_or_a_reason(item: Item) -> None:
    for proof in item.proofs:
        assert_proof(proof)
    assert item.proofs or len(item.reason) >= SHORTEST_REASON
    assert bool(item.holds) >= bool(item.proofs), "say what the tests prove"


def assert_proof(named: str) -> None:
    """A test, or a step of CI."""
    if named.startswith(".ci/run::"):
        step = named.removeprefix(".ci/run::")
        assert f'section "{step}"' in (ROOT / ".ci" / "run").read_text()
    else:
        assert_test(named)


@pytest.mark.parametrize("gone", [".ci/run::Prayers", "web/test_tags.py::test_of_nothing"])
def test_a_proof_that_is_not_there_is_noticed(gone: str) -> None:
    with pytest.raises(AssertionError):
        assert_proof(gone)


def test_scripts_keep_nothing_in_the_browser() -> None:
    """What lies in a browser's stores outlives the log-out, for whoever comes next."""
    stores = re.compile(r"localStorage|sessionStorage|indexedDB|\bcaches\.|serviceWorker")
    scripts = {path: path.read_text() for path in (ROOT / "static" / "js").rglob("*.js")}

    assert [str(path) for path, text in scripts.items() if stores.search(text)] == []
    assert scripts
