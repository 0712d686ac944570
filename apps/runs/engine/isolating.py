"""One step's trouble stays one step's trouble.

The engine's transactions carry many steps. When one fails, and not because the database is away,
it is rolled back and done again in halves until the step that makes trouble is alone. That step
is ended, with the reason in words; the others never notice. While nothing goes wrong this costs
nothing; a step that does make trouble costs some seven small transactions.

How a step is ended goes from the most that can be kept to the least: its run goes on; its answer is
kept, but the run ends; only that it ended is kept, without a word of what came from outside. The
effect of a call that was answered is never forgotten nor repeated.

Runs in the database thread of a drain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact, record_many
from apps.calls.domain.retry import NOTHING_DONE, Ending, plain_verdict
from apps.kernel import trouble
from apps.kernel.apart import in_halves
from apps.kernel.patience import patiently
from apps.kernel.transactions import is_of_a_row, single_command
from apps.redaction import services as redaction
from apps.runs import journal
from apps.runs.course import RunCache
from apps.runs.domain.results import AttemptOutcome, Disposition, RunOutcome
from apps.runs.domain.suspicion import MANY, ClaimGroup
from apps.runs.engine import commit as engine
from apps.runs.engine import ending
from apps.runs.engine.batch import Batch
from apps.runs.engine.commit import Leased
from apps.runs.journal import barriers, claiming, pressure, troubled, unsent
from apps.runs.services.stops import withheld
from apps.runs.work import Action, Claimed, Finished, Settled

logger = logging.getLogger(__name__)
T = TypeVar("T")
NOT_JUDGED = "The step could not be prepared or judged, so it was not carried out: {why}."
NOT_REPEATED = (
    "The step could not be prepared for another try: {why}. An earlier try may have happened."
)
NOT_KEPT = "The tool answered, but its answer could not be recorded: {why}."
NOT_SETTLED = "The call ended, but how it ended could not be recorded: {why}."
NO_TURN = "the agent's turn could not be recorded: {why}"
RUN_STOPPED = "Step {seq} ended with trouble, and the run could not go on: {why}."


@dataclass(slots=True)
class Isolation:
    """The transactions of one drain. ``cache`` is what the drain keeps of its runs."""

    cache: RunCache
    lane: str
    owner: str
    lease_s: float

    # --- the two transactions -----------------------------------------------------------------

    def claim(self, limit: int, group: ClaimGroup = MANY) -> tuple[int, list[Action]]:
        """``engine.claim_and_commit``; a step that makes it fail is ended."""
        found, actions = engine.claim_and_commit(
            self.cache,
            self.lane,
            limit=limit,
            owner=self.owner,
            lease_s=self.lease_s,
            group=group,
            lease=self._lease,
            begin=self._begin,
        )
        return found, _committed(actions)

    def _lease(self, lane: str, *, limit: int, group: ClaimGroup, **options: Any) -> Leased:
        try:
            return self._patiently(
                lambda: engine.lease_due(lane, limit=limit, group=group, **options)
            )
        except BaseException as error:
            self._refuse_what_is_of_no_row(error)
            logger.warning("a claim failed; looking for the step that is to blame", exc_info=error)
        version = settings.ENGINE_VERSION
        ids = self._patiently(
            lambda: claiming.due_ids(lane, limit=limit, engine_version=version, group=group)
        )
        self._patiently(self._look_at_the_rest)

        def act(some: Sequence[UUID]) -> list[Leased]:
            return [engine.lease_due(lane, limit=len(some), group=group, chosen=some, **options)]

        found = self._in_halves(ids, act, self._end_queued)
        return Leased(sum(f.found for f in found), [w for f in found for w in f.works])

    def _begin(self, cache: RunCache, works: Sequence[Claimed], **options: Any) -> list[Action]:
        return self._in_halves(
            works, lambda some: engine.take_up(cache, some, **options), self._end_held
        )

    def commit(
        self, finished: Sequence[Finished], inspected: Sequence[Claimed], *, go_on: bool
    ) -> list[Action]:
        """``engine.commit``; a step that makes it fail is ended."""

        def act(some: Sequence[Finished | Claimed]) -> list[Action]:
            return self._commit(
                [i for i in some if isinstance(i, Finished)],
                [i for i in some if isinstance(i, Claimed)],
                go_on,
            )

        def end(one: Finished | Claimed, error: BaseException) -> list[Action]:
            if isinstance(one, Claimed):
                return self._end_held(one, error)
            return self._end_finished(one, error, go_on)

        return _committed(self._in_halves([*finished, *inspected], act, end))

    def withheld(self, calls: Sequence[Claimed]) -> set[int]:
        """The tokens of those calls that something holds by now. One that can't be looked at is
        held too: the next claim finds out what is wrong with it."""
        return set(
            self._in_halves(
                calls,
                lambda some: list(withheld(some)),
                lambda one, _: [one.lease_token],
            )
        )

    def _commit(
        self, finished: Sequence[Finished], inspected: Sequence[Claimed], go_on: bool
    ) -> list[Action]:
        return engine.commit(
            self.cache,
            finished,
            inspected,
            owner=self.owner,
            lease_s=self.lease_s,
            go_on=go_on,
        )

    # --- whose trouble ------------------------------------------------------------------------

    def _patiently(self, func: Callable[[], T]) -> T:
        return patiently(func, self.cache.clear)

    def _refuse_what_is_of_no_row(self, error: BaseException) -> None:
        if not is_of_a_row(error):
            raise error

    @single_command
    def _look_at_the_rest(self) -> None:
        """Read what every claim reads beside its steps. If that fails, no step is to blame, and
        none is ended for it."""
        barriers.forget()
        pressure.forget_caps()
        barriers.read()
        pressure.part([])

    def _in_halves(
        self,
        items: Sequence[T],
        act: Callable[[Sequence[T]], list],
        end: Callable[[T, BaseException], list],
    ) -> list:
        """``act`` on each of them apart from the trouble of the others; ``end`` one that has it."""
        return in_halves(items, lambda some: self._patiently(lambda: act(some)), end)

    # --- ending the one -----------------------------------------------------------------------

    def _end_queued(self, step_id: UUID, error: BaseException) -> list[Leased]:
        logger.error("step %s can't be claimed and is ended", step_id, exc_info=error)
        why = trouble.words(error)
        self._first_that_works(
            lambda: self._give_up_queued(step_id, why, carry_on=True),
            lambda: self._give_up_queued(step_id, why, carry_on=False),
        )
        return [Leased(1, [])]

    @single_command
    def _give_up_queued(self, step_id: UUID, why: str, *, carry_on: bool) -> None:
        work = troubled.take(step_id, owner=self.owner, lease_s=self.lease_s)
        if work is not None:
            self._give_up(work, why, carry_on)

    def _end_held(self, work: Claimed, error: BaseException) -> list[Action]:
        """A step that we hold, and that nobody can prepare or judge."""
        logger.error("step %s can't be judged and is ended", work.step_id, exc_info=error)
        why = trouble.words(error)
        bare = replace(work, arguments={}, preview=None, facts={}, pending=None, follows=None)
        bare.hidden = None  # else nothing ends without the keys of what its look-ups brought
        self._first_that_works(
            lambda: self._give_up_held(bare, why, carry_on=True),
            lambda: self._give_up_held(bare, why, carry_on=False),
        )
        return []

    @single_command
    def _give_up_held(self, work: Claimed, why: str, *, carry_on: bool) -> None:
        self._give_up(work, why, carry_on)

    def _give_up(self, work: Claimed, why: str, carry_on: bool) -> None:
        """In an open transaction: end a step that we hold, and that was not begun this time."""
        if work.intent_open and troubled.may_have_happened(work.step_id):
            self._settle(_unknown(work, NOT_REPEATED.format(why=why)), why, carry_on)
            return
        self._settle(
            ending.end(work, Disposition.FAILED, "engine", _not_judged(work, why)), why, carry_on
        )
        journal.free_intents([work.step_id] if work.intent_open else [])

    def _end_finished(self, done: Finished, error: BaseException, go_on: bool) -> list[Action]:
        """An attempt whose end can't be recorded, or whose run can't be carried on from it."""
        work = done.action.work
        logger.error("how step %s ended can't be recorded", work.step_id, exc_info=error)
        why = trouble.words(error)
        bare = stripped(done, why)
        tries: list[Callable[[], object]] = [
            lambda: self._commit([done], [], go_on=False),  # what comes next may be to blame
            lambda: self._commit([bare], [], go_on=False),
            lambda: self._settle_alone(as_it_ended(done), why, carry_on=False),
            lambda: self._settle_alone(as_it_ended(bare), why, carry_on=False),
            lambda: self._settle_alone(_last_resort(bare), why, carry_on=False),
        ]
        self._first_that_works(*(tries if go_on else tries[1:]))
        return []

    def _first_that_works(self, *ways: Callable[[], object]) -> None:
        """Try one way of ending a step after the other. Should none work, its lease runs out, and
        it is tried again: nobody else's work stops for it."""
        for way in ways:
            try:
                self._patiently(way)
                return
            except BaseException as error:
                self._refuse_what_is_of_no_row(error)
                logger.warning("a step could not be ended this way", exc_info=error)
        logger.error("a step that makes trouble could not be ended; its lease runs out")

    @single_command
    def _settle_alone(self, step: Settled, why: str, *, carry_on: bool) -> None:
        self._settle(step, why, carry_on)

    def _settle(self, step: Settled, why: str, carry_on: bool) -> None:
        """In an open transaction: end one step, and carry its run on or end it too."""
        run_id = step.work.run_id
        redaction.keep([step.work.hidden])
        if step.disposition == Disposition.FAILED and step.work.mutates:
            step = _as_far_as_known(step)
        if carry_on:
            self.cache.fill([run_id], anew=True)
            batch = Batch(self.cache, owner=self.owner, lease_s=self.lease_s, go_on=False)
            batch.advance(batch.settle([step]))
            record_many(batch.facts)
            return
        if step.work.step_id not in journal.settle([step]):
            return  # fenced off meanwhile: its new owner speaks for it
        ending.free_intents([step])
        unknown = step.disposition == Disposition.UNKNOWN
        state = troubled.end_run(
            run_id,
            state="confirmation_unknown" if unknown else "failed",
            error_class=step.error_class[:40] or "engine",
            summary=RUN_STOPPED.format(seq=step.work.seq, why=why),
        )
        actor = Actor.worker(self.owner)
        facts = [ending.step_fact(step, actor)]
        if state:
            outcome = {"outcome": "" if unknown else RunOutcome.ERROR}
            facts.append(Fact(f"run.{state}", actor, "run", str(run_id), run_id, outcome))
        record_many(facts)
        self.cache.drop([run_id])


