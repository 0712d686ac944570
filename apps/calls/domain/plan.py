"""Look ahead: would a later change of the same plan be refused because of the one at hand?

A plan is what already stands in a run's script: the calls that a script brought along, or the rest
of a live model's turn. Its changes are previewed in sequence by the tool server's own dry run, once
with the change at hand and once without. A change that is refused with it, and not without it, is
one that it makes impossible: a clash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.calls.domain.script import ToolCall, follow
from apps.kernel.trouble import storable

RULE = "plan-clash"
MOST_AHEAD = 10  # later changes that are looked at
MOST_TOLD = 3
REFUSAL_CHARACTERS = 500
NOT_ANSWERED = "Whether later changes of the plan would still be possible is not known: {why}."
NOT_ANSWERED_IN_FORM = "the dry run didn't answer for each of them"


@dataclass(frozen=True, slots=True)
class Later:
    """A change that stands in the plan. ``digest`` is that of its arguments."""

    tool: str
    arguments: Mapping[str, Any]
    digest: str
    sentence: str

    def asked(self) -> dict[str, Any]:
        """As a dry run is asked for it."""
        return {"tool": self.tool, "args": dict(self.arguments)}


@dataclass(frozen=True, slots=True)
class Clash:
    """A later change that becomes impossible. ``is_sure``: it is known to be possible without the
    change at hand."""

    later: Later
    refusal: str
    is_sure: bool

    def kept(self) -> dict[str, Any]:
        """As it is kept with the preview."""
        return {
            "tool": self.later.tool,
            "digest": self.later.digest,
            "sentence": self.later.sentence,
            "refusal": self.refusal,
            "is_sure": self.is_sure,
        }


def calls_ahead(
    items: Sequence[Mapping[str, Any]], cursor: int, *, up_to_hear: bool
) -> Iterator[ToolCall]:
    """The calls that stand in a script from ``cursor`` on; with ``up_to_hear`` only those before
    the customer's next words, which a recording knows and the agent did not."""
    while cursor < len(items):
        turn = follow(items, cursor)
        heard = any(role == "customer" for role, _ in turn.messages)
        if turn.call is None or (heard and up_to_hear):
            return
        yield turn.call
        cursor = turn.cursor


def refusals(answer: Any, count: int) -> list[str | None] | None:
    """What a dry run said of ``count`` later changes: the words of each that would be refused,
    ``None`` for one that would not. ``None`` if it didn't answer for each of them."""
    said = answer.get("then") if isinstance(answer, Mapping) else None
    if not isinstance(said, list) or len(said) != count:
        return None
    found = []
    for one in said:
        if not isinstance(one, Mapping) or "refusal" not in one:
            return None
        found.append(_words(one["refusal"]))
    return found


def without(answer: Any, count: int) -> list[str | None] | None:
    """The same of a dry run that was asked for the first of them, and then for the others."""
    if not isinstance(answer, Mapping) or "refusal" not in answer:
        return None
    rest = refusals(answer, count - 1) if count > 1 else []
    return None if rest is None else [_words(answer["refusal"]), *rest]


def clashes(
    later: Sequence[Later],
    after_it: Sequence[str | None],
    without_it: Sequence[str | None] | None,
) -> list[Clash]:
    """Those that are refused after the change at hand and would not be without it; all that are
    refused after it where nobody could say what would be without it."""
    return [
        Clash(one, said, without_it is not None)
        for i, (one, said) in enumerate(zip(later, after_it, strict=True))
        if said is not None and (without_it is None or without_it[i] is None)
    ]


def question(kept: Sequence[Mapping[str, Any]]) -> str:
    """What a person is asked about clashes as they are kept with a preview."""
    told = [f"“{c['sentence']}” would then be refused ({c['refusal']})" for c in kept[:MOST_TOLD]]
    more = f"; and {len(kept) - MOST_TOLD} more" if len(kept) > MOST_TOLD else ""
    sure = all(c["is_sure"] for c in kept)
    which = "another change" if len(kept) == 1 else "other changes"
    why = "" if sure else " Whether it would be possible without this one could not be found out."
    return (
        f"This makes {which} of the same plan impossible: {'; '.join(told)}{more}.{why}"
        " Approve if this one comes first all the same; reject if it should not stand in their way."
    )


def bound(kept: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What an approval is bound to: the changes that it makes impossible."""
    return [[str(c["tool"]), str(c["digest"])] for c in kept]


def _words(refusal: Any) -> str | None:
    if refusal is None or refusal is False or refusal == "":
        return None
    text = refusal if isinstance(refusal, str) else "it gave no words"
    return storable(text[:REFUSAL_CHARACTERS])
