"""What a tool does to the world: the four classes, and the two sets of them that rules mean."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    READ = "read"  # changes nothing
    DRAFT = "draft"  # leaves something that only counts once somebody confirms it
    WRITE = "write"  # changes a record; another call may undo it
    IRREVERSIBLE = "irreversible"  # changes what no call undoes


# The one meaning of “mutating”: such a call takes an idempotency key and the right to make its
# change, is never repeated while it may have happened, and is what undoing undoes.
MUTATING = frozenset({Effect.WRITE, Effect.IRREVERSIBLE})
# Whatever leaves something behind, drafts too: what policies are asked about anew, and count.
CONSEQUENTIAL = frozenset(Effect) - {Effect.READ}
EFFECTS = tuple(effect.value for effect in Effect)
