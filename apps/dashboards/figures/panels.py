"""The panels of the outcome page: each a figure, the table with the same numbers, and its links.

A link carries the cohort's own times and filters, so the list of runs it opens holds exactly the
runs that were counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.urls import reverse

from apps.dashboards.domain import help
from apps.dashboards.figures import plot
from apps.dashboards.figures.plot import Mark, MomentLine, Series
from apps.dashboards.figures.reading import ChartReading
from apps.dashboards.figures.table import Panel, TableCell, number
from apps.dashboards.forms import BY, address, iso
from apps.dashboards.selectors import DENY, HOLD
from apps.outcomes.domain.counting import FINISHED, TIMED, CountsAs, Share, percent, shown_as
from apps.outcomes.domain.tally import DIMENSIONS, Cell, Key, Tally, tally_by, target_of
from apps.outcomes.kpis import KPIS, EditedField
from apps.policy.domain.unknown import NAMES, SENTENCE
from apps.runs.domain.results import RunOutcome
from apps.runs.domain.states import State
from apps.web.domain.quantities import DASH, MICRO, cost_words, measured_words
from apps.web.domain.words import state_look

log = logging.getLogger(__name__)
MOST_FIELDS = 5  # of edited calls that are named

# Four told apart by colour and pattern; what is rare is named where it occurs; the rest is "other".
STACK: dict[str, tuple[str, str]] = {
    State.SUCCEEDED: ("var(--good-f)", ""),
    State.FAILED: ("var(--failed-g)", "x"),
    State.WAITING_APPROVAL: ("var(--warn-f)", "."),
    State.CONFIRMATION_UNKNOWN: ("var(--strange-f)", "\\"),
}
RARE: dict[str, tuple[str, str]] = {
    RunOutcome.HANDED_OVER: ("var(--handed-over-f)", "/"),
    State.COMPENSATED: ("var(--compensated-f)", "+"),
    State.SHED: ("var(--shed-f)", "|"),
}
# What a state alone doesn't pick out: runs that were handed over have succeeded, too.
APART: dict[str, dict[str, Any]] = {
    key: {"state": State.SUCCEEDED, "counts_as": kind}
    for key, kind in (
        (State.SUCCEEDED, CountsAs.SUCCESS),
        (RunOutcome.HANDED_OVER, CountsAs.HANDED_OVER),
    )
}
OTHER = tuple(s for s in State if s not in STACK and s not in RARE)
OTHER_LOOK = ("var(--line-strong)", "-")


def counted_url(params: Mapping[str, Any]) -> str:
    """The list of runs that KPIs count: forks are left out unless a source is asked for."""
    counted = {} if params.get("source") else {"counted": "1"}
    return address(reverse("runs:list"), {**params, **counted})


def runs_url(reading: ChartReading, **more: Any) -> str:
    """The list of exactly the runs of the query's cohort that ``more`` picks out."""
    query = reading.query
    params = {"from": iso(query.since), "to": iso(query.until), **query.cohort, **more}
    return counted_url(params)


def _bucket_words(reading: ChartReading, at: datetime) -> str:
    start, end = at.astimezone(UTC), (at + reading.query.width).astimezone(UTC)
    return f"{start:%a %d %b %H:%M} to {end:%H:%M} UTC"


def over_time(reading: ChartReading) -> Panel:
    """How many runs began and how they ended, by time."""
    panel = Panel("states", "Outcomes over time", "What became of the runs that started when?", [])
    panel.wide = True
    seen = {shown_as(cell.state, cell.outcome) for cell in reading.counts.by_bucket}
    named = STACK | {s: look for s, look in RARE.items() if s in seen}
    groups = [(str(s), (str(s),), state_look(s).word, *look) for s, look in named.items()]
    groups.append(("other", tuple(str(s) for s in OTHER), "Other", *OTHER_LOOK))
    counts = _by_bucket(
        reading.counts.by_bucket, {s: key for key, states, *_ in groups for s in states}
    )
    starts, series = reading.starts, []
    for key, states, word, color, pattern in groups:
        picked = APART.get(key, {"state": list(states)})
        values = [counts.get((at, key), 0) for at in starts]
        marks = [
            Mark(
                _bucket_url(reading, at, picked),
                f"{_bucket_words(reading, at)}: {n:,} {word.lower()}",
            )
            for at, n in zip(starts, values, strict=True)
        ]
        series.append(Series(word, color, pattern, values, marks))
    filling = reading.is_filling(starts)
    lines = _lines(reading)
    panel.changes = [line.mark for line in lines]
    panel.figure = plot.stacked_over_time(
        starts, reading.query.width, series, incomplete=filling, lines=lines
    )
    panel.columns = ["From (UTC)", *[s.name for s in series], "All"]
    for i, at in reversed(list(enumerate(starts))):
        total = sum(s.values[i] for s in series)
        if total:
            panel.rows.append(
                [
                    TableCell(f"{at.astimezone(UTC):%Y-%m-%d %H:%M}", raw=iso(at)),
                    *[number(s.values[i], href=s.marks[i].url) for s in series],
                    number(total, href=_bucket_url(reading, at, {})),
                ]
            )
    if any(filling):
        panel.note = "The last, hatched bar is still filling."
    return panel


