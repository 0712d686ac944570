"""Every word that is stored of a result is a member of its enum, and has a look on pages."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
from django.conf import settings

from apps.ops.figures import LOOKS
from apps.policy.domain.decision import Answer
from apps.policy.domain.effects import CONSEQUENTIAL, EFFECTS, MUTATING, Effect
from apps.runs.domain.results import (
    AttemptOutcome,
    Disposition,
    RunOutcome,
)
from apps.runs.domain.states import State
from apps.web.domain.words import EFFECTS as LOOKS_OF_EFFECTS
from apps.web.domain.words import STATES

ROOT = Path(settings.BASE_DIR)
FILES = [p for p in (ROOT / "apps").rglob("*.py") if "migrations" not in p.parts]
WORD = {
    "disposition": {*map(str, Disposition)},
    "outcome": {*map(str, RunOutcome), *map(str, AttemptOutcome)},
}
# A comparison or an assignment in Python or SQL, with a text.
LITERAL = re.compile(
    r"\b(?:[a-z]\.)?(disposition|outcome)(?:=| = | == | != | <> )[\"']([a-z_]+)[\"']"
)


@pytest.mark.parametrize("words", [RunOutcome, Disposition, AttemptOutcome, Answer])
def test_every_word_has_a_look(words: type[StrEnum]) -> None:
    assert [word for word in words if word.value not in STATES] == []


def test_every_attempt_is_drawn() -> None:
    assert set(LOOKS) == {"", *AttemptOutcome}


def test_mutating_has_one_meaning() -> None:
    assert {Effect.WRITE, Effect.IRREVERSIBLE} == MUTATING
    assert {Effect.DRAFT, *MUTATING} == CONSEQUENTIAL
    assert set(LOOKS_OF_EFFECTS) == set(EFFECTS)


def test_what_statements_write_is_a_word_that_is_named() -> None:
    found = [
        (path.name, kind, word)
        for path in FILES
        for kind, word in LITERAL.findall(path.read_text())
        if word not in WORD[kind]
    ]
    assert found == []


def test_python_names_results_by_their_enums() -> None:
    """In statements the database reads texts; elsewhere a text is a member that nobody checks."""
    bare = re.compile(r"(?:disposition|effect)(?: [!=]= |=)\"[a-z_]+\"")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for app in ("runs", "evidence", "ops")
        for path in (ROOT / "apps" / app).rglob("*.py")
        if "migrations" not in path.parts
        for line in path.read_text().splitlines()
        if bare.search(line)
    ]
    assert found == []


def test_states_and_results_share_no_word_with_two_meanings() -> None:
    """Pages look a word up in one table, whatever it is of."""
    shared = {*map(str, State)} & ({*map(str, RunOutcome)} | {*map(str, Disposition)})
    assert shared == {"cancelled", "shed", "failed", "compensated"}
