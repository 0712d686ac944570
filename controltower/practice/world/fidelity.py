"""Replay recorded episodes against this library and say how many answers come out equal.

``python -m controltower.practice.world.fidelity FILE...`` replays every tool call an agent made in
the ``episodes_*.jsonl.gz`` files given, each episode from the pristine data, and prints the share
of equal answers and every other call with the reason. Calls that the recording itself shows as
never having reached the tool (an injected ``503 Service Unavailable``) are counted apart.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controltower.practice.world.changes import changes
from controltower.practice.world.dialect import Dialect
from controltower.practice.world.errors import ToolRefusedError
from controltower.practice.world.loading import load_world
from controltower.practice.world.state import Layer, Tables
from controltower.practice.world.tools import call_tool

SHARE_REQUIRED = 0.99
UNAVAILABLE = "Error: 503 Service Unavailable"
VALIDATION_LINK = re.compile(r"https://errors\.pydantic\.dev/[\d.]+/")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recorded call and what became of it: ``equal``, ``not_answered`` or ``different``."""

    episode_id: str
    step: int
    tool: str
    verdict: str
    recorded: Any
    replayed: Any
    reason: str = ""


def replay_file(path: Path) -> Iterator[Outcome]:
    """Replay a file of episodes, in order."""
    pristine: dict[str, Tables] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            episode = json.loads(line)
            domain = episode["domain"]
            if domain not in pristine:
                pristine[domain] = load_world(domain)
            yield from replay_episode(episode, Layer(pristine[domain]))


def replay_episode(episode: dict[str, Any], world: Layer) -> Iterator[Outcome]:
    """Replay one episode's calls against a world that starts pristine."""
    dialect = Dialect.of_suite(episode["suite"])
    for step in episode["steps"]:
        if step["role"] != "tool" or step["actor"] != "agent":
            continue
        recorded = step["result"]
        if recorded == UNAVAILABLE:
            yield _outcome(episode, step, "not_answered", None, "injected 503 in the recording")
            continue
        replayed = answer(episode["domain"], world, step["tool"], step["args"], dialect)
        equal = comparable(replayed) == comparable(recorded)
        reason = "" if equal else explain(recorded, replayed)
        yield _outcome(episode, step, "equal" if equal else "different", replayed, reason)


def answer(domain: str, world: Layer, tool: str, args: dict[str, Any], dialect: Dialect) -> Any:
    """Call a tool as a recording harness does: a refusal becomes a text starting ``Error:``."""
    attempt = Layer(world)
    try:
        result = call_tool(domain, attempt, tool, args, dialect)
    except ToolRefusedError as refusal:
        return f"Error: {refusal.message}"
    world.absorb(attempt)
    return result


def comparable(value: Any) -> Any:
    """Return what two answers are compared by: JSON values, versions of a link left out."""
    if isinstance(value, str):
        return VALIDATION_LINK.sub("https://errors.pydantic.dev/", value)
    return json.loads(json.dumps(value))


def explain(recorded: Any, replayed: Any) -> str:
    """Say in one line where two answers part."""
    parts = [
        f"{change['path'] or 'answer'}: recorded {change['before']!r}, replayed {change['after']!r}"
        for change in changes(recorded, replayed)
    ]
    return "; ".join(parts)[:600]


def equal_share(outcomes: Sequence[Outcome]) -> float:
    """Return the share of equal answers among the calls that reached the tool."""
    answered = [outcome for outcome in outcomes if outcome.verdict != "not_answered"]
    equal = sum(outcome.verdict == "equal" for outcome in answered)
    return equal / len(answered) if answered else 0.0


def report(outcomes: Sequence[Outcome]) -> str:
    """Word the result of a replay for people."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    answered = counts["equal"] + counts["different"]
    lines = [
        f"{len(outcomes)} recorded calls, {counts['not_answered']} never reached the tool (503), "
        f"{answered} answered: {counts['equal']} equal = {equal_share(outcomes):.2%}"
    ]
    lines += [
        f"  {outcome.episode_id} step {outcome.step} {outcome.tool}: {outcome.reason}"
        for outcome in outcomes
        if outcome.verdict == "different"
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Replay the files named and print a report for each; 1 when one has too few equal answers."""
    parser = argparse.ArgumentParser(prog="python -m controltower.practice.world.fidelity")
    parser.add_argument("files", nargs="+", type=Path, help="episodes_*.jsonl.gz")
    code = 0
    for path in parser.parse_args(argv).files:
        outcomes = list(replay_file(path))
        sys.stdout.write(f"{path.name}: {report(outcomes)}\n")
        if equal_share(outcomes) < SHARE_REQUIRED:
            code = 1
    return code


def _outcome(
    episode: dict[str, Any], step: dict[str, Any], verdict: str, replayed: Any, reason: str
) -> Outcome:
    return Outcome(
        episode["episode_id"], step["i"], step["tool"], verdict, step["result"], replayed, reason
    )


if __name__ == "__main__":
    sys.exit(main())