def _by_bucket(
    cells: Sequence[Cell], group: Mapping[str, str]
) -> dict[tuple[datetime | None, str], int]:
    found: dict[tuple[datetime | None, str], int] = {}
    for cell in cells:
        key = (cell.bucket, group[shown_as(cell.state, cell.outcome)])
        found[key] = found.get(key, 0) + cell.runs
    return found


def _bucket_url(reading: ChartReading, at: datetime, picked: Mapping[str, Any]) -> str:
    query = reading.query
    since, until = max(at, query.since), min(at + query.width, query.until)
    return runs_url(reading, **{"from": iso(since), "to": iso(until), **picked})


def _lines(reading: ChartReading) -> list[MomentLine]:
    """One line a bucket in which something was published: ten in one place can't be told apart."""
    width, grouped = reading.query.width, {}
    for one in reading.publications:
        index = (one.at - reading.starts[0]) // width
        grouped.setdefault(index, []).append(one)
    lines = []
    for found in grouped.values():
        first = found[0]
        name = "catalog:job" if first.what == "contract" else "policy:detail"
        words = f"{first.what.capitalize()} {first.name} v{first.number}"
        if len(found) > 1:
            words += f" and {len(found) - 1} more"
        spoken = f"{first.at.astimezone(UTC):%a %d %b %H:%M} UTC: {words} published"
        lines.append(MomentLine(first.at, Mark(reverse(name, args=[first.name]), spoken)))
    return lines


# --- by job, contract version or agent ------------------------------------------------------------


def group_label(reading: ChartReading, key: Key) -> str:
    """How a group is called: the job's name, with its version or the agent's label."""
    if reading.query.by == "agent":
        return str(key[0])
    name = reading.job_names.get(str(key[0]), str(key[0]))
    return f"{name} v{key[1]}" if reading.query.by == "contract" else name


def group_params(reading: ChartReading, key: Key) -> dict[str, Any]:
    names = {"job_slug": "job", "contract_number": "contract", "agent_label": "agent"}
    columns = DIMENSIONS[reading.query.by]
    return {names[column]: value for column, value in zip(columns, key, strict=True)}


def _groups(reading: ChartReading) -> dict[Key, Tally]:
    return tally_by(reading.cells, lambda cell: cell.key(reading.query.by))


def _sorting(share: Share, target: float | None) -> tuple[bool, float]:
    return share.is_too_few, (share.value or 0) - (target or 0)


def success(reading: ChartReading) -> Panel:
    """Success share"""
    how = KPIS["success"].how
    by = BY[reading.query.by]
    title = f"Success against target, by {by.lower()}"
    panel = Panel("success", title, "Do they reach what the contract promises?", how)
    panel.columns = [by, "Finished", "Succeeded", "Share", "95 % interval", "Target", "Distance"]
    panel.columns.append("Handed over")
    ended = [(k, g) for k, g in _groups(reading).items() if g.finished or g.handed_over]
    found = [(key, group, target_of(group, reading.terms)) for key, group in ended]
    found.sort(key=lambda row: (*_sorting(row[1].success, row[2]), group_label(reading, row[0])))
    rows = []
    for key, group, target in found:
        if group.finished:
            rows.append(_share_row(reading, key, group.success, target))
        panel.rows.append(_share_values(reading, key, group, target))
    panel.figure = plot.shares(rows[: plot.MOST_ROWS]) if rows else None
    panel.note = _cut(len(rows))
    panel.empty = "No run of this range has finished yet."
    return panel


