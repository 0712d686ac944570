"""The policy enforcement point: permit, hold or deny, for a whole batch in one transaction.

Policy is asked with the approvals that were really used up for exactly this action. A valid
approval is consumed in the same transaction that opens the intent it authorises, so it can't
serve twice; one that is void, expired or was given for other arguments counts as none. So does one
that was given while other things were unknown, for other rules or another amount: people answered
another question then.

What is held may be covered by a grant that two people gave before: then its question is answered as
soon as it is asked, and the answer is used up like any other.

A call that a person edited is always put to a person, as what it is now: also one that policy
permits, and one that policy denies. That one nobody can approve; it can be edited or rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from apps.kernel.transactions import participant
from apps.oversight import selectors, services
from apps.oversight.domain import editing, rules
from apps.oversight.domain.binding import Grounds, asked_again, binding_digest, changed_fields
from apps.oversight.domain.editing import EditedCall
from apps.oversight.domain.turns import PutOff
from apps.oversight.selectors import edits
from apps.policy import services as policy
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.request import Request
from apps.policy.domain.unknown import bound

ASKED_AGAIN = "asked-again"
NOT_SIGNED = (
    "Asked again, since the stored answer was not what anybody had signed. It was refused, and"
    " reported on the system page."
)
NOT_CHECKED = "Asked again, since nobody could check who had signed the answer. {why}"
NOT_THEIRS = "Asked again, since no team of {who}, who had answered, decides this any more."
DOUBT_RISK = 3  # high: a reason is asked for
EDIT_RISK = 2  # medium: what it changes has to be read


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a person has to be asked although policy may permit: a rule that is built in."""

    rule: str
    reason: str
    risk: int = DOUBT_RISK

    def shown(self) -> dict[str, Any]:
        """The doubt as a rule of the question."""
        return {"id": self.rule, "reason": self.reason, "observed": [], "roles": ["operator"]}


@dataclass(frozen=True, slots=True)
class GateRequest:
    """One step that wants to run. ``binding`` is what an approval would be bound to; ``question``
    what a person would be shown (columns of Approval); both are functions, since most steps need
    neither. ``must_hold`` and ``doubts``: what policy permits is held
    all the same, until a person has approved exactly this."""

    step_id: UUID
    run_id: UUID
    policy_slug: str
    request: Request
    binding: Callable[[], Mapping[str, Any]]
    question: Callable[[], Mapping[str, Any]]
    approval_id: UUID | None = None
    must_hold: Doubt | None = None
    doubts: Sequence[Doubt] = ()
    votes: int = 1  # that the contract wants for whatever is held
    is_undoing: Callable[[], bool] = lambda: False  # a step that undoes: it waits for no turn
    edited: EditedCall | None = None  # the gate itself finds out

    @property
    def all_doubts(self) -> list[Doubt]:
        """Every reason to ask that is not policy's."""
        edit = self.edited
        first = [Doubt(editing.RULE, edit.words, EDIT_RISK)] if edit else []
        return [*first, *([self.must_hold] if self.must_hold else []), *self.doubts]


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate says. ``approval_id``: the one consumed (permit) or opened (hold). ``later``:
    it is held, and people aren't asked yet, since its agent asks too much; it has to come again."""

    answer: str
    decision_id: UUID
    approval_id: UUID | None
    rules: Sequence[Mapping[str, Any]]
    errors: Sequence[str] = ()
    later: PutOff | None = None


