"""Start one run per episode, play the reviewer, wait, and gather what the tower did."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.accounts.domain.roles import Role
from apps.accounts.services import join
from apps.audit.domain.actors import Actor
from apps.catalog import selectors as catalog
from apps.kernel.errors import ConflictError, TowerError, UnavailableError
from apps.kernel.ids import new_id
from apps.ops.selectors import batch
from apps.oversight import selectors as asked
from apps.oversight import services as approvals
from apps.runs.services import cancel_run
from controltower.practice.cases.scripts import recorded_case
from controltower.practice.cases.starting import start_cases
from controltower.practice.replay.mapping import Mappings
from controltower.practice.replay.reading import BadLine
from controltower.practice.replay.scoring import Done, Played, labelled

CHUNK = 20
SETTLED = {"succeeded", "failed", "cancelled", "compensated", "shed", "confirmation_unknown"}
REVIEWER = "replay-reviewer"
REPLAY = Actor.system("replay")
Progress = Callable[[int, int], None]


@dataclass
class Replay:
    """One replay of some episodes. ``reviewer``: none, approve, reject or oracle."""

    episodes: Sequence[Mapping[str, Any]]
    reviewer: str = "none"
    rate: float | None = None  # runs started a second; as fast as they are accepted without it
    name: str = field(default_factory=lambda: f"replay-{str(new_id())[-12:]}")
    runs: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)
    mappings: Mappings | None = None
    refused: list[BadLine] = field(default_factory=list)  # episodes that could not be started
    seconds: float = 0.0

    def play(self, *, progress: Progress, patience_s: float = 120.0) -> None:
        """Start the runs and wait until each has ended or waits for a person nobody plays. Stops
        waiting when nothing has moved for ``patience_s``."""
        started = last_move = time.monotonic()
        before, begun = -1, 0
        while True:
            begun = self._begin(begun, started)
            self._review()
            settled = self._settled()
            progress(begun, settled)
            if settled != before:
                before, last_move = settled, time.monotonic()
            if begun >= len(self.episodes) and settled >= len(self.runs):
                break
            if time.monotonic() - last_move > patience_s:
                break
            time.sleep(0.2)
        self.seconds = time.monotonic() - started

    def _begin(self, begun: int, started: float) -> int:
        upto = len(self.episodes)
        if self.rate:
            upto = min(upto, int((time.monotonic() - started) * self.rate) + 1)
        chunk = self.episodes[begun : min(upto, begun + CHUNK)]
        if not chunk:
            return begun
        self._start(chunk, begun)
        return begun + len(chunk)

    def _start(self, chunk: Sequence[Mapping[str, Any]], begun: int) -> None:
        """Start a chunk at once; if the tower can't take it, one by one, so that what is wrong
        with one episode keeps no other from being run."""
        cases = [
            recorded_case(e, world=f"{self.name}/{begun + n}", mapping=self._mapping(e))
            for n, e in enumerate(chunk)
        ]
        try:
            ids = start_cases(cases, source="replay", actor=REPLAY)
        except UnavailableError:
            raise  # the tower lacks something, whatever the episode
        except (TowerError, DatabaseError, ValueError, TypeError) as error:
            if len(chunk) == 1:
                problem = f"the tower can't take it: {type(error).__name__}: {str(error)[:200]}"
                self.refused.append(BadLine(f"episode {cases[0].ref}", 0, problem))
                return
            for number, episode in enumerate(chunk):
                self._start([episode], begun + number)
        else:
            self.runs.update(zip(ids, chunk, strict=True))

    def _mapping(self, episode: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.mappings.of(episode["domain"]) if self.mappings else {}

    def _settled(self) -> int:
        wanted = SETTLED if self.reviewer != "none" else SETTLED | {"waiting_approval"}
        return len(batch.in_states(self.runs, wanted))

    # --- the reviewer ---------------------------------------------------------------------------

    def _review(self) -> None:
        if self.reviewer == "none":
            return
        # A list: questions that come up while the steps are read are answered the next time.
        waiting = asked.pending_of(self.runs)
        refs = batch.refs_of([approval.step_id for approval in waiting])
        for approval in waiting:
            self._decide(approval, refs[approval.step_id])

    def _decide(self, approval: Any, ref: str) -> None:
        approve = self._verdict(self.runs[approval.run_id], ref)
        try:
            approvals.decide(
                approval_id=approval.pk,
                user=_reviewer(approval),
                approve=approve,
                reason=f"Replay reviewer “{self.reviewer}”.",
                digest=approval.digest,
                nonce=str(new_id()),
                dwell_ms=None,
            )
        except ConflictError:
            return  # it expired or was decided between the query and the decision

    def _verdict(self, episode: Mapping[str, Any], ref: str) -> bool:
        if self.reviewer in {"approve", "reject"}:
            return self.reviewer == "approve"
        labels = {index: step["gt"] for index, step in labelled(episode)}
        return ref.isdigit() and labels.get(int(ref)) == "match"

    # --- afterwards -----------------------------------------------------------------------------

    def gather(self) -> list[Played]:
        """What became of each episode, read from the tower's own tables."""
        answers = asked.answers_of(self.runs)
        done: dict[UUID, dict[int, Done]] = defaultdict(dict)
        for step in batch.proposals(self.runs):
            if step.ref.isdigit():
                done[step.run_id][int(step.ref)] = Done(
                    step.tool, step.arguments, step.disposition, answers.get(step.step_id, "")
                )
        return [
            Played(self.runs[run.id], run.state, run.outcome, _seconds(run), done[run.id])
            for run in batch.rows(self.runs)
        ]

    def tidy(self) -> int:
        """Cancel the runs that still wait for a reviewer nobody plays, so that a replay leaves no
        questions in the operators' queue. Returns how many."""
        for run_id in (left := batch.in_states(self.runs, {"waiting_approval"})):
            with suppress(ConflictError):  # decided or expired in this very moment
                cancel_run(run_id, actor=REPLAY, reason="The replay ended without a reviewer.")
        return len(left)

    def ledgers(self) -> dict[str, str]:
        """The tool of each domain that tells what was carried out in a world."""
        wanted = {e["domain"] for e in self.episodes}
        told = {domain: self.mappings.of(domain) for domain in wanted} if self.mappings else {}
        return {d: str(mapping["ledger"]) for d, mapping in told.items() if "ledger" in mapping}

    def jobs(self) -> dict[str, Any]:
        """How many runs each job got, and the share of them whose proposals name no tool that
        the job's contract lacks."""
        rows = batch.rows(self.runs)
        runs = Counter(row.job for row in rows)
        contracts = {row.id: catalog.contract(row.contract_version_id) for row in rows}
        proposed = {(step.run_id, step.tool) for step in batch.proposals(self.runs)}
        outside = {run for run, tool in proposed if contracts[run].tool(tool) is None}
        total = sum(runs.values())
        cover = 1 - len(outside) / total if total else 0.0
        return {"runs": dict(sorted(runs.items())), "cover": round(cover, 4)}

    def steps(self) -> int:
        """Tool calls that the tower dealt with."""
        return sum(step.disposition != "" for step in batch.proposals(self.runs))


def _reviewer(approval: Any) -> Any:
    """A stand-in operator that can't log in; a second one where two people have to agree."""
    voted = {vote.user.username for vote in asked.votes_of(approval)}
    name = REVIEWER if REVIEWER not in voted else f"{REVIEWER}-2"
    user, made = get_user_model().objects.get_or_create(
        username=name, defaults={"role": Role.OPERATOR.value, "enrolled_at": timezone.now()}
    )
    if made:
        user.set_unusable_password()
        user.save()
        with transaction.atomic():
            join(REPLAY, user)
    return user


def _seconds(run: batch.StartedRun) -> float | None:
    if run.finished_at is None:
        return None
    return (run.finished_at - run.created_at).total_seconds()
