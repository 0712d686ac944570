"""The life of a draft, tried in any order by anybody: what holds whatever people do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apps.documents.domain import life as lives
from apps.documents.domain.life import DraftState, Life, ReviewApproval, StaleRevisionError
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError, TowerError

PEOPLE = st.sampled_from([1, 2, 3, 4])
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def yes(person: int, note: str = "right") -> ReviewApproval:
    return ReviewApproval(person, f"person{person}", note, START.isoformat())


@dataclass
class Published:
    text: int
    author: int
    approvers: tuple[int, ...]
    was_weaker: bool
    due: datetime | None
    at: datetime


class Drafting(RuleBasedStateMachine):
    """Four admins, one subject. Each text is a number; odd ones weaken a control. Every step is
    taken as the command takes it, by somebody who has seen some revision, perhaps an older one."""

    def __init__(self) -> None:
        super().__init__()
        self.life: Life | None = None
        self.text = 0
        self.seen: dict[int, int] = {}  # the text that each person saw last
        self.agreed: dict[int, int] = {}  # what each approver saw when they approved
        self.current = 1
        self.now = START
        self.published: list[Published] = []

    @property
    def is_weaker(self) -> bool:
        return self.text % 2 == 1

    def revision(self, behind: int) -> int:
        assert self.life is not None
        return self.life.revision - behind

    @rule(by=PEOPLE, text=st.integers(0, 9), behind=st.integers(0, 2))
    def save(self, by: int, text: int, behind: int) -> None:
        if self.life is None:
            self.life, self.text = Life(author=by, base=self.current), text
            return
        before = self.life
        try:
            self.life = lives.saved(before, revision=self.revision(behind), by=by)
        except StaleRevisionError:
            assert behind
            return
        assert not behind
        assert self.life.revision == before.revision + 1
        self.text = text

    @precondition(lambda self: self.life is not None)
    @rule(behind=st.integers(0, 1))
    def submit(self, behind: int) -> None:
        self._try(lambda life: lives.submitted(life, revision=self.revision(behind), note="n"))

    @precondition(lambda self: self.life is not None)
    @rule(behind=st.integers(0, 1))
    def withdraw(self, behind: int) -> None:
        self._try(lambda life: lives.withdrawn(life, revision=self.revision(behind)))

    @precondition(lambda self: self.life is not None)
    @rule(by=PEOPLE)
    def rebase(self, by: int) -> None:
        self._try(
            lambda life: lives.rebased(life, revision=life.revision, by=by, current=self.current)
        )

    @precondition(lambda self: self.life is not None)
    @rule(by=PEOPLE, minutes=st.sampled_from([None, -5, 0, 5, 60]), behind=st.integers(0, 1))
    def approve(self, by: int, minutes: int | None, behind: int) -> None:
        at = None if minutes is None else self.now + timedelta(minutes=minutes)
        moved = self._try(
            lambda life: lives.approved(
                life,
                yes(by),
                revision=self.revision(behind),
                current=self.current,
                at=at,
                now=self.now,
            )
        )
        if not moved:
            return
        assert self.life is not None
        assert not behind
        self.agreed[by] = self.text
        if not lives.is_complete(self.life, is_weaker=self.is_weaker):
            return
        if self.life.publish_at is None:
            self._publish()
        else:
            self.life = lives.scheduled(self.life)

    @rule(minutes=st.integers(1, 90))
    def sweep(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        if self.life is None or not lives.is_due(self.life, self.now):
            return
        try:
            lives.stands_on(self.life, self.current)
        except ConflictError:
            self.life = lives.returned(self.life)
        else:
            self._publish()

    @rule()
    def somebody_else_publishes(self) -> None:
        """A pack is applied."""
        self.current += 1

    def _try(self, step: object) -> bool:
        before = self.life
        assert callable(step)
        assert before is not None
        try:
            self.life = step(before)
        except (TowerError, StaleRevisionError):
            assert self.life is before
            return False
        return True

    def _publish(self) -> None:
        assert self.life is not None
        life, self.life = self.life, None
        approvers = tuple(a.person for a in life.approvals)
        self.published.append(
            Published(self.text, life.author, approvers, self.is_weaker, life.publish_at, self.now)
        )
        assert life.base == self.current
        assert all(self.agreed[p] == self.text for p in approvers)  # nobody approved another text
        self.current += 1

    @invariant()
    def nobody_publishes_what_they_wrote(self) -> None:
        for done in self.published[-1:]:
            assert done.author not in done.approvers
            assert len(set(done.approvers)) == len(done.approvers)
            assert len(done.approvers) >= (2 if done.was_weaker else 1)

    @invariant()
    def nothing_is_published_before_its_time(self) -> None:
        for done in self.published[-1:]:
            assert done.due is None or done.due <= done.at

    @invariant()
    def approvals_are_of_this_text(self) -> None:
        if self.life is None:
            return
        if self.life.state == DraftState.DRAFT:
            assert not self.life.approvals
        assert self.life.author not in {a.person for a in self.life.approvals}
        assert all(self.agreed[a.person] == self.text for a in self.life.approvals)
        if self.life.state == DraftState.SCHEDULED:
            assert self.life.publish_at is not None
            assert lives.is_complete(self.life, is_weaker=self.is_weaker)


Drafting.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestDrafting = Drafting.TestCase
IN_REVIEW = Life(author=1, base=3, revision=4, state=DraftState.IN_REVIEW)


def approve(life: Life = IN_REVIEW, person: int = 2, **changes: object) -> Life:
    told = {"revision": 4, "current": 3, "at": None, "now": START, **changes}
    return lives.approved(life, yes(person), **told)  # type: ignore[arg-type]  # by name


def test_the_author_approves_nothing() -> None:
    with pytest.raises(NotPermittedError, match="you wrote this draft yourself"):
        approve(person=1)


def test_an_approval_says_why() -> None:
    with pytest.raises(InvalidInputError, match="Say why"):
        lives.approved(IN_REVIEW, yes(2, " "), revision=4, current=3, at=None, now=START)


def test_one_person_counts_once() -> None:
    once = approve()

    with pytest.raises(ConflictError, match="somebody else has to as well"):
        approve(once)
    assert lives.is_complete(once, is_weaker=False)
    assert not lives.is_complete(once, is_weaker=True)
    assert lives.is_complete(approve(once, person=3), is_weaker=True)


def test_a_draft_behind_or_in_the_past_is_refused() -> None:
    with pytest.raises(ConflictError, match="v4 was published since"):
        approve(current=4)
    with pytest.raises(InvalidInputError, match="has passed"):
        approve(at=START)
    with pytest.raises(StaleRevisionError):
        approve(revision=3)


def test_a_change_of_the_text_voids_what_was_approved() -> None:
    due = lives.scheduled(approve(at=START + timedelta(hours=1)))

    changed = lives.saved(due, revision=4, by=2)

    assert (changed.state, changed.approvals, changed.publish_at) == (DraftState.DRAFT, (), None)
    assert (changed.author, changed.revision) == (2, 5)
    assert lives.is_due(due, START + timedelta(hours=1))
    assert not lives.is_due(due, START)
