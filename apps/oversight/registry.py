"""What apps on higher floors know or do of what is decided: who is a party to it, what became of
it, and who proposes an edited call anew. Each names its functions when it is ready."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string

Parties = Callable[[Any], Mapping[str, str]]  # of an approval: user name → what they had in it
Outcomes = Callable[[Collection[UUID]], Mapping[UUID, str]]  # of steps: a state's name
# Of an approval and what was edited: the arguments as they are kept.
Proposer = Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
GrantBar = Callable[[Any], str]  # of an approval

_sources: dict[str, None] = {}
_proposers: dict[str, None] = {}
_outcomes: dict[str, None] = {}
_bars: dict[str, None] = {}


def propose_edits_by(path: str) -> None:
    """Have this participant, given by dotted path, propose edited calls anew: it makes the step of
    an approval propose these arguments and be judged as any proposal. It raises InvalidInputError
    for what doesn't fit the tool, and ConflictError if the step waits for that answer no more."""
    _proposers[path] = None


def propose_anew(approval: Any, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have the step of an approval propose these arguments instead. Returns them as they are kept:
    without what the contract hides."""
    for path in _proposers:
        proposer: Proposer = import_string(path)
        arguments = proposer(approval, arguments)
    return arguments


def add_parties(*paths: str) -> None:
    """Ask these functions, given by dotted path, who is a party to an approval. What they say of
    somebody ends the sentence "You can't approve this: you …"."""
    _sources.update(dict.fromkeys(paths))


def parties_to(approval: Any) -> dict[str, str]:
    """Everybody whose approval wouldn't be a second person's, with what they had in it."""
    found: dict[str, str] = {}
    for path in _sources:
        source: Parties = import_string(path)
        for name, had in source(approval).items():
            found.setdefault(name, had)
    return found


def add_outcomes(*paths: str) -> None:
    """Ask these functions, given by dotted path, what became of steps that people decided about: a
    state that pages know (``web.domain.words``)."""
    _outcomes.update(dict.fromkeys(paths))


def outcomes_of(step_ids: Collection[UUID]) -> dict[UUID, str]:
    """What became of these steps, as far as anybody knows."""
    found: dict[UUID, str] = {}
    for path in _outcomes if step_ids else ():
        source: Outcomes = import_string(path)
        found |= source(step_ids)
    return found


def add_grant_bars(*paths: str) -> None:
    """Ask these functions, given by dotted path, why no grant may answer an approval: a sentence,
    or nothing."""
    _bars.update(dict.fromkeys(paths))


def why_never_granted(approval: Any) -> str:
    """Why a person has to answer it, as far as any app knows; nothing if a grant may."""
    for path in _bars:
        bar: GrantBar = import_string(path)
        if why := bar(approval):
            return why
    return ""
