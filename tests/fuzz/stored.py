"""Rows as an older release, or a fault of this one, may have left them: any JSON in every place
that holds what came from outside, and odd text in every column of text.

The doors let most of it in no more. Pages and decisions have to bear it all the same: a row that is
there can't be asked to be another.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from tests.fuzz import corpus

EVERY = 1 if "TOWER_FUZZ_CASES" in os.environ else 12  # variant is tried; all by `make fuzz`
METHODS = ("items", "keys", "values", "get", "copy", "pop", "update", "count", "index", "length")


def _texts() -> tuple[str, ...]:
    """Those of the corpus that PostgreSQL can hold, and long ones."""
    known = [json.loads(said, strict=False) for said in corpus.TEXTS]
    held = [t for t in known if "\x00" not in t and not any("\ud800" <= c < "\ue000" for c in t)]
    long = ("x" * 30_000, "é<b> " * 5_000, "\u202e" * 300, "a\u0301" * 2_000, "[" * 90_000)
    return (*held, *long, '{"a": [', "run-head", "timeline")


def _within(levels: int) -> str:
    """JSON in a text in JSON, again and again."""
    text = "7"
    for _ in range(levels):
        text = "[" * 90 + json.dumps(text) + "]" * 90
    return text


TEXTS = _texts()
NUMBERS = (
    *("0", "-0", "true", "1e18", "60000.0", "0.1", "1.10", "9223372036854775808", "1e400"),
    *("-1e400", "1e-400", "5e-324", "1e4299", "1e4300", "7" * 4300, "7" * 4301, "1e131071"),
    *("-" + "9" * 4300, "0." + "3" * 4300, "0." + "3" * 16_000, "1" + "0" * 30_000),
)
JSON = (
    *NUMBERS,
    *(json.dumps(text) for text in TEXTS),
    *corpus.FLAT,
    *("[" * depth + "]" * depth for depth in (90, 101, 260, 990, 5_000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (90, 101, 260, 990, 5_000)),
    "[" + ",".join(["0"] * 20_000) + "]",
    "{" + ",".join(f'"k{n}":{n}' for n in range(5_000)) + "}",
    "{" + ",".join(f'"{name}":{n}' for n, name in enumerate(METHODS)) + "}",
    "{" + ",".join(f'"{name}":{{"{name}": null}}' for name in METHODS) + "}",
    '{"0": [], "1": {}, "-1": null, "": {"": {"": 7}}, "a.b": {"a": {"b": 1}}}',
    f'{{"{"k" * 100_000}": {json.dumps([0] * 2_000)}}}',
    json.dumps("x" * 1_000_000),
    json.dumps("\u202ea" * 100_000),
    _within(9),
    '{"id":"run-head","name":"timeline","type":"7","class":"card"}',
    '["0001-01-01T00:00:00+14:00","9999-12-31T23:59:59-14:00","2026-02-30","infinity"]',
    '{"changes":7,"facts":7,"refusal":[],"unavailable":{},"said":{"a":1},"notes":5}',
)
KEYS = (
    *(*METHODS, "", " ", "0", "-1", "a.b", "a/b~1", "$ref", "$int", "__proto__", "__class__"),
    *("pk", "id", "<b>", "\u202e", "k" * 3_000),
)


@dataclass(frozen=True)
class Slot:
    """A place that holds what came from outside. In ``shape`` each V is another value, and K a
    key."""

    table: str
    column: str
    shape: str = "V"

    def filled(self, number: int) -> str:
        """The JSON of this slot's variant ``number``."""
        first, *rest = self.shape.replace("K", json.dumps(KEYS[number % len(KEYS)])).split("V")
        return first + "".join(
            JSON[(number + 7 * at) % len(JSON)] + part for at, part in enumerate(rest)
        )


def _slots(table: str, column: str, *shapes: str) -> list[Slot]:
    return [Slot(table, column, shape) for shape in ("V", *shapes)]