def _committed(actions: list[Action]) -> list[Action]:
    """Actions whose steps stand in the database now: each speaks for itself."""
    for action in actions:
        action.work.follows = None
    return actions


# --- what is kept ---------------------------------------------------------------------------------


def _not_judged(work: Claimed, why: str) -> str:
    return why if work.kind == "agent" else NOT_JUDGED.format(why=why)


def _as_far_as_known(step: Settled) -> Settled:
    """A change whose last attempt did nothing has failed only if none before it may have done
    it."""
    if not unsent.may_have_happened([step.work.step_id]):
        return step
    attempt = step.attempt and replace(step.attempt, outcome=AttemptOutcome.UNKNOWN)
    state = "confirmation_unknown"
    return replace(step, disposition=Disposition.UNKNOWN, state=state, attempt=attempt)


def _unknown(work: Claimed, words: str) -> Settled:
    return Settled(work, Disposition.UNKNOWN, "confirmation_unknown", None, "engine", words)


def stripped(done: Finished, why: str) -> Finished:
    """How an attempt ended, without anything that the other side said, hidden values too. An effect
    that was answered stays one; a look that can't be kept has failed."""
    work, result = replace(done.action.work, hidden=None), done.result
    action = replace(done.action, work=work)
    kept = replace(
        result, data=None, meta={}, parts=(), notes=(), http_status=None, error_class="unrecorded"
    )
    if work.kind == "agent":
        turn = done.thought and replace(done.thought, items=[], degraded_reason="")
        words = NO_TURN.format(why=why)
        return Finished(action, replace(kept, ending=Ending.BROKEN, error=words), turn)
    if result.ending is Ending.ANSWERED:
        words = NOT_KEPT.format(why=why)
        how = Ending.ANSWERED if work.mutates else Ending.BROKEN
        return Finished(action, replace(kept, ending=how, content=words, error=words))
    words = NOT_SETTLED.format(why=why)
    return Finished(action, replace(kept, content="", error=words))


def as_it_ended(done: Finished) -> Settled:
    """The end of a step by its attempt alone: nothing is looked up, and nothing is tried again."""
    return ending.settled(done, plain_verdict(done.result.ending, mutates=done.action.work.mutates))


def _last_resort(done: Finished) -> Settled:
    """Only that it ended. Whether a change happened, a person has to find out."""
    work = replace(done.action.work, arguments={}, preview=None, facts={}, pending=None)
    words = done.result.error[:500]
    if work.mutates and done.result.ending not in NOTHING_DONE:
        return _unknown(work, words)
    return ending.end(work, Disposition.FAILED, "engine", words)
