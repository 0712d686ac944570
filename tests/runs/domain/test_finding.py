from __future__ import annotations

import pytest

from apps.runs.domain.finding import VERDICT_WORDS, FindingVerdict, is_agreed, people_needed


def test_two_people_are_needed_from_risk_high_on() -> None:
    assert [people_needed(risk) for risk in (1, 2, 3, 4)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        ([(1, "happened")], False),
        ([(1, "happened"), (1, "happened")], False),
        ([(1, "happened"), (2, "give_up")], False),
        ([(1, "give_up"), (2, "happened"), (1, "happened")], True),
        ([(1, "happened"), (1, "give_up"), (2, "happened")], False),
        ([(1, "happened"), (2, "happened")], True),
    ],
)
def test_people_agree_by_their_last_words(said: list[tuple[int, str]], agreed: bool) -> None:
    assert is_agreed(said, FindingVerdict.HAPPENED, 3) is agreed


def test_every_word_can_be_said() -> None:
    assert set(VERDICT_WORDS) == set(FindingVerdict)
