"""Figures: nothing from data is markup, rules for charts hold, exports are harmless."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.dashboards.figures import panels, plot
from apps.dashboards.figures.export import as_csv, defused
from apps.dashboards.figures.panels import PANELS, build
from apps.dashboards.figures.reading import ChartReading
from apps.dashboards.figures.table import Panel, TableCell
from apps.dashboards.forms import Query
from apps.outcomes.kpis import TOO_FEW
from tests.dashboards.rows import NOON, Shop

HOSTILE = '<img src=x onerror=alert(1)><a href="javascript:alert(2)">b</a>'
HARD = {"id": HOSTILE, "reason": HOSTILE, "roles": []}


def query(**more: Any) -> Query:
    values = {
        "now": NOON + timedelta(minutes=50),
        "since": NOON - timedelta(hours=5),
        "until": NOON + timedelta(hours=1),
    }
    return Query(**{**values, **more})


@given(st.text(max_size=300))
def test_plain_leaves_no_markup(text: str) -> None:
    shown = plot.plain(text)

    assert "<" not in shown
    assert ">" not in shown
    assert not any(ord(c) < 32 for c in shown)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=60))
def test_sparklines_stay_inside_their_box(values: list[float | None]) -> None:
    for piece in plot.sparkline(values):
        for pair in piece.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 120
            assert 0 <= y <= 28


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\uff1d1"])
def test_exports_run_no_formula(text: str) -> None:
    assert defused(text) == f"'{text}"


def test_exports_keep_numbers_and_plain_text() -> None:
    assert [defused(v) for v in (-1, 0.5, "a-b", "")] == [-1, 0.5, "a-b", ""]


def test_csv_writes_raw_values() -> None:
    panel = Panel("x", "X", "", [], columns=["Rule", "Share"])
    panel.rows = [[TableCell("=cmd()"), TableCell("85 %", raw=0.85)]]

    assert list(csv.reader(io.StringIO(as_csv(panel)))) == [["Rule", "Share"], ["'=cmd()", "0.85"]]


@pytest.fixture
def busy(shop: Shop, people: dict[str, Any]) -> Shop:
    """Everything a panel can show, with hostile labels."""
    shop.job("refund", target=0.9)
    shop.job("return", target=0.7)
    good = shop.runs(30, "refund", agent_label=HOSTILE, tokens_in=5, tokens_out=1)
    bad = shop.runs(10, "refund", state="failed", outcome="denied", error_class="denied")
    shop.runs(5, "return", state="failed", outcome=HOSTILE[:24], error_class=HOSTILE[:40])
    shop.runs(3, "return", state="waiting_approval", at=NOON + timedelta(minutes=40))
    shop.decide(bad, "deny", [HARD])
    shop.decide(good[:4], "hold", [{"id": "large", "reason": "Large", "roles": ["operator"]}])
    shop.ask(good[0], "approved", dwell_ms=3000, user=people["operator"])
    shop.ask(good[1], "rejected", user=people["operator"])
    return shop


def texts(figure: Any) -> list[str]:
    """Every string that Plotly could take for markup: customdata isn't drawn."""
    if isinstance(figure, str):
        return [figure]
    if isinstance(figure, dict):
        return [t for k, v in figure.items() if k != "customdata" for t in texts(v)]
    return [t for v in figure for t in texts(v)] if isinstance(figure, list) else []


@pytest.mark.django_db
@pytest.mark.parametrize("key", list(PANELS))
@pytest.mark.parametrize("by", ["job", "contract", "agent"])
def test_no_label_is_markup_and_every_mark_leads_to_a_page(
    busy: Shop, monkeypatch: pytest.MonkeyPatch, key: str, by: str
) -> None:
    panel = build(key, ChartReading(query(by=by)))

    assert not panel.failed
    assert panel.rows
    assert panel.figure
    drawn = [t.replace("<br>", "") for t in texts(panel.figure)]
    assert not [t for t in drawn if "<" in t or ">" in t]
    links = [c[0] for trace in panel.figure["data"] for c in trace.get("customdata", [])]
    assert links
    assert all(link.startswith("/") for link in links)
    json.dumps(panel.figure)


@pytest.mark.django_db
@pytest.mark.parametrize("key", list(PANELS))
def test_table_and_export_have_the_same_rows(busy: Shop, key: str) -> None:
    panel = build(key, ChartReading(query()))

    exported = list(csv.reader(io.StringIO(as_csv(panel))))

    assert exported[0] == panel.columns
    assert len(exported) == len(panel.rows) + 1
    assert all(len(row) == len(panel.columns) for row in panel.rows)


@pytest.mark.django_db
def test_bars_start_at_zero_and_series_are_four_and_other(busy: Shop) -> None:
    figure = panels.over_time(ChartReading(query())).figure
    assert figure is not None

    bars = [t for t in figure["data"] if t["type"] == "bar"]

    assert [b["name"] for b in bars] == [
        "Succeeded",
        "Failed",
        "Waiting approval",
        "Confirmation unknown",
        "Other",
    ]
    assert figure["layout"]["yaxis"]["range"][0] == 0
    patterns = [b["marker"]["pattern"]["shape"] for b in bars]
    assert len({p[0] for p in patterns}) == 5
    assert all(p[-1] == "/" for p in patterns)  # the bucket that is still filling


@pytest.mark.django_db
def test_undone_and_shed_runs_are_named_where_they_occur(busy: Shop) -> None:
    busy.runs(2, "refund", state="compensated", outcome="compensated")
    busy.runs(3, "refund", state="shed", outcome="shed", took_s=0)

    panel = panels.over_time(ChartReading(query()))
    assert panel.figure is not None
    bars = {t["name"]: t for t in panel.figure["data"] if t["type"] == "bar"}

    assert list(bars)[4:] == ["Undone", "Shed", "Other"]
    assert sum(bars["Undone"]["y"]) == 2
    assert sum(bars["Shed"]["y"]) == 3
    assert sum(bars["Other"]["y"]) == 0
    assert len({b["marker"]["pattern"]["shape"][0] for b in bars.values()}) == len(bars)


@pytest.mark.django_db
def test_few_runs_show_no_share(busy: Shop) -> None:
    panel = panels.success(ChartReading(query()))
    assert panel.figure is not None

    rows = {row[0].text: [v.text for v in row[1:4]] for row in panel.rows}

    assert rows == {"Refund": ["40", "30", "75 %"], "Return": ["5", "0", "too few"]}
    assert panel.figure["data"][0]["x"] == [0.75]
    assert TOO_FEW == 20


@pytest.mark.django_db
def test_a_panel_that_fails_leaves_the_others(busy: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.dashboards.selectors.rules", lambda scope: 1 / 0)
    reading = ChartReading(query())

    failed = [key for key in PANELS if build(key, reading).failed]

    assert failed == ["rules"]


def test_a_built_in_rule_has_a_name_and_one_reason_for_all_its_cases(shop: Shop) -> None:
    shop.job("refund")
    for missing in ("cents", "owner"):
        rule = {"id": "facts-unknown", "reason": f"…: {missing} is missing", "roles": ["operator"]}
        shop.decide(shop.runs(1, "refund"), "hold", [rule])

    panel = panels.rules(ChartReading(query()))

    (row,) = panel.rows
    assert row[0].text == "What it would change is not known"
    assert row[1].text == "The system of record could not say what this would change"
    assert row[2].text == "2"