@participant
def gate_batch(asks: Sequence[GateRequest]) -> list[GateDecision]:
    """Decide each ask; open an approval for each that is held, unless it has to wait for its turn.
    Answers stand in the same order."""
    asks = _with_edits(asks)
    given, again = _consume([a for a in asks if a.approval_id])
    decisions = policy.decide_batch([_asked(a, given.get(a.step_id, ())) for a in asks])
    answers = [_answer(a, d.verdict, given) for a, d in zip(asks, decisions, strict=True)]
    decided = list(zip(asks, decisions, answers, strict=True))
    later = _wait_their_turn([a for a, _, answer in decided if answer == "hold"])
    held = [(a, d) for a, d, answer in decided if answer == "hold" and a.step_id not in later]
    questions = [_question(a, d, again.get(a.step_id)) for a, d in held]
    opened = dict(zip((a.step_id for a, _ in held), services.request_batch(questions), strict=True))
    # What people were asked about before, they answer themselves.
    fresh = {opened[a.step_id]: a.request.tool for a, _ in held if a.approval_id is None}
    services.cover(fresh)
    return [
        GateDecision(
            answer=answer,
            decision_id=d.id,
            approval_id=opened.get(a.step_id)
            or (a.approval_id if a.step_id in given and answer == "permit" else None),
            rules=d.verdict.rules,
            errors=d.verdict.errors,
            later=later.get(a.step_id),
        )
        for a, d, answer in decided
    ]


def _wait_their_turn(held: Sequence[GateRequest]) -> dict[UUID, PutOff]:
    """Which of the held steps people aren't asked about yet. What they were asked about before
    waits for nothing, nor does what undoes: that is theirs, not the agent's."""
    fresh = [ask for ask in held if ask.approval_id is None and not ask.is_undoing()]
    return services.give_turns(
        [services.Asker(a.request.agent, a.run_id, a.step_id) for a in fresh]
    )


def _with_edits(asks: Sequence[GateRequest]) -> list[GateRequest]:
    """The asks, those of steps that people edited with how. Only a step that was held can be."""
    edited = edits.edited_calls([a.step_id for a in asks if a.approval_id])
    return [replace(a, edited=edited[a.step_id]) if a.step_id in edited else a for a in asks]


def _asked(ask: GateRequest, approvals: Sequence[str]) -> policy.PolicyQuery:
    request = ask.request
    if approvals:
        request = replace(request, approvals=frozenset(approvals))
    return policy.PolicyQuery(
        step_id=ask.step_id, run_id=ask.run_id, policy_slug=ask.policy_slug, request=request
    )


def _bound(ask: GateRequest, verdict: PolicyDecision) -> Mapping[str, Any]:
    """What an approval of this is bound to: the action, what nobody knew about it, who edited it,
    and that policy denies it, which no answer changes."""
    unknown, edit = verdict.unknown, ask.edited
    bound_to = {**ask.binding(), **({"unknown": bound(unknown)} if unknown else {})}
    if edit:
        denied = {"denied": True} if _is_denied(ask, verdict) else {}
        bound_to |= {"edited": edit.bound(), **denied}
    # A contract that wants one vote says no more than every question does.
    return {**bound_to, "votes": ask.votes} if ask.votes > 1 else bound_to


def _is_denied(ask: GateRequest, verdict: PolicyDecision) -> bool:
    """Whether policy denies what a person edited: it is held, so that it can be edited again."""
    return ask.edited is not None and verdict.answer == "deny"


def _answer(ask: GateRequest, verdict: PolicyDecision, given: Mapping[UUID, Sequence[str]]) -> str:
    if _is_denied(ask, verdict):
        return "hold"
    doubtful = bool(ask.all_doubts) and ask.step_id not in given
    return rules.with_doubt(verdict.answer, doubtful=doubtful)


