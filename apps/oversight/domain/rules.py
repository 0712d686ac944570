"""Who may answer a question, when, and what the answers add up to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.oversight.domain import reasons

LEASE = timedelta(minutes=5)
HIGH = 3
DECISIONS_AN_HOUR = 30
REASON_MOST = 2000
DENIED = (
    "Policy denies this call as it was edited, so nobody can approve it. Edit it, or reject it."
)


@dataclass(frozen=True, slots=True)
class ApprovalStatus:
    """An approval as it stands at one moment of the database's clock."""

    state: str
    digest: str
    risk: int
    roles: tuple[str, ...]
    votes_required: int
    expires_at: datetime
    ends_at: datetime | None = None  # where it outlives its window: when nobody may answer any more
    claimed_by: int | None = None
    claimed_until: datetime | None = None
    approved_by: tuple[int, ...] = ()
    # Who must not approve it, with what they had in it: "asked for this undo".
    parties: Mapping[int, str] = field(default_factory=dict)
    denied: bool = False  # policy denies the call as it was edited
    stood_in_for: frozenset[int] = frozenset()  # in whose stead whoever answers is there now
    outside: str = ""  # why no team of whoever answers decides it

    @property
    def until(self) -> datetime:
        """The last moment: that of the window, or a later one."""
        return self.ends_at or self.expires_at


@dataclass(frozen=True, slots=True)
class ProposedVote:
    """What one person wants to say."""

    user_id: int
    role: str
    approve: bool
    reason: str
    digest: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer does not count: a stable code and a sentence."""

    code: str
    sentence: str


def word_of(state: str) -> str:
    """How an answer is spoken of: one that can be taken back is given all the same."""
    return "approved" if state == "granted" else state


def needs_reason(*, approve: bool, risk: int) -> bool:
    """A rejection always says why; an approval does from High up."""
    return not approve or risk >= HIGH


def may_decide(role: str, roles: Collection[str]) -> bool:
    """Whether the question was put to people of this role. Agents have none."""
    return role in (roles or ("operator",))


def is_claimed_by_other(standing: ApprovalStatus, user_id: int, now: datetime) -> bool:
    """Whether somebody else holds a live claim. That of somebody who is away is open to whoever
    stands in."""
    return (
        standing.claimed_by is not None
        and standing.claimed_by not in {user_id, *standing.stood_in_for}
        and standing.claimed_until is not None
        and standing.claimed_until > now
    )


def refusal(standing: ApprovalStatus, answer: ProposedVote, now: datetime) -> Refusal | None:
    """The first reason for which this answer can't count, or nothing."""
    if refused := not_open_to(standing, answer, now):
        return refused
    if answer.approve and standing.denied:
        return Refusal("denied", DENIED)
    if refused := _is_no_second_person(standing, answer):
        return refused
    if needs_reason(approve=answer.approve, risk=standing.risk) and not answer.reason.strip():
        word = "approve at this risk" if answer.approve else "reject"
        return Refusal("reason", f"Say why: a reason is needed to {word}.")
    return _says_too_little(standing, answer)


def not_open_to(standing: ApprovalStatus, answer: ProposedVote, now: datetime) -> Refusal | None:
    """Why the question is not open to this person now, whatever they would say; nothing if it is.

    A question that is gone comes first: no other fault matters to somebody who was too late."""
    if standing.state == "expired" or (standing.state == "pending" and now >= standing.until):
        return Refusal("expired", "The time to decide has run out, so nothing will be carried out.")
    if standing.state != "pending":
        return Refusal("decided", f"This was {word_of(standing.state)} meanwhile.")
    if answer.digest != standing.digest:
        return Refusal("digest", "The request changed since you opened it. Review it again.")
    if not may_decide(answer.role, standing.roles):
        asked = " or ".join(standing.roles) or "operator"
        return Refusal("role", f"Only {asked} may decide this.")
    if standing.outside:
        return Refusal("team", standing.outside)
    if is_claimed_by_other(standing, answer.user_id, now):
        return Refusal(
            "claimed",
            "Somebody else has claimed it. Take over the claim, with a reason, to decide.",
        )
    return None


def why_no_edit(standing: ApprovalStatus, answer: ProposedVote, now: datetime) -> Refusal | None:
    """Why this person can't edit the call now, with this reason; nothing if they can. Whoever can't
    approve it may: an edit lets nothing run."""
    if refused := not_open_to(standing, answer, now):
        return refused
    if not answer.reason.strip():
        return Refusal("reason", "Say why you change it: the next person and the agent read it.")
    return _says_too_little(standing, answer)


def _says_too_little(standing: ApprovalStatus, answer: ProposedVote) -> Refusal | None:
    """From high risk up a reason says something about the case."""
    why = reasons.fault(answer.reason) if standing.risk >= HIGH else ""
    return Refusal("reason", why) if why else None


def _is_no_second_person(standing: ApprovalStatus, answer: ProposedVote) -> Refusal | None:
    if answer.approve and (had := standing.parties.get(answer.user_id)):
        return Refusal("party", party_words(had))
    if answer.user_id in standing.approved_by:
        return Refusal("voted", "You have voted; the next vote has to be another person's.")
    return None


def party_words(had: str) -> str:
    """Why somebody can't approve, though their role may. To reject is open to them."""
    return f"You can't approve this: you {had}. Another person has to; you can reject it."


def outcome(standing: ApprovalStatus, answer: ProposedVote) -> str:
    """The state after this answer: one rejection ends it, approvals must be enough."""
    if not answer.approve:
        return "rejected"
    voters = (*standing.approved_by, answer.user_id)
    return "approved" if is_enough(voters, wanted=(standing.votes_required,)) else "pending"


def is_enough(voters: Iterable[int], *, wanted: Iterable[int]) -> bool:
    """Whether as many different people agree as whoever wants the most of them wants."""
    return len(set(voters)) >= max(1, *wanted)


def asks_parties_again(*, risk: int, votes: int) -> bool:
    """Whether it is looked up once more, when an answer is used, who had a part in what was
    decided: from High up, or where one person is not enough."""
    return risk >= HIGH or votes > 1


def with_doubt(answer: str, *, doubtful: bool) -> str:
    """Policy's answer, but a doubt that nobody has settled yet holds what policy permits. It never
    turns a denial into a question."""
    return "hold" if doubtful and answer == "permit" else answer


def is_hurried(decisions_last_hour: int) -> bool:
    """Whether somebody decides faster than a person can look."""
    return decisions_last_hour > DECISIONS_AN_HOUR


def approve_label(sentence: str, most: int = 72) -> str:
    """The words of the button: the consequence, never a bare "OK"."""
    short = sentence if len(sentence) <= most else sentence[: most - 1].rstrip() + "…"
    return f"Approve: {short}"
