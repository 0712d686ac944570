"""What has to hold of every tower's policies, whatever they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.policy.domain.proofs.sentences import ANYBODY, NOBODY, Sentence, cedar_of

# What a second request differs in from the first.
MORE_MONEY, OTHER_AGENT, FEWER_FACTS, FEWER_APPROVALS, UNASKED_APPROVALS = TWINS = (
    "more money",
    "another agent",
    "fewer facts",
    "fewer approvals",
    "approvals that no rule asks for",
)
FAILS, IDLE = "fails", "idle"  # of a rule: it can be an error; it can never matter
KIND, AMOUNT = "facts.amount_kind", "facts.amount_cents"
VERY_LARGE = 100_000_000  # a million


def _when(**conditions: object) -> str:
    named = {key.replace("__", "."): wanted for key, wanted in conditions.items()}
    return " && ".join(cedar_of(path, wanted) for path, wanted in named.items())


DEFAULTS = (
    Sentence(
        "outside-the-contract",
        "No tool that the contract doesn't list is ever used, whoever approves",
        "all",
        "!resource.listed",
        ANYBODY,
    ),
    Sentence(
        "no-change-without-a-yes",
        "Nothing is changed without the customer's clear yes or an operator's approval",
        "changes",
        "!context.conversation.confirmed",
        "not by operator",
    ),
    Sentence(
        "nothing-irreversible-without-a-yes",
        "Nothing irreversible happens without the customer's clear yes or an operator's approval",
        "irreversible",
        "!context.conversation.confirmed",
        "not by operator",
    ),
    Sentence(
        "refusal-unknown",
        "Where it isn't known whether the company would refuse, a person decides",
        "changes",
        _when(facts__would_refuse="missing"),
        needs=("would_refuse",),
    ),
    Sentence(
        "payment-outside-the-profile",
        "No payment method outside the customer's profile is used, whoever approves",
        "changes",
        _when(facts__payment_in_profile="no"),
        ANYBODY,
        needs=("payment_in_profile",),
        always=True,
        answer="deny",
    ),
    Sentence(
        "refund-above-the-limit",
        "No refund above the policy's limit leaves without a person",
        "changes",
        _when(facts__amount_kind="refund", facts__amount_cents="above limits.refund_cents"),
        needs=("amount_kind", "amount_cents", "limits.refund_cents"),
    ),
    Sentence(
        "charge-above-the-limit",
        "No charge above the policy's limit is made without a person",
        "changes",
        _when(facts__amount_kind="charge", facts__amount_cents="above limits.charge_cents"),
        needs=("amount_kind", "amount_cents", "limits.charge_cents"),
    ),
    Sentence(
        "amount-unknown",
        "No amount that isn't known moves without a person",
        "changes",
        _when(facts__amount_cents="missing"),
        needs=("amount_cents",),
    ),
    Sentence(
        "very-large-amount",
        "Nothing above a million moves without a person, whatever it is called",
        "changes",
        _when(facts__amount_cents=f"above {VERY_LARGE}"),
        needs=("amount_cents",),
    ),
    Sentence(
        "more-money-is-never-easier",
        "A larger amount is never easier than a smaller one",
        twin=MORE_MONEY,
        needs=("amount_cents",),
    ),
    Sentence(
        "only-asked-approvals-count",
        "Only an approval that a rule asks for makes a difference",
        twin=UNASKED_APPROVALS,
    ),
    Sentence(
        "one-more-approval-is-never-harder",
        "One more approval never makes it harder",
        twin=FEWER_APPROVALS,
    ),
    Sentence("any-agent-is-judged-alike", "Who the agent is changes nothing", twin=OTHER_AGENT),
    Sentence(
        "hiding-a-fact-never-loosens",
        "A fact that is missing never lets anything through",
        twin=FEWER_FACTS,
    ),
    Sentence("no-rule-fails", "No rule can fail while it is judged", "all", twin=FAILS),
    Sentence("every-rule-can-matter", "Every rule can apply to some request", "all", twin=IDLE),
)
KNOWN = tuple(sentence.id for sentence in DEFAULTS)


def all_of(own: Iterable[Sentence]) -> list[Sentence]:
    """What has to hold of a policy: its own sentences and every tower's, of which it may waive
    some."""
    stated = list(own)
    waived = {s.id: s.waived for s in stated if s.waived}
    general: Sequence[Sentence] = DEFAULTS
    return [
        *(s for s in stated if not s.waived),
        *(_waived(s, waived[s.id]) if s.id in waived else s for s in general),
    ]


def _waived(sentence: Sentence, why: str) -> Sentence:
    return Sentence(sentence.id, sentence.says, waived=why)


__all__ = ["DEFAULTS", "KNOWN", "NOBODY", "TWINS", "all_of"]
