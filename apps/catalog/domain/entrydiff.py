"""What changed between two versions of a tool, a tool server, a model, an agent or a prompt, and
whether a control got weaker.

What can't be judged is called weaker: a person should look at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.catalog.domain.entries import PLACEHOLDER
from apps.catalog.domain.schemadiff import differences, plain
from apps.documents.domain.changes import Change, Kind, ordered
from apps.kernel.exactjson import dumps, is_number
from apps.kernel.textdiff import side_by_side
from apps.policy.domain.effects import EFFECTS

IDEMPOTENCY = ("none", "lookup", "keyed")  # the surer, the later
SHORT = 120  # characters of a value in a sentence
_HELPERS = {"preview": "Preview", "lookup": "Look-up"}
_BUDGETS = {"max_tokens"}  # the settings of a model that bound it; others change what it says
_READ_BY_RULES = {"resource": "What the action is about", "amount": "Money at stake"}

Entry = Mapping[str, Any]


def compare_tools(old: Entry, new: Entry) -> list[Change]:
    """Every change of a tool, weaker controls first."""
    return ordered(
        [
            *_ranked(old, new, "effect", "Effect", EFFECTS),
            *_ranked(old, new, "idempotency", "Idempotency", IDEMPOTENCY),
            *_helpers(old, new),
            *_facts(_group(old, "facts"), _group(new, "facts")),
            *_read_by_rules(old, new),
            *_sentence(old, new),
            *_schema(_group(old, "input_schema"), _group(new, "input_schema")),
            *_named(old, new, "title", "Title"),
        ]
    )


def _ranked(
    old: Entry, new: Entry, key: str, label: str, ranks: tuple[str, ...]
) -> Iterator[Change]:
    before, after = old.get(key, ranks[0]), new.get(key, ranks[0])
    if before != after:
        is_weaker = ranks.index(after) < ranks.index(before)
        kind = Kind.WEAKER if is_weaker else Kind.STRONGER
        yield Change(key, kind, f"{label}: {before} → {after}", before, after)


def _helpers(old: Entry, new: Entry) -> Iterator[Change]:
    for key, label in _HELPERS.items():
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        # Another one can't be judged; none at all is less than one.
        kind = Kind.STRONGER if before is None else Kind.WEAKER
        yield Change(key, kind, f"{label}: {before or 'none'} → {after or 'none'}", before, after)
    before, after = bool(old.get("preview_then")), bool(new.get("preview_then"))
    if before != after:
        kind = Kind.WEAKER if before else Kind.STRONGER
        words = "no longer looks" if before else "looks"
        yield Change("preview_then", kind, f"The preview {words} ahead at the plan", before, after)


def _facts(old: Entry, new: Entry) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        is_stronger = before is None or before == f"{after}?"
        kind = Kind.STRONGER if is_stronger else Kind.WEAKER
        sentence = f"Fact {name}: {before or 'not declared'} → {after or 'not declared'}"
        yield Change(f"facts.{name}", kind, sentence, before, after)


def _read_by_rules(old: Entry, new: Entry) -> Iterator[Change]:
    for key, label in _READ_BY_RULES.items():
        before, after = old.get(key), new.get(key)
        if before != after:
            kind = Kind.STRONGER if before is None else Kind.WEAKER
            sentence = f"{label}: {_short(before)} → {_short(after)}"
            yield Change(key, kind, sentence, before, after)


def _sentence(old: Entry, new: Entry) -> Iterator[Change]:
    before, after = old.get("sentence", ""), new.get("sentence", "")
    if before == after:
        return
    lost = sorted(set(PLACEHOLDER.findall(before)) - set(PLACEHOLDER.findall(after)))
    if lost:
        said = f"The question to people no longer says {', '.join(lost)}"
        yield Change("sentence", Kind.WEAKER, said, before, after)
    else:
        yield Change(
            "sentence", Kind.NEUTRAL, "The question to people was rewritten", before, after
        )


def _schema(old: Entry, new: Entry) -> Iterator[Change]:
    if plain(old) == plain(new):
        if old != new:
            yield Change("input_schema", Kind.NEUTRAL, "Words of the input schema changed")
        return
    loosened = [d for d in differences(new, old) if d.breaks]
    narrowed = [d for d in differences(old, new) if d.breaks]
    for found in loosened:
        sentence = f"Argument {found.name}: calls are let through that were refused"
        yield Change(f"input_schema.{found.name}", Kind.WEAKER, sentence)
    for found in narrowed:
        sentence = f"Argument {found.name}: calls are refused that were let through"
        yield Change(f"input_schema.{found.name}", Kind.BREAKING, sentence)
    judged = {d.path for d in [*loosened, *narrowed]}
    if not judged or any(d.path not in judged for d in differences(new, old)):
        said = "The input schema was rewritten: what it lets through can't be judged"
        yield Change("input_schema", Kind.WEAKER, said)


def compare_agents(old: Entry, new: Entry) -> list[Change]:
    """Every change of an agent, weaker controls first. Another model can't be judged."""
    changes = [
        *_named(old, new, "name", "Name"),
        *_named(old, new, "prompt", "Prompt"),
        *_unjudged(old, new, "kind", "Kind"),
        *_unjudged(old, new, "model", "Model"),
        *_fallbacks(old.get("fallback_models") or [], new.get("fallback_models") or []),
        *_settings(_group(old, "settings"), _group(new, "settings")),
    ]
    return ordered(changes)


