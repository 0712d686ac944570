"""What an approval is bound to: everything that would have to be asked again if it changed.

A number is bound by its value: an approval given for 1000001.0 serves for 1000001, and -0.0 is 0.
Fractions and integers beyond 2**53 - 1 are bound as their exact text under a tag, so that the
binding reads the same wherever it is kept. A key of the data that looks like a tag is escaped, so
that no two different arguments share a digest. Text is bound as it came: never normalised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.kernel.canonical import digest
from apps.kernel.exactjson import Json, check, number_text
from apps.web.domain.quantities import money_words

PURPOSE = "tower.approval.v1"
VERSION = 1
SAFE_INTEGER = 2**53 - 1
TAG = "$"


def binding(
    *,
    tool: str,
    tool_fingerprint: str,
    contract_digest: str,
    policy_digest: str,
    agent: str,
    subject: str,
    arguments: Mapping[str, Any],
    run_id: str,
    context: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """All that one action is, as JSON that PostgreSQL gives back unchanged. ``context``: what tool
    servers are told of the run beside."""
    return {
        "v": VERSION,
        "tool": tool,
        "tool_fingerprint": tool_fingerprint,
        "contract_digest": contract_digest,
        "policy_digest": policy_digest,
        "agent": agent,
        "subject": subject,
        "arguments": exact(arguments),
        "run_id": str(run_id),
        **({"context": dict(context)} if context else {}),
    }


def binding_digest(bound: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a binding. Any change in any field makes another one."""
    return digest(dict(bound), purpose=PURPOSE)


def exact(value: Any) -> Any:
    """``value`` with every number in a form that JSON can't bend. Raises ``NotCarriedError`` for
    what is no JSON value."""
    return _bound(check(value))


def _bound(value: Json) -> Any:
    if isinstance(value, dict):
        return {_escaped(key): _bound(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_bound(item) for item in value]
    if isinstance(value, float):
        return {f"{TAG}float": repr(value)}
    if isinstance(value, Decimal):
        return {f"{TAG}decimal": number_text(value)}
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        return {f"{TAG}int": str(value)}
    return value


def _escaped(key: str) -> str:
    return TAG + key if key.startswith(TAG) else key


@dataclass(frozen=True, slots=True)
class Grounds:
    """What people were shown of an action beside its binding: which rules held it, the sentence,
    how much money is at stake, and what would change in the system of record."""

    rules: frozenset[str]
    amount_cents: int | None = None
    sentence: str = ""
    changes: Any = None  # as the preview told them

    @classmethod
    def of(cls, rules: Iterable[Mapping[str, Any]], shown: Mapping[str, Any]) -> Grounds:
        """Read it off the rules of a question and what is shown of it."""
        known = rules if isinstance(rules, list | tuple) else ()
        ids = (str(rule.get("id")) for rule in known if isinstance(rule, Mapping))
        preview = shown.get("preview")
        changes = preview.get("changes") if isinstance(preview, Mapping) else None
        amount, sentence = shown.get("amount_cents"), shown.get("sentence")
        return cls(frozenset(ids), amount, str(sentence or ""), changes)

    def covers(self, now: Grounds) -> bool:
        """Whether an answer to this is one to what would be asked now: no rule holds the action
        that nobody was asked about, and what was shown is what is so."""
        return not now.rules or (now.rules <= self.rules and not self.differences(now))

    def differences(self, now: Grounds) -> list[str]:
        """What of it is another now, in words for the person who has to look again."""
        found = []
        if self.amount_cents != now.amount_cents:
            found.append(
                f"the amount was {_money(self.amount_cents)} when it was approved,"
                f" and is {_money(now.amount_cents)}"
            )
        elif self.sentence != now.sentence:
            found.append(f"what was approved read “{self.sentence}”")
        if self.changes != now.changes:
            found.append("what it would change is not what was shown")
        return found


def _money(cents: int | None) -> str:
    return "not known" if cents is None else money_words(cents)


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Which fields of two bindings differ, for the person who has to look again."""
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


FIELD_WORDS = {
    "agent": "the agent is another one",
    "arguments": "the arguments changed",
    "branches": "a change of another branch came in between",
    "context": "tool servers are told something else of the run",
    "contract_digest": "the contract changed",
    "denied": "policy denies it now, or denied it then",
    "edited": "it was edited",
    "plan": "what it makes impossible is not the same",
    "policy_digest": "the policy changed",
    "server": "the tool would be called at another address",
    "subject": "it is about somebody else",
    "tool": "it is another tool",
    "tool_fingerprint": "the tool was published anew",
    "votes": "another number of people has to agree",
    "unknown": "what nobody could say about it changed",
}
LIVE = "live"


def asked_again(
    fields: Sequence[str],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    shown: Sequence[str] = (),
) -> str:
    """Why a question is put again, for the person who was asked before: what of that which was
    ``shown`` is another now, and which ``fields`` of the binding."""
    words = [*shown] + [FIELD_WORDS[field] for field in fields if field in FIELD_WORDS]
    if LIVE in fields:
        said = " ".join(str(sentence) for sentence in new.get(LIVE) or ())
        words.append(
            f"the tool's server describes the tool otherwise than it was published ({said})"
            if said
            else "the tool's server describes the tool as it was published again"
        )
    return f"Asked again, since {'; '.join(words) or 'something about it changed'}."