def _consume(
    asks: Sequence[GateRequest],
) -> tuple[dict[UUID, Sequence[str]], dict[UUID, Doubt]]:
    """Use up the approvals that still hold for exactly these actions: step → roles given. And what
    changed since people were asked, where the question was about something else. The facts were
    looked at anew since: an approval is none for a rule that it was not asked for, nor for another
    amount."""
    if not asks:
        return {}, {}
    verdicts = policy.judge_batch([_asked(a, ()) for a in asks])
    asked = selectors.asked_about([a.approval_id for a in asks if a.approval_id])
    bound_to = [(a, _bound(a, v)) for a, v in zip(asks, verdicts, strict=True)]
    grounds = {a.step_id: _would_ask(a, v) for a, v in zip(asks, verdicts, strict=True)}
    pairs = [
        (a.approval_id, binding_digest(now))
        for a, now in bound_to
        if a.approval_id in asked and asked[a.approval_id].covers(grounds[a.step_id])
    ]
    votes = {
        a.approval_id: _votes(a, verdict)
        for a, verdict in zip(asks, verdicts, strict=True)
        if a.approval_id
    }
    used = services.use_batch(pairs, votes=votes)
    given = {a.step_id: used.roles[a.approval_id] for a in asks if a.approval_id in used.roles}
    left = [(a, now) for a, now in bound_to if a.step_id not in given]
    others = {
        a.step_id: asked[a.approval_id].differences(grounds[a.step_id])
        for a, _ in left
        if a.approval_id in asked and grounds[a.step_id].rules
    }
    again = _changed(left, others) if left else {}
    for ask, _ in left:
        if ask.approval_id in used.unread:
            why = used.unread[ask.approval_id]
            again[ask.step_id] = Doubt(ASKED_AGAIN, NOT_CHECKED.format(why=why))
        elif ask.approval_id in used.lapsed:
            who = used.lapsed[ask.approval_id]
            again.setdefault(ask.step_id, Doubt(ASKED_AGAIN, NOT_THEIRS.format(who=who)))
    return given, again


def _votes(ask: GateRequest, verdict: PolicyDecision) -> int:
    """How many people have to agree: as many as contract or policy wants, whichever is more."""
    return max(verdict.votes, ask.votes, 1)


def _would_ask(ask: GateRequest, verdict: PolicyDecision) -> Grounds:
    """What people would be asked now; nothing, where nothing holds it. What policy permits is held
    by a doubt alone."""
    if verdict.answer == "hold":
        return Grounds.of(_rules(ask, verdict), ask.question())
    doubts = ask.all_doubts if verdict.answer == "permit" else []
    shown = [doubt.shown() for doubt in doubts]
    return Grounds.of(shown, ask.question()) if shown else Grounds(frozenset())


def _rules(
    ask: GateRequest, verdict: PolicyDecision, again: Doubt | None = None
) -> Sequence[Mapping[str, Any]]:
    """What asks: a doubt first, then why it is asked again, then policy's rules."""
    doubts = [doubt.shown() for doubt in (*_denials(ask, verdict), *ask.all_doubts, again) if doubt]
    return [*doubts, *verdict.rules]


def _denials(ask: GateRequest, verdict: PolicyDecision) -> list[Doubt]:
    denied = _is_denied(ask, verdict)
    return [Doubt(editing.DENIED, rules.DENIED)] if denied else []


def _changed(
    left: Sequence[tuple[GateRequest, Mapping[str, Any]]], others: Mapping[UUID, Sequence[str]]
) -> dict[UUID, Doubt]:
    """What is another than when people were asked, by step; ``others`` what of that which they were
    shown."""
    ids = [a.approval_id for a, _ in left if a.approval_id]
    before, refused = services.bindings_of(ids), selectors.signature_refused(ids)
    found = {}
    for ask, now in left:
        if ask.approval_id in refused:
            found[ask.step_id] = Doubt(ASKED_AGAIN, NOT_SIGNED)
            continue
        old = before.get(ask.approval_id) if ask.approval_id else None
        if old is None or (ask.edited and ask.edited.replaced == ask.approval_id):
            continue
        fields, shown = changed_fields(old, now), others.get(ask.step_id, ())
        if fields or shown:
            found[ask.step_id] = Doubt(ASKED_AGAIN, asked_again(fields, old, now, shown))
    return found


def _question(
    ask: GateRequest, decided: policy.Decided, again: Doubt | None
) -> services.ApprovalRequest:
    verdict = decided.verdict
    return services.ApprovalRequest(
        run_id=ask.run_id,
        step_id=ask.step_id,
        decision_id=decided.id,
        binding=_bound(ask, verdict),
        risk=max(verdict.risk, *(doubt.risk for doubt in ask.all_doubts), 1),
        rules=_rules(ask, verdict, again),
        roles=verdict.roles,
        votes_required=_votes(ask, verdict),
        shown=ask.question(),
    )
