"""Admission: what matters more is never turned away before what matters less."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.admission import (
    Accept,
    Admission,
    AdmissionRequest,
    Class,
    Defer,
    People,
    Queues,
    Shed,
    class_of,
    decide,
    people_words,
    retry_after,
)

BOUNDS = {Class.C1: 200, Class.C2: 100, Class.C3: 20}
counts = st.dictionaries(st.sampled_from(Class), st.integers(0, 400))
queues_of = st.builds(
    Queues, counts, counts, st.one_of(st.none(), st.floats(0.01, 1000, allow_nan=False))
)
people_of = st.builds(
    People,
    st.floats(0, 1000),
    st.floats(0, 1000),
    st.integers(0, 500),
    st.floats(0, 20_000),
)
cases = st.builds(
    AdmissionRequest,
    st.sampled_from(Class),
    st.floats(1, 50_000),
    st.floats(0, 1),
    st.floats(60, 20_000),
)


def harshness(verdict: Admission) -> int:
    return {Accept: 0, Defer: 1, Shed: 2}[type(verdict)]


@given(case=cases, queues=queues_of, people=people_of)
def test_undoing_and_approved_work_is_always_taken_in(
    case: AdmissionRequest, queues: Queues, people: People
) -> None:
    assert decide(replace(case, cls=Class.C0), queues, BOUNDS, people) == Accept()


@given(case=cases, queues=queues_of, people=people_of, other=st.sampled_from(Class))
def test_what_matters_more_fares_no_worse(
    case: AdmissionRequest, queues: Queues, people: People, other: Class
) -> None:
    better, worse = sorted([case.cls, other])
    one = decide(replace(case, cls=better), queues, BOUNDS, people)
    two = decide(replace(case, cls=worse), queues, BOUNDS, people)
    assert harshness(one) <= harshness(two)


@given(case=cases, queues=queues_of, people=people_of, cls=st.sampled_from(Class))
def test_one_more_in_the_queue_never_helps(
    case: AdmissionRequest, queues: Queues, people: People, cls: Class
) -> None:
    fuller = replace(queues, queued={**queues.queued, cls: queues.queued.get(cls, 0) + 1})
    before = decide(case, queues, BOUNDS, people)
    assert harshness(before) <= harshness(decide(case, fuller, BOUNDS, people))


@given(case=cases, queues=queues_of, people=people_of, more=st.floats(0, 500))
def test_one_more_question_to_people_never_helps(
    case: AdmissionRequest, queues: Queues, people: People, more: float
) -> None:
    busier = replace(people, waiting=people.waiting + more)
    before = decide(case, queues, BOUNDS, people)
    assert harshness(before) <= harshness(decide(case, queues, BOUNDS, busier))


@given(case=cases, queues=queues_of, people=people_of)
def test_times_told_are_within_reason(
    case: AdmissionRequest, queues: Queues, people: People
) -> None:
    verdict = decide(case, queues, BOUNDS, people)
    if isinstance(verdict, Shed):
        assert 5 <= verdict.retry_after_s <= 900
        assert verdict.reason
    if isinstance(verdict, Defer):
        assert 5 <= verdict.for_s <= 900
        assert verdict.reason


@given(queues=queues_of, people=people_of)
def test_interactive_work_is_shed_only_when_it_can_not_be_deferred(
    queues: Queues, people: People
) -> None:
    case = AdmissionRequest(Class.C1, 3600, 1.0, 600)
    if isinstance(decide(case, queues, BOUNDS, people), Shed):
        assert queues.held_up_to(Class.C1) >= BOUNDS[Class.C1]


def test_batch_is_shed_first_with_a_reason_and_a_time() -> None:
    queues = Queues({Class.C2: 10, Class.C3: 12}, per_s=2.0)
    verdicts = {c: decide(AdmissionRequest(c, 3600), queues, BOUNDS, People()) for c in Class}
    assert verdicts[Class.C3] == Shed(
        "Queue full: 22 runs of equal or higher priority (limit 20)", 5.0
    )
    assert verdicts[Class.C2] == verdicts[Class.C1] == Accept()


def test_a_run_that_would_miss_its_deadline_in_the_queue_is_turned_away() -> None:
    queues = Queues({Class.C1: 90}, per_s=0.5)
    assert isinstance(decide(AdmissionRequest(Class.C2, 200), queues, BOUNDS, People()), Accept)
    late = decide(AdmissionRequest(Class.C2, 100), queues, BOUNDS, People())
    assert isinstance(late, Shed)
    assert "deadline" in late.reason
    assert isinstance(decide(AdmissionRequest(Class.C1, 100), queues, BOUNDS, People()), Defer)


def test_a_job_waits_until_people_have_caught_up() -> None:
    people = People(waiting=40, decided_last_hour=60)
    asks = AdmissionRequest(Class.C1, 14_400, needs_people=0.4, window_s=1800)
    verdict = decide(asks, Queues(), BOUNDS, people)
    assert verdict == Defer(
        600,
        "its approval would wait 40 min, longer than its window of 30 min: 40 questions ahead",
    )
    assert decide(replace(asks, needs_people=0.01), Queues(), BOUNDS, people) == Accept()
    assert decide(asks, Queues(), BOUNDS, replace(people, waiting=30)) == Accept()


def test_people_who_were_asked_little_are_not_taken_for_slow() -> None:
    assert People(waiting=3, decided_last_hour=2).wait_s == 360
    away = People(waiting=1, decided_last_hour=0, oldest_s=4000)
    assert away.wait_s == float("inf")
    assert "nobody has decided" in people_words(away, 600)
    assert isinstance(
        decide(AdmissionRequest(Class.C2, 9999, 1.0, 99_999), Queues(), BOUNDS, away), Defer
    )


def test_a_criticality_names_a_class_that_can_only_be_lowered() -> None:
    words = ("critical", "high", "normal", "low", "unheard of")
    assert [class_of(w) for w in words] == [1, 1, 2, 3, 2]
    assert class_of("high", 3) == Class.C3
    assert class_of("low", 1) == Class.C3
    assert class_of("normal", 0) == Class.C2


def test_when_to_come_again() -> None:
    assert retry_after(100, None) == 60