def _counted_url(reading: ChartReading, key: Key, *kinds: CountsAs, **more: Any) -> str:
    counted = {"counts_as": [str(kind) for kind in kinds]}
    return runs_url(reading, **counted, **group_params(reading, key), **more)


def _share_row(
    reading: ChartReading, key: Key, share: Share, target: float | None
) -> plot.ShareRow:
    label = group_label(reading, key)
    aim = f", target {percent(target)}" if target is not None else ""
    spoken = f"{label}: {share.words}{aim}, {share.successes:,} of {share.n:,} runs"
    low, high = share.interval
    return plot.ShareRow(
        label,
        f"n {share.n:,} · {share.words}",
        None if share.is_too_few else share.value,
        low,
        high,
        target,
        Mark(_counted_url(reading, key, *FINISHED), spoken),
    )


def _share_values(
    reading: ChartReading, key: Key, group: Tally, target: float | None
) -> list[TableCell]:
    params, share = group_params(reading, key), group.success
    shown = not share.is_too_few and share.value is not None
    distance = (share.value or 0) - target if shown and target is not None else None
    return [
        TableCell(group_label(reading, key), reading.query.url(**params)),
        number(share.n, href=_counted_url(reading, key, *FINISHED)),
        number(share.successes, href=_counted_url(reading, key, CountsAs.SUCCESS)),
        number(share.value if shown else None, text=share.words)
        if shown
        else TableCell(share.words),
        TableCell(share.interval_words or DASH),
        number(target, text=percent(target)) if target is not None else TableCell(DASH),
        number(distance, text=f"{distance * 100:+.0f} points")
        if distance is not None
        else TableCell(DASH),
        number(group.handed_over, href=_counted_url(reading, key, CountsAs.HANDED_OVER)),
    ]


def latency(reading: ChartReading) -> Panel:
    """Time to outcome"""
    by = BY[reading.query.by]
    title = f"Time to outcome, by {by.lower()}"
    panel = Panel("latency", title, "How long do customers wait?", KPIS["time"].how)
    panel.columns = [by, "Answered", "Median", "p95", "p95 promised", "Budget"]
    groups, rows = _groups(reading), []
    found = sorted(reading.durations.by_key.items(), key=lambda item: -(item[1].p95 or 0))
    for key, took in found:
        terms = reading.terms.get(groups[key].newest_version()) if key in groups else None
        if terms is None or took.p50 is None or took.p95 is None:
            continue
        label = group_label(reading, key)
        url = _counted_url(reading, key, *FINISHED, state=[str(s) for s in TIMED])
        spoken = (
            f"{label}: median {measured_words(took.p50)}, p95 {measured_words(took.p95)},"
            f" budget {measured_words(terms.budget_s)}, {took.n:,} runs"
        )
        late = " · over budget" if took.p95 > terms.budget_s else ""
        note = f"p95 {measured_words(took.p95)}{late}"
        mark = Mark(url, spoken)
        rows.append(plot.TimeRow(label, note, took.p50, took.p95, terms.budget_s, mark))
        panel.rows.append(
            [
                TableCell(label, reading.query.url(**group_params(reading, key))),
                number(took.n, href=url),
                *[
                    number(seconds, text=measured_words(seconds))
                    for seconds in (took.p50, took.p95, terms.p95_s, terms.budget_s)
                ],
            ]
        )
    panel.figure = plot.times(rows[: plot.MOST_ROWS]) if rows else None
    panel.note = _cut(len(rows))
    panel.empty = "No run of this range has its outcome yet."
    return panel


