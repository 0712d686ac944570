"""What a rule's condition compares, read from Cedar's JSON form: what made it fire, and what would
have to be so for it not to."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Node = Any
OPERATORS = {">": ">", ">=": "≥", "<": "<", "<=": "≤", "==": "=", "!=": "≠"}
FLIPPED = {">": "<", ">=": "≤", "<": ">", "<=": "≥", "==": "=", "!=": "≠"}
NEGATED = {">": "≤", "≥": "<", "<": "≥", "≤": ">", "=": "≠", "≠": "="}
_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "≥": operator.ge,
    "<": operator.lt,
    "≤": operator.le,
    "=": operator.eq,
    "≠": operator.ne,
}


@dataclass(frozen=True, slots=True)
class FiringCondition:
    """``path operator value`` is one of the things that make a rule fire; ``name`` is the path of
    what it is compared with, empty where that is written in the rule itself, as ``value``."""

    path: str
    operator: str
    name: str = ""
    value: bool | int | str | None = None

    def expected(self, context: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was expected instead, if this is so in ``context``: ``operator``, ``value`` and
        ``name``. None where it isn't so, or can't be compared."""
        actual = _at(context, self.path)
        other = _at(context, self.name) if self.name else self.value
        if not _are_alike(actual, other) or not _HOLDS[self.operator](actual, other):
            return None
        if isinstance(other, bool) and self.operator == "=" and not self.name:
            return {"operator": "=", "value": not other, "name": ""}
        return {"operator": NEGATED[self.operator], "value": other, "name": self.name}


def _at(context: Mapping[str, Any], path: str) -> Any:
    group, _, name = path.partition(".")
    found = context.get(group)
    return found.get(name) if isinstance(found, Mapping) else None


def _are_alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and isinstance(one, bool | int | str)


def path_of(node: Node) -> str:
    """``facts.amount_cents`` for ``context.facts.amount_cents``, empty for anything else."""
    attrs: list[str] = []
    while isinstance(node, dict) and "." in node:
        attrs.append(node["."]["attr"])
        node = node["."]["left"]
    if node != {"Var": "context"}:
        return ""
    return ".".join(reversed(attrs))


def comparisons(conditions: list[Mapping[str, Any]]) -> tuple[FiringCondition, ...]:
    """Everything that the conditions of a policy compare, each as it makes the policy fire."""
    found = (c for part in conditions for c in _in(part["body"], fires=part["kind"] == "when"))
    return tuple(dict.fromkeys(found))


def _in(node: Node, *, fires: bool) -> Iterator[FiringCondition]:
    """``fires``: whether the policy fires when this is true, or when it is false."""
    if not isinstance(node, dict):
        return
    if path := path_of(node):
        yield FiringCondition(path, "=", value=fires)
    for both in (node.get("&&"), node.get("||")):
        if both:
            yield from _in(both["left"], fires=fires)
            yield from _in(both["right"], fires=fires)
    if "!" in node:
        yield from _in(node["!"]["arg"], fires=not fires)
    for name in OPERATORS.keys() & node.keys():
        yield from _compared(name, node[name], fires=fires)


def _compared(name: str, sides: Mapping[str, Node], *, fires: bool) -> Iterator[FiringCondition]:
    left, right, word = sides["left"], sides["right"], OPERATORS[name]
    if not path_of(left) or path_of(left).startswith("limits."):
        left, right, word = right, left, FLIPPED[name]
    path, other = path_of(left), path_of(right)
    value = right.get("Value") if isinstance(right, dict) else None
    if not path or not (other or isinstance(value, bool | int | str)):
        return
    word = word if fires else NEGATED[word]
    yield FiringCondition(path, word, other) if other else FiringCondition(path, word, value=value)
