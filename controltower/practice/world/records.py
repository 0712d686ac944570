"""A company's system of record as a library: worlds, keys, previews and the ledger.

This is the service without its network. A call names a world; every world starts as the pristine
data and keeps what it changed. A mutating call that carries an idempotency key happens once: the
same call under the same key gets the stored answer again, another call under that key is refused.
A refusal changes nothing and is not stored, so ``lookup`` finds exactly the keys that had effects.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from apps.kernel.canonical import canonical_bytes
from controltower.practice.world.changes import changes
from controltower.practice.world.dialect import Dialect
from controltower.practice.world.errors import IdempotencyConflictError, ToolRefusedError
from controltower.practice.world.loading import load_world
from controltower.practice.world.state import Layer
from controltower.practice.world.storage import Effect, Storage
from controltower.practice.world.tools import call_tool, is_mutating

LIVE = "live"
CACHED_WORLDS = 2000
MAX_LEDGER_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Context:
    """What accompanies a call: which world, whose wording, and under which key and run."""

    world: str = LIVE
    dialect: Dialect = Dialect.TAU2
    key: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A tool's answer; ``result`` shares objects with the world and must not be changed."""

    result: Any
    args_digest: str
    at: str | None = None
    replayed: bool = False

    @property
    def text(self) -> str:
        """The answer as agents read it: a text as it is, anything else as JSON."""
        return self.result if isinstance(self.result, str) else json.dumps(self.result)


class SystemOfRecord:
    """One company's records in one SQLite file; safe to share between threads."""

    def __init__(self, domain: str, path: Path) -> None:
        """Open the file; raises ``PackMissingError`` without data and ``WorldError`` if in use."""
        self.domain = domain
        self._pristine = load_world(domain)
        self._storage = Storage(path, domain)
        self._worlds: OrderedDict[str, Layer] = OrderedDict()
        self._mutex = RLock()

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._storage.close()

    def call(self, tool: str, args: dict[str, Any], context: Context = Context()) -> Answer:
        """Run a tool in a world; an effect is durable before this returns.

        Raises ``ToolRefusedError`` (nothing changed) or ``IdempotencyConflictError``.
        """
        digest = args_digest(args)
        with self._mutex:
            world = self._world(context.world)
            if not is_mutating(self.domain, tool):
                return Answer(call_tool(self.domain, world, tool, args, context.dialect), digest)
            return self._answered(tool, digest, context) or self._effect(
                world, tool, args, digest, context
            )

    def preview(
        self,
        tool: str,
        args: dict[str, Any],
        context: Context = Context(),
        *,
        then: Sequence[tuple[str, dict[str, Any]]] = (),
    ) -> dict[str, Any]:
        """Say what a call would change, on a copy that is then forgotten.

        ``before`` and ``after`` hold the touched entities by table and id, ``changes`` their
        differences; ``refusal`` is the company's text when it would say no. ``then`` are calls that
        would follow: the answer's ``then`` holds the ``refusal`` of each, in their order, each made
        after those before it. Not to be changed: the entities may be the world's own.
        """
        with self._mutex:
            world = self._world(context.world)
            attempt, refusal = Layer(world), None
            try:
                call_tool(self.domain, attempt, tool, args, context.dialect)
            except ToolRefusedError as error:
                refusal, attempt = error.message, Layer(world)
            before: dict[str, Any] = {}
            after: dict[str, Any] = {}
            for table, key, entity in attempt.touched():
                after.setdefault(table, {})[key] = entity
                if key in world[table]:
                    before.setdefault(table, {})[key] = world[table][key]
            return {
                "before": before,
                "after": after,
                "changes": changes(before, after),
                "refusal": refusal,
                **self._facts(world, tool, args),
                **({"then": self._then(attempt, then, context)} if then else {}),
            }

    def _then(
        self, world: Layer, calls: Sequence[tuple[str, dict[str, Any]]], context: Context
    ) -> list[dict[str, str | None]]:
        """The refusals of calls made one after the other; ``world`` goes along with them."""
        said: list[dict[str, str | None]] = []
        for tool, args in calls:
            attempt, refusal = Layer(world), None
            try:
                call_tool(self.domain, attempt, tool, args, context.dialect)
            except ToolRefusedError as error:
                refusal = error.message
            else:
                world.absorb(attempt)
            said.append({"refusal": refusal})
        return said

    def lookup(self, key: str, world: str = LIVE) -> dict[str, Any]:
        """Say whether a key has had its effect, and with what answer."""
        with self._mutex:
            stored = self._storage.answered(world, key)
        if stored is None:
            return {"found": False, "tool": None, "result": None, "args_digest": None, "at": None}
        return {
            "found": True,
            "tool": stored.tool,
            "result": stored.result,
            "args_digest": stored.args_digest,
            "at": stored.at,
        }

    def ledger(
        self, world: str | None = None, after: int = 0, limit: int = MAX_LEDGER_PAGE
    ) -> list[dict[str, Any]]:
        """Return effects after a sequence number, oldest first, of one world or of all."""
        with self._mutex:
            return self._storage.ledger(world, after, min(limit, MAX_LEDGER_PAGE))

    def reset(self, world: str = LIVE) -> None:
        """Make a world pristine again and forget its keys; the ledger notes it and stays."""
        with self._mutex:
            self._storage.reset(
                Effect(world, None, "tower_reset", args_digest({"world": world}), _now(), None)
            )
            self._worlds.pop(world, None)

    def _answered(self, tool: str, digest: str, context: Context) -> Answer | None:
        if context.key is None:
            return None
        stored = self._storage.answered(context.world, context.key)
        if stored is None:
            return None
        if (stored.tool, stored.args_digest) != (tool, digest):
            raise IdempotencyConflictError(context.key)
        return Answer(stored.result, digest, stored.at, replayed=True)

    def _effect(
        self, world: Layer, tool: str, args: dict[str, Any], digest: str, context: Context
    ) -> Answer:
        attempt = Layer(world)
        result = call_tool(self.domain, attempt, tool, args, context.dialect)
        effect = Effect(context.world, context.key, tool, digest, _now(), context.run)
        self._storage.record(effect, result, attempt.touched())
        world.absorb(attempt)
        return Answer(result, digest, effect.at)

    def _world(self, name: str) -> Layer:
        world = self._worlds.get(name)
        if world is None:
            world = Layer(self._pristine)
            for table, key, entity in self._storage.entities(name):
                world[table].own[key] = entity
            self._worlds[name] = world
            if len(self._worlds) > CACHED_WORLDS:
                self._worlds.popitem(last=False)
        self._worlds.move_to_end(name)
        return world

    def _facts(self, world: Layer, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        module = import_module(f"controltower.practice.world.facts.{self.domain}")
        facts: Callable[..., dict[str, Any]] = module.facts
        try:
            return {"facts": facts(world, tool, args)}
        except Exception as error:
            # Whoever decides must see that nothing is known, rather than get no preview at all.
            return {"facts": {}, "facts_error": f"{type(error).__name__}: {error}"}


def args_digest(args: dict[str, Any]) -> str:
    """Return the SHA-256 of the arguments in canonical form (RFC 8785), as the tower asks for."""
    return hashlib.sha256(canonical_bytes(args)).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