def usage(reading: ChartReading) -> Panel:
    """What the models of these runs used and cost."""
    by = BY[reading.query.by]
    title = f"Tokens and cost, by {by.lower()}"
    panel = Panel("usage", title, "What do the models take?", [])
    panel.columns = [by, "Runs with tokens", "Tokens in", "Tokens out", "Runs with price", "Cost"]
    found = [(k, g) for k, g in _groups(reading).items() if g.metered or g.priced]
    found.sort(key=lambda row: -(row[1].tokens_in + row[1].tokens_out))
    labels, marks = [], []
    for key, group in found:
        label, url = group_label(reading, key), runs_url(reading, **group_params(reading, key))
        cost = group.cost_microusd / MICRO if group.priced else None
        spoken = (
            f"{label}: {group.tokens_in:,} tokens in, {group.tokens_out:,} out,"
            f" {cost_words(cost) if cost is not None else 'price unknown'}"
        )
        labels.append((label, cost_words(cost) if cost is not None else "price unknown"))
        marks.append(Mark(url, spoken))
        panel.rows.append(
            [
                TableCell(label, reading.query.url(**group_params(reading, key))),
                number(group.metered, href=url),
                number(group.tokens_in),
                number(group.tokens_out),
                number(group.priced),
                number(cost, text=cost_words(cost)) if cost is not None else TableCell(DASH),
            ]
        )
    top = plot.MOST_ROWS
    if found:
        tokens_in = [g.tokens_in for _, g in found[:top]]
        tokens_out = [g.tokens_out for _, g in found[:top]]
        series = [
            Series("Tokens in", "var(--series-1)", "", tokens_in, marks[:top]),
            Series("Tokens out", "var(--series-4)", "/", tokens_out, marks[:top]),
        ]
        panel.figure = plot.bars(labels[:top], series)
    panel.note = _cut(len(found))
    panel.empty = "No run of this range called a model: reference and recorded agents use none."
    return panel


def _cut(n: int) -> str:
    if n <= plot.MOST_ROWS:
        return ""
    return f"The first {plot.MOST_ROWS} of {n} are drawn; the table has all."


# --- what went wrong, and what was stopped --------------------------------------------------------


def errors(reading: ChartReading) -> Panel:
    """The most frequent reasons why runs did not succeed."""
    panel = Panel("errors", "Why runs did not succeed", "What should be fixed first?", [])
    panel.columns = ["Outcome", "Error class", "Runs", "Share of finished"]
    finished = [cell for cell in reading.cells if cell.is_finished]
    total = sum(cell.runs for cell in finished)
    missed = [cell for cell in finished if not cell.is_success]
    found = tally_by(missed, lambda cell: (cell.outcome, cell.error_class))
    labels, values, marks = [], [], []
    for (outcome, error), group in sorted(found.items(), key=lambda row: (-row[1].runs, row[0])):
        word = state_look(outcome).word if outcome else "No outcome"
        detail = error.replace("_", " ") if error not in ("", outcome) else ""
        failed = CountsAs.FAILURE
        url = runs_url(reading, counts_as=failed, outcome=outcome, error_class=error)
        share = group.runs / total
        labels.append((word, detail or f"{percent(share)} of finished"))
        values.append(group.runs)
        said = f"{word} {detail}".strip()
        marks.append(Mark(url, f"{said}: {group.runs:,} runs, {percent(share)}"))
        panel.rows.append(
            [
                TableCell(word, raw=outcome),
                TableCell(error or DASH, raw=error),
                number(group.runs, href=url),
                number(share, text=percent(share)),
            ]
        )
    if values:
        top = plot.MOST_ROWS
        series = [Series("Runs", "var(--series-2)", "", values[:top], marks[:top])]
        panel.figure = plot.bars(labels[:top], series)
    panel.note = _cut(len(values))
    panel.empty = (
        f"All {total:,} finished runs succeeded." if total else "No run of this range has finished."
    )
    return panel


def rules(reading: ChartReading) -> Panel:
    """The rules that held or denied steps most often."""
    panel = Panel(
        "rules", "Policy: held and denied, by rule", "Which rules hold or deny most often?", []
    )
    panel.columns = ["Rule", "Why", "Runs held", "Runs denied", "Times held", "Times denied"]
    found: dict[str, dict[str, Any]] = {}
    for one in reading.rules:
        found.setdefault(one.rule, {"reason": one.reason})[one.answer] = one
    ordered = sorted(found.items(), key=lambda item: (-_runs_of(item[1]), item[0]))
    labels = []
    drawn: dict[str, tuple[list[int], list[Mark]]] = {HOLD: ([], []), DENY: ([], [])}
    for rule, answers in ordered:
        url = runs_url(reading, **({"rule": rule} if rule else {"outcome": "denied"}))
        name = NAMES.get(rule) or rule or "nothing permitted it"
        reason = SENTENCE if rule in NAMES else answers["reason"]  # each case has its own words
        labels.append((name, reason))
        for answer, verb in ((HOLD, "held"), (DENY, "denied")):
            runs = answers[answer].runs if answer in answers else 0
            drawn[answer][0].append(runs)
            drawn[answer][1].append(Mark(url, f"{name} {verb} steps of {runs:,} runs"))
        counts = [
            getattr(answers[a], unit) if a in answers else 0
            for unit in ("runs", "times")
            for a in (HOLD, DENY)
        ]
        links = [url, url, "", ""]
        values = [number(n, href=u if n else "") for n, u in zip(counts, links, strict=True)]
        panel.rows.append([TableCell(name, url, rule), TableCell(reason or DASH), *values])
    if ordered:
        top = plot.MOST_ROWS
        series = [
            Series("Held for a person", "var(--warn-f)", ".", *_first(drawn[HOLD], top)),
            Series("Denied", "var(--failed-g)", "x", *_first(drawn[DENY], top)),
        ]
        panel.figure = plot.bars(labels[:top], series)
    panel.note = _cut(len(ordered))
    panel.empty = "No rule held or denied anything in this range."
    return panel


