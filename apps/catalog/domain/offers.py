"""The tools that a server lists, as somebody picks some of them for the catalog.

What the server says of a tool is shown and never taken for true: a tool is picked only with a
person's own word on what a call does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.catalog.domain.checks import SHAPES, shape_problem
from apps.catalog.domain.contract_schema import MOST_OF_NAME
from apps.catalog.domain.drift import served_digest
from apps.catalog.domain.entries import name_problem
from apps.catalog.domain.entrydiff import IDEMPOTENCY
from apps.catalog.domain.served import ServedTool, ServedTools
from apps.kernel.schemas import schema_problems
from apps.policy.domain.effects import EFFECTS

HINTED = {
    "readOnlyHint": ("reads only", "changes something"),
    "destructiveHint": ("may destroy", "destroys nothing"),
    "idempotentHint": ("may be sent again", "must not be sent again"),
}


@dataclass(frozen=True, slots=True)
class Pick:
    """What a person says of one tool."""

    is_picked: bool = False
    effect: str = ""
    idempotency: str = "none"
    preview: str = ""
    lookup: str = ""
    digest: str = ""  # of what the server said when they chose


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """One tool that the server lists. ``why_not``: why it can't be picked."""

    tool: ServedTool
    why_not: str = ""
    choice: Pick = Pick()
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return served_digest(self.tool.document())

    @property
    def hints(self) -> str:
        """What the server says that the tool does, in words."""
        stated = self.tool.hints
        return ", ".join(
            yes if stated[key] else no for key, (yes, no) in HINTED.items() if key in stated
        )

    def entry(self) -> dict[str, Any]:
        """The tool's first text: what the person said, and the server's schema."""
        chosen = {
            "name": self.tool.name,
            "effect": self.choice.effect,
            "idempotency": self.choice.idempotency,
            "preview": self.choice.preview,
            "lookup": self.choice.lookup,
            "input_schema": dict(self.tool.input_schema),
        }
        return {key: value for key, value in chosen.items() if value != ""}


def helpers(listing: ServedTools, key: str) -> list[str]:
    """The tools that could be asked as a preview or look-up."""
    return [name for name, tool in listing.tools.items() if not tool.problem and _can_be(tool, key)]


def _can_be(tool: ServedTool, key: str) -> bool:
    named = tool.input_schema.get("properties")
    is_named = isinstance(named, Mapping) and all(argument in named for argument in SHAPES[key])
    return is_named and not shape_problem(tool.input_schema, SHAPES[key])


def rows(
    listing: ServedTools, taken: frozenset[str], choices: Mapping[str, Pick] | None = None
) -> list[OfferedTool]:
    """Every tool of a server, with what somebody chose and what is wrong with it."""
    choices = {} if choices is None else choices
    out = []
    for name, tool in listing.tools.items():
        why_not = _why_not(tool, listing, taken)
        choice = choices.get(name, Pick())
        row = OfferedTool(tool, why_not, choice)
        out.append(OfferedTool(tool, why_not, choice, _errors(row, listing)))
    return out


def _why_not(tool: ServedTool, listing: ServedTools, taken: frozenset[str]) -> str:
    if tool.name in taken:
        return "It is in the catalog already."
    if tool.problem:
        return f"What the server says of it can't be read: {tool.problem}"
    if tool.name in listing.twice:
        return "The server lists it twice: nobody can tell which is called."
    if len(tool.name) > MOST_OF_NAME:
        return f"Its name is longer than {MOST_OF_NAME} characters."
    if problem := name_problem(tool.name):
        return problem
    if unusable := schema_problems(dict(tool.input_schema), of_object=True):
        return f"Its schema can't be used: {unusable[0]}"
    return ""


def _errors(row: OfferedTool, listing: ServedTools) -> dict[str, str]:
    choice = row.choice
    if not choice.is_picked:
        return {}
    stale = "The server describes it otherwise now than when you chose. Look again."
    said = {
        "pick": row.why_not or ("" if choice.digest == row.digest else stale),
        "effect": _effect_problem(row),
        "idempotency": "" if choice.idempotency in IDEMPOTENCY else "Choose one.",
        **{key: _helper_problem(choice, key, listing) for key in ("preview", "lookup")},
    }
    return {key: words for key, words in said.items() if words}


def _effect_problem(row: OfferedTool) -> str:
    if row.choice.effect not in EFFECTS:
        return "Say what a call does."
    hints = row.tool.hints
    changes = hints.get("readOnlyHint") is False or hints.get("destructiveHint") is True
    if row.choice.effect == "read" and changes and hints.get("readOnlyHint") is not True:
        return "The server says that it changes something: it can't be taken as a read."
    return ""


def _helper_problem(choice: Pick, key: str, listing: ServedTools) -> str:
    named = getattr(choice, key)
    if named and named not in helpers(listing, key):
        return f"“{named}” can't be asked that."
    if key == "lookup" and not named and choice.idempotency == "lookup":
        return "Choose the tool that says whether a call was carried out."
    return ""
