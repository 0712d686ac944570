from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.calls.domain.retry import Ending, RetryVerdict
from apps.runs.domain import ends

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("verdict", "ending", "state", "disposition"),
    [
        (RetryVerdict.SETTLE, Ending.ANSWERED, "succeeded", "executed"),
        (RetryVerdict.SETTLE, Ending.REFUSED, "failed", "refused_by_tool"),
        (RetryVerdict.SETTLE, Ending.ERRED, "failed", "refused_by_tool"),
        (RetryVerdict.FAIL, Ending.NOT_SENT, "failed", "failed"),
        (RetryVerdict.UNKNOWN, Ending.LOST, "confirmation_unknown", "unknown"),
    ],
)
def test_a_step_ends_as_its_last_attempt_did(
    verdict: RetryVerdict, ending: Ending, state: str, disposition: str
) -> None:
    assert ends.of_attempt(verdict, ending) == (state, disposition)


@pytest.mark.parametrize(
    ("verdict", "ending", "timed_out", "outcome"),
    [
        (RetryVerdict.SETTLE, Ending.ANSWERED, False, "ok"),
        (RetryVerdict.SETTLE, Ending.REFUSED, False, "tool_error"),
        (RetryVerdict.RETRY, Ending.LOST, True, "timeout"),
        (RetryVerdict.RETRY, Ending.LOST, False, "retryable"),
        (RetryVerdict.UNKNOWN, Ending.LOST, True, "unknown"),
        (RetryVerdict.FAIL, Ending.NOT_SENT, False, "failed"),
    ],
)
def test_an_attempt_is_written_down_as_it_ended(
    verdict: RetryVerdict, ending: Ending, timed_out: bool, outcome: str
) -> None:
    assert ends.attempt_outcome(verdict, ending, timed_out=timed_out) == outcome


def test_what_was_begun_is_finished_whatever_people_said_since() -> None:
    assert ends.by_approval("rejected", intent_open=False) == "rejected"
    assert ends.by_approval("expired", intent_open=False) == "expired"
    assert ends.by_approval("approved", intent_open=False) is None
    assert ends.by_approval("rejected", intent_open=True) is None


def test_a_run_is_late_from_its_deadline_on() -> None:
    earlier = NOW - timedelta(microseconds=1)
    assert not ends.is_overdue(earlier, NOW, intent_open=False)
    assert ends.is_overdue(NOW, NOW, intent_open=False)
    assert not ends.is_overdue(NOW, NOW, intent_open=True)


def test_only_what_a_tool_refused_is_given_up_at_once() -> None:
    assert ends.gives_up("refused_by_tool")
    assert not any(map(ends.gives_up, ("failed", "executed", "unknown", "denied")))


def test_what_failed_is_given_up_if_an_attempt_at_a_change_failed() -> None:
    assert ends.may_give_up("failed", attempted=True, mutates=True)
    assert not ends.may_give_up("failed", attempted=False, mutates=True)
    assert not ends.may_give_up("failed", attempted=True, mutates=False)
    assert not ends.may_give_up("executed", attempted=True, mutates=True)