def _runs_of(answers: Mapping[str, Any]) -> int:
    return sum(answers[a].runs for a in (HOLD, DENY) if a in answers)


def _first(drawn: tuple[list[int], list[Mark]], n: int) -> tuple[list[int], list[Mark]]:
    return drawn[0][:n], drawn[1][:n]


def approvals(reading: ChartReading) -> Panel:
    """How questions to people were answered, and how fast."""
    panel = Panel("approvals", "Approvals: from question to answer", "What do people decide?", [])
    panel.columns = ["Step", "Questions", "Share of asked"]
    human = reading.human
    if not human.asked:
        panel.empty = "No run of this range asked a person."
        return panel
    steps = [
        ("Asked", human.asked, "var(--series-1)", "any"),
        ("Approved", human.approved, "var(--good-f)", "approved"),
        ("Rejected", human.rejected, "var(--failed-g)", "rejected"),
        ("Expired", human.expired, "var(--line-strong)", "expired"),
        ("Void", human.void, "var(--line-strong)", "void"),
        ("Still waiting", human.pending, "var(--warn-f)", "pending"),
    ]
    labels, marks = [], []
    for name, n, _, state in steps:
        url, share = runs_url(reading, approval=state), percent(n / human.asked)
        labels.append((name, f"{share} of asked" if state != "any" else "by policy"))
        marks.append(Mark(url, f"{name}: {n:,} questions, {share} of asked"))
        panel.rows.append(
            [TableCell(name), number(n, href=url), number(n / human.asked, text=share)]
        )
    panel.figure = plot.bars(labels, [Series("Questions", "", "", [s[1] for s in steps], marks)])
    bar = panel.figure["data"][0]["marker"]
    bar["color"] = [s[2] for s in steps]
    bar["pattern"]["shape"] = ["", "", "x", "-", "-", "."]
    bar["line"]["color"] = bar["color"]
    panel.facts = [
        ("Waiting, median", measured_words(human.wait_p50_s)),
        ("Waiting, p95", measured_words(human.wait_p95_s)),
        ("Dwell, median", measured_words(human.dwell_p50_s)),
        ("Reversed", f"{human.reversed:,}: {human.taken_back:,} in time, {human.undone:,} after"),
        ("Edited before", f"{human.edited:,} of {human.held:,} calls"),
        *(
            (f"Edited: {f.tool} {f.name}"[:80], _share(f))
            for f in human.edited_fields[:MOST_FIELDS]
        ),
    ]
    return panel


def _share(field: EditedField) -> str:
    return f"{field.edited:,} of {field.held:,} ({percent(field.edited / field.held)})"


Builder = Callable[[ChartReading], Panel]
PANELS: dict[str, tuple[str, Builder]] = {
    "states": ("Outcomes over time", over_time),
    "success": ("Success against target", success),
    "latency": ("Time to outcome", latency),
    "errors": ("Why runs did not succeed", errors),
    "rules": ("Policy: held and denied, by rule", rules),
    "approvals": ("Approvals: from question to answer", approvals),
    "usage": ("Tokens and cost", usage),
}


def build(key: str, reading: ChartReading) -> Panel:
    """One panel; whatever goes wrong in it stays in it."""
    title, builder = PANELS[key]
    try:
        panel = builder(reading)
    except Exception:
        log.exception("The panel %s of the outcome page failed", key)
        return Panel(key, title, "", [], failed=True)
    panel.how = panel.how or list(help.PANELS[key])
    panel.csv = reading.query.csv_url(key)
    return panel
