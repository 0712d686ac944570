"""Show a scorecard, and ask the outside witness: the ledgers of the tool services."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from apps.calls.domain.retry import Ending
from apps.calls.executor import ToolClient
from apps.ops.selectors import batch
from apps.policy import selectors as decided
from apps.policy import services as policy
from controltower.practice.replay.running import Replay
from controltower.practice.replay.scoring import LABELS, OUTCOMES, Played, labelled

CURVE_POINTS = 12


def witness(replay: Replay, ledgers: Mapping[str, str]) -> dict[str, int]:
    """Effects that the tool services really carried out in this replay's worlds, and how many of
    them share an idempotency key with an earlier one: there must be none. ``ledgers`` names the
    tool of each domain that tells; without one, nobody can say."""
    rows = [row for row in batch.rows(replay.runs) if row.domain in ledgers]
    return asyncio.run(_count([(row.domain, row.context["world"]) for row in rows], ledgers))


async def _count(worlds: Sequence[tuple[str, str]], ledgers: Mapping[str, str]) -> dict[str, int]:
    entries: list[Mapping[str, Any]] = []
    async with ToolClient() as tools:
        for number, (domain, world) in enumerate(worlds):
            answer = await tools.call(
                domain,
                ledgers[domain],
                {"world": world},
                meta={},
                call_id=f"witness-{number}",
                timeout_s=30,
            )
            if answer.ending is not Ending.ANSWERED:
                raise RuntimeError(f"the ledger of {domain} can't be read: {answer.error}")
            entries += answer.data["entries"]
    keys = Counter((e["world"], e["key"]) for e in entries if e.get("key"))
    return {"effects": len(entries), "duplicates": sum(n - 1 for n in keys.values())}


def curves(replay: Replay, played: Sequence[Played]) -> list[dict[str, Any]]:
    """Wrong stopped against right held while the policies' limits are scaled: each recorded
    decision request is judged again by the decision point itself. Nothing is run again."""
    labels = _labels(replay, played)
    points = []
    for at in range(CURVE_POINTS):
        factor = 2.0 ** (at - CURVE_POINTS // 2)
        answers = policy.rejudge(list(labels), limit_factor=factor)
        points.append({"limit_factor": factor, **_point(labels, answers)})
    return points


def _labels(replay: Replay, played: Sequence[Played]) -> dict[Any, str]:
    wanted = {
        (p.episode["episode_id"], str(index)): step["gt"]
        for p in played
        for index, step in labelled(p.episode)
    }
    refs = {run: episode["episode_id"] for run, episode in replay.runs.items()}
    labels = {
        step.step_id: wanted.get((refs[step.run_id], step.ref))
        for step in batch.proposals(replay.runs)
        if step.gate
    }
    first = decided.first_decisions([step for step, label in labels.items() if label])
    return {decision: str(labels[step]) for step, decision in first.items()}


def _point(labels: Mapping[Any, str], answers: Mapping[Any, str]) -> dict[str, float]:
    tally: Counter[tuple[str, bool]] = Counter()
    for decision, label in labels.items():
        tally[(label, answers.get(decision) in {"hold", "deny"})] += 1
    share = lambda label: round(  # noqa: E731
        tally[(label, True)] / max(1, tally[(label, True)] + tally[(label, False)]), 4
    )
    return {"wrong_stopped": share("extra"), "right_held": share("match")}


def show(card: Mapping[str, Any], out: Any) -> None:
    """The scorecard as a person reads it."""
    console = Console(file=out, width=110)
    table = Table(title="Recorded mutations: what became of them")
    table.add_column("label")
    for outcome in OUTCOMES:
        table.add_column(outcome, justify="right")
    for label in LABELS:
        table.add_row(label, *(str(card["mutations"][label][o]) for o in OUTCOMES))
    console.print(table)
    console.print(_by_domain(card["by_domain"]))
    stopping, repeats, ledger = card["stopping"], card["repeats"], card["ledger"]
    console.print(
        f"{card['episodes']} episodes, {card['steps']} steps in {card['seconds']:.1f} s"
        f" ({card['steps_per_second']:.1f} steps/s); a run took"
        f" {card['run_seconds']['p50']:.2f} s (p50), {card['run_seconds']['p95']:.2f} s (p95).\n"
        f"Stopping: precision {stopping['precision']:.1%}, recall {stopping['recall']:.1%}."
        f" Exact repeats: {repeats['total']}, deduplicated {repeats['deduplicated']}."
        f" Witness: {ledger['effects']} effects, {ledger['duplicates']} doubled.\n"
        f"Runs: {card['runs']}. Not reached: {card['not_reached']}.\n"
        f"Jobs, told from the customer's request: {card['jobs']['runs']};"
        f" {card['jobs']['cover']:.1%} of the runs stay within their job's tools."
    )
    for point in card.get("curve", ()):
        bar = "█" * round(point["wrong_stopped"] * 40)
        console.print(
            f"limits x {point['limit_factor']:<8g} wrong stopped {point['wrong_stopped']:6.1%}"
            f"  right held {point['right_held']:6.1%} {bar}"
        )


def _by_domain(domains: Mapping[str, Any]) -> Table:
    """Each domain twice: with each change counted once, and as often as it was proposed."""
    table = Table(title="By domain")
    numbers = ("mutations", "wrong stopped", "right held", "right denied")
    for name in ("domain", "counted", *numbers):
        table.add_column(name, justify="right" if name in numbers else "left")
    for domain, row in domains.items():
        for counted, shares in (("distinct changes", row["distinct"]), ("every proposal", row)):
            values = (f"{shares[k]:.1%}" for k in ("wrong_stopped", "right_held", "right_denied"))
            table.add_row(domain, counted, str(shares["mutations"]), *values)
    return table