_OBJECT = ("{K:V}", '{K:V,"x":V,"order":V,"amount_cents":V}')
_RULES = (
    "[V]",
    '[{"id":V,"reason":V,"roles":V,"votes":V,"risk":V,"observed":V,"unknown":V}]',
    '[{"id":"r","reason":V,"observed":[V,V],"unknown":[V]}]',
    '[{"id":"r","observed":[{"name":V,"value":V,"operator":V,"limit":V,"limit_value":V}],'
    '"unknown":[{"name":V,"wanted":V,"came":V}]}]',
    "{K:V}",
)
_PREVIEW = (
    '{"changes":V,"refusal":V,"said":V,"notes":V,"before":V,"after":V,"odd_facts":V}',
    '{"changes":[V,{"path":V,"before":V,"after":V},{"path":"/a/b/c","before":V,"after":V}]}',
    '{"unavailable":V,"changes":[]}',
    '{"changes":[],"said":[V,V],"notes":[V,V],"refusal":"no"}',
)
_RESULT = (
    '{"content":V,"data":V,"parts":V,"notes":V}',
    '{"content":"x","parts":[V,V],"notes":[V,V]}',
    '{"content":"x","parts":[{"kind":V,"sha256":V,"size":V,"media_type":V,"name":V,'
    '"annotations":V,"kept":V}]}',
    "{K:V}",
)
_ITEMS = (
    "[V]",
    '[{"call":V}]',
    '[{"say":V},{"hear":V},{"done":V}]',
    '[{"call":{"tool":"t","args":V}},{"call":{"tool":V,"args":{K:V},"ref":V}}]',
)
_SERVED = (
    '{"gone":V,"problem":V}',
    '{"description":V,"hints":V,"input_schema":V,"output_schema":V}',
    '{"hints":{K:V},"input_schema":{"properties":{K:V,"x":{"type":V,"enum":V}},"required":V},'
    '"output_schema":{"properties":V,"required":[V,V]}}',
)
OF_RUNS = (
    *_slots("runs_run", "input", *_OBJECT),
    *_slots("runs_runscript", "items", *_ITEMS),
    *_slots("runs_runresult", "value", *_OBJECT),
    *_slots("runs_step", "arguments", *_OBJECT),
    *_slots("runs_step", "facts", *_OBJECT),
    *_slots("runs_step", "preview", *_PREVIEW),
    *_slots("runs_step", "result", *_RESULT),
    *_slots("approvals_approval", "arguments", *_OBJECT),
    *_slots("approvals_approval", "preview", *_PREVIEW),
    *_slots("approvals_approval", "facts", *_OBJECT),
    *_slots("approvals_approval", "rules", *_RULES),
    *_slots("approvals_approval", "ladder", "[V]", '[{"at":V,"to":V}]'),
    *_slots("policy_decision", "rules", *_RULES),
    *_slots("policy_decision", "errors", "[V]"),
    *_slots("policy_decision", "request", *_OBJECT),
    *_slots("audit_event", "payload", *_OBJECT, '{"losses":V,"worker":V}'),
)
OF_TOOLS = (
    *_slots("catalog_tool", "live", *_SERVED),
    *_slots("catalog_toolversion", "served", *_SERVED),
    Slot("catalog_toolversion", "document", '{"title":"T","input_schema":V,"facts":{K:"long"}}'),
    Slot(
        "catalog_toolversion",
        "document",
        '{"title":"T","input_schema":{"type":"object","properties":{K:V,"x":{"type":V,"enum":V,'
        '"description":V,"items":V}},"required":V}}',
    ),
    Slot(
        "catalog_toolversion",
        "document",
        '{"title":"T","input_schema":{"properties":V,"required":[V,V]},"facts":V}',
    ),
    *_slots("catalog_servercheck", "unused", "[V,V]"),
    *_slots("catalog_servercheck", "findings", "[V,V]"),
)
TEXT_COLUMNS: dict[str, Sequence[str]] = {
    "runs_run": (
        *("agent_label", "case_ref", "customer", "request", "summary", "branch", "error_class"),
        *("degraded_reason", "pause_reason", "admission_reason"),
    ),
    "runs_step": ("tool_name", "error", "error_class", "waits_for", "ref"),
    "runs_attempt": ("worker", "error", "error_class"),
    "runs_receipt": ("provider_ref", "note"),
    "approvals_approval": (
        *("sentence", "tool_name", "agent_slug", "agent_label", "customer", "agent_text"),
        "reason",
    ),
    "runs_message": ("content",),
    "runs_finding": ("evidence",),
    "audit_event": ("actor",),
    "catalog_servercheck": ("error", "protocol", "software"),
}


def fill(number: int, slots: Iterable[Slot]) -> None:
    """Write variant ``number`` of each of these places, and odd texts beside, into all rows of
    their tables, past what triggers say about changes."""
    shapes: defaultdict[tuple[str, str], list[Slot]] = defaultdict(list)
    for slot in slots:
        shapes[slot.table, slot.column].append(slot)
    tables = sorted({table for table, _ in shapes})
    texts = [(t, c) for t, columns in TEXT_COLUMNS.items() if t in tables for c in columns]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        for place, ((table, column), known) in enumerate(shapes.items()):
            value = known[(number + place) % len(known)].filled(number + 5 * place)
            cursor.execute(f'UPDATE "{table}" SET "{column}" = %s::jsonb', [value])
        for place, (table, column) in enumerate(texts):
            text = TEXTS[(number + place) % len(TEXTS)][: _most(cursor, table, column)]
            cursor.execute(f'UPDATE "{table}" SET "{column}" = %s', [text])
        for table in tables:
            cursor.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _most(cursor: Any, table: str, column: str) -> int | None:
    """How many characters a column holds; ``None`` for any number."""
    cursor.execute(
        "SELECT character_maximum_length FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = %s AND column_name = %s",
        [table, column],
    )
    [(most,)] = cursor.fetchall()
    return most
