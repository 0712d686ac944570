"""What practice cases give back fits what the packs' jobs promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from apps.calls.domain.given import last_given
from apps.catalog.domain.contract import parse
from apps.kernel.schemas import compiled
from apps.runs.domain.outcome import RunEnd
from apps.runs.domain.result import problem
from apps.runs.domain.states import State
from controltower.practice.cases.scripts import reference_case, with_result
from tests.practice.cases.test_scripts import TASK

JOBS = sorted(Path(settings.BASE_DIR).glob("controltower/practice/packs/*/jobs/*.yaml"))
RESOLVED = RunEnd(State.SUCCEEDED, "resolved", "")


@pytest.mark.parametrize("path", JOBS, ids=lambda p: f"{p.parts[-3]}/{p.stem}")
def test_a_case_gives_what_its_job_promises(path: Path) -> None:
    contract = parse(path.read_text()).contract
    assert contract is not None
    case = reference_case(TASK, domain="x", mutating=frozenset({"cancel"}), world="w")

    given = last_given(with_result(case.items, contract.output))

    assert given is not None
    assert given.value == {"answer": "That is done. Is there anything else I can help you with?"}
    assert problem(compiled(contract.output), given, end=RESOLVED) == ""


@pytest.mark.parametrize("pack", ["airline", "retail"])
def test_a_question_is_answered_only_with_an_answer(pack: str) -> None:
    [path] = [p for p in JOBS if p.stem == "answer-question" and p.parts[-3] == pack]
    contract = parse(path.read_text()).contract
    assert contract is not None

    told = problem(compiled(contract.output), None, end=RESOLVED)

    assert "'answer' is a required property" in told