def _unjudged(old: Entry, new: Entry, key: str, label: str) -> Iterator[Change]:
    before, after = old.get(key) or "", new.get(key) or ""
    if before != after:
        said = f"{label}: {_short(before or 'none')} → {_short(after or 'none')}"
        yield Change(key, Kind.WEAKER, said, before, after)


def _fallbacks(old: list[str], new: list[str]) -> Iterator[Change]:
    if old == new:
        return
    kind = Kind.WEAKER if set(new) - set(old) else Kind.NEUTRAL
    before, after = (_short(", ".join(models) or "none") for models in (old, new))
    said = f"Fallback models: {before} → {after}"
    yield Change("fallback_models", kind, said, old, new)


def _settings(old: Entry, new: Entry) -> Iterator[Change]:
    """A budget that goes down is tighter; whatever else can't be judged."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        is_tighter = name in _BUDGETS and _is_less(after, before)
        kind = Kind.STRONGER if is_tighter else Kind.WEAKER
        said = f"Setting {name}: {_short(before)} → {_short(after)}"
        yield Change(f"settings.{name}", kind, said, before, after)


def _is_less(one: Any, other: Any) -> bool:
    return is_number(one) and is_number(other) and bool(one < other)


def compare_models(old: Entry, new: Entry) -> list[Change]:
    """Every change of a model, weaker controls first. Another address, model or key can't be
    judged: it is another answerer, or somebody else gets the conversations."""
    changes = [
        *_named(old, new, "name", "Name"),
        *_unjudged(old, new, "provider", "Provider"),
        *_unjudged(old, new, "url", "Address"),
        *_unjudged(old, new, "model", "The provider's name for it"),
        *_key(old, new),
        *_unjudged({"output": "tools", **old}, {"output": "tools", **new}, "output", "Output"),
        *_prices(_group(old, "prices"), _group(new, "prices")),
        *_bounded(old, new, "max_output_tokens", "Most tokens of an answer"),
        *_bounded(old, new, "timeout_s", "Time-out in seconds"),
    ]
    return ordered(changes)


def compare_servers(old: Entry, new: Entry) -> list[Change]:
    """Every change of a tool server, weaker controls first. Another address or key can't be judged:
    somebody else carries the calls out, or as somebody else."""
    return ordered(
        [
            *_named(old, new, "name", "Name"),
            *_unjudged(old, new, "url", "Address"),
            *_key(old, new),
        ]
    )


def _key(old: Entry, new: Entry) -> Iterator[Change]:
    before, after = (
        ", ".join(f"{kind} {name}" for kind, name in sorted(_group(entry, "key").items()))
        for entry in (old, new)
    )
    if before != after:
        said = f"Its key is read from: {before or 'nowhere'} → {after or 'nowhere'}"
        yield Change("key", Kind.WEAKER, said, before, after)


def _prices(old: Entry, new: Entry) -> Iterator[Change]:
    """A price that goes down lets a run do more within the same budget; without one, the
    provider's own bill is believed."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        is_less = after is None or _is_less(after, before)
        kind = Kind.WEAKER if is_less else Kind.NEUTRAL
        words = name.replace("_usd_per_million", "")
        said = f"Price of {words}, $ per million tokens: {_short(before)} → {_short(after)}"
        yield Change(f"prices.{name}", kind, said, before, after)


def _bounded(old: Entry, new: Entry, key: str, label: str) -> Iterator[Change]:
    before, after = old.get(key), new.get(key)
    if before == after:
        return
    is_tighter = after is not None and (before is None or _is_less(after, before))
    kind = Kind.STRONGER if is_tighter else Kind.WEAKER
    yield Change(key, kind, f"{label}: {_short(before)} → {_short(after)}", before, after)


def compare_pins(old: Entry, new: Entry) -> list[Change]:
    """A name that means a model of the catalog now, and the provider's own before, or the other
    way round: another answerer under the same name."""
    changes = []
    for name in sorted(set(old) ^ set(new)):
        now = "the catalog's model" if name in new else "the provider's own"
        said = f"Model {_short(name)}: the name means {now} now"
        changes.append(Change(f"models.{name}", Kind.WEAKER, said))
    return changes


def compare_prompts(old: str, new: str) -> list[Change]:
    """A prompt is advice to a model, no control: what its words are worth nobody can judge."""
    rows = [row for row in side_by_side(old, new) if row.kind not in {"same", "gap"}]
    if not rows:
        return []
    count = len(rows)
    said = f"{count} {'line says' if count == 1 else 'lines say'} something else"
    return [Change("text", Kind.NEUTRAL, said, old, new)]


def _named(old: Entry, new: Entry, key: str, label: str) -> Iterator[Change]:
    before, after = old.get(key), new.get(key)
    if before != after:
        said = f"{label}: {_short(before)} → {_short(after)}"
        yield Change(key, Kind.NEUTRAL, said, before, after)


def _group(entry: Entry, key: str) -> Entry:
    found = entry.get(key)
    return found if isinstance(found, Mapping) else {}


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else dumps(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"
