"""Expressions of Cedar's JSON form, as terms. Each carries when evaluating it is an error.

The meaning is Cedar's: operands are evaluated from the left, ``&&``, ``||`` and ``if`` leave out
what is not asked for, numbers have 64 bits and leaving them is an error, and so is an operand of
another type. What isn't modelled is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from apps.policy.domain.proofs.formulas import (
    FALSE,
    TRUE,
    both,
    choose,
    either,
    equal,
    implies,
    no,
    number,
)
from apps.policy.domain.proofs.symbols import Script
from apps.policy.domain.proofs.values import (
    BoolTerm,
    EntityTerm,
    LongTerm,
    RecordTerm,
    SetTerm,
    SymbolicValue,
    TextTerm,
    UntranslatableError,
    chosen,
)
from apps.policy.domain.proofs.words import WILDCARD, Pattern, Words
from apps.policy.domain.request import MAX_LONG, MIN_LONG

Node = Mapping[str, Any]
BROKEN = BoolTerm(FALSE, fails=TRUE)
COMPARED = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
COUNTED = {"+": "+", "-": "-", "*": "*"}


class Expressions:
    """Reads expressions about one request: ``variables`` are what rules see of it."""

    def __init__(
        self, variables: Mapping[str, SymbolicValue], words: Words, script: Script
    ) -> None:
        self._variables, self._words, self._script = variables, words, script
        self._readers: dict[str, Callable[[Any], SymbolicValue]] = {
            "Value": self._literal,
            "Var": lambda name: self._variables[name],
            "Set": self._set,
            "&&": self._and,
            "||": self._or,
            "!": lambda body: self._not(self.condition(body["arg"])),
            "if-then-else": self._if,
            "==": self._equals,
            "!=": lambda body: self._not(self._equals(body)),
            "in": self._in,
            "is": self._is,
            "like": self._like,
            ".": self._attribute,
            "has": self._has,
            "neg": lambda body: self._counted("-", LongTerm("0"), self._long(body["arg"])),
            "contains": self._contains,
            "containsAll": self._contains_all,
            "containsAny": self._contains_any,
            "isEmpty": self._is_empty,
            **{sign: self._comparison(sign) for sign in COMPARED},
            **{sign: self._arithmetic(sign) for sign in COUNTED},
        }

    def value(self, node: Node) -> SymbolicValue:
        """What an expression is worth. Raises ``UntranslatableError``."""
        ((kind, body),) = node.items()
        reader = self._readers.get(kind)
        if reader is None:
            raise UntranslatableError(f"“{kind}”")
        return reader(body)

    def condition(self, node: Node) -> BoolTerm:
        """The same, of which a truth is asked: anything else is an error."""
        value = self.value(node)
        return value if isinstance(value, BoolTerm) else BROKEN

    # --- literals and paths -------------------------------------------------------------------

    def _literal(self, found: Any) -> SymbolicValue:
        if isinstance(found, bool):
            return BoolTerm(TRUE if found else FALSE)
        if isinstance(found, int):
            return LongTerm(number(found))
        if isinstance(found, str):
            return self._word(found)
        if isinstance(found, Mapping) and "__entity" in found:
            return self._entity(found["__entity"])
        raise UntranslatableError("a literal of another type than yes or no, number, text, entity")

    def _word(self, text: str) -> TextTerm:
        return TextTerm(str(self._words.number(text)))

    def _entity(self, uid: Mapping[str, str]) -> EntityTerm:
        return EntityTerm(uid["type"], str(self._words.number(uid["id"])))

    def _attribute(self, body: Node) -> SymbolicValue:
        left = self.value(body["left"])
        found = self._attributes(left).get(body["attr"])
        if found is None:
            return BROKEN
        there, value = found
        return value.failing(left.fails, no(there))

    def _has(self, body: Node) -> SymbolicValue:
        left = self.value(body["left"])
        if not isinstance(left, EntityTerm | RecordTerm):
            return BROKEN
        there, _ = self._attributes(left).get(body["attr"], (FALSE, BROKEN))
        return BoolTerm(there, fails=left.fails)

    @staticmethod
    def _attributes(value: SymbolicValue) -> Mapping[str, tuple[str, SymbolicValue]]:
        if isinstance(value, EntityTerm) and value.attributes is None:
            raise UntranslatableError("attributes of an entity that a rule writes down")
        return (value.attributes or {}) if isinstance(value, EntityTerm | RecordTerm) else {}

    # --- truths -------------------------------------------------------------------------------

    def _bool(self, term: str, *fails: str) -> BoolTerm:
        return BoolTerm(self._script.named(term), fails=self._script.named(either(*fails)))

    def _not(self, value: BoolTerm) -> BoolTerm:
        return BoolTerm(no(value.term), fails=value.fails)

    def _and(self, body: Node) -> SymbolicValue:
        left = self.condition(body["left"])
        if left.term == FALSE:
            return left
        right = self.condition(body["right"])
        fails = either(left.fails, both(left.term, right.fails))
        return self._bool(both(left.term, right.term), fails)

    def _or(self, body: Node) -> SymbolicValue:
        left = self.condition(body["left"])
        if left.term == TRUE:
            return left
        right = self.condition(body["right"])
        fails = either(left.fails, both(no(left.term), right.fails))
        return self._bool(either(left.term, right.term), fails)

    def _if(self, body: Node) -> SymbolicValue:
        asked = self.condition(body["if"])
        if asked.term in (TRUE, FALSE):
            branch = self.value(body["then" if asked.term == TRUE else "else"])
            return branch.failing(asked.fails)
        one, other = self.value(body["then"]), self.value(body["else"])
        fails = either(asked.fails, choose(asked.term, one.fails, other.fails))
        if one.fails == TRUE or other.fails == TRUE:  # its type says nothing
            return (other if one.fails == TRUE else one).failing(fails)
        return chosen(asked.term, one, other).failing(self._script.named(fails))

    # --- numbers ------------------------------------------------------------------------------

    def _long(self, node: Node) -> LongTerm:
        value = self.value(node)
        return value if isinstance(value, LongTerm) else LongTerm("0", fails=TRUE)

    def _comparison(self, sign: str) -> Callable[[Node], SymbolicValue]:
        def read(body: Node) -> SymbolicValue:
            left, right = self._long(body["left"]), self._long(body["right"])
            term = f"({COMPARED[sign]} {left.term} {right.term})"
            return self._bool(term, left.fails, right.fails)

        return read

    def _arithmetic(self, sign: str) -> Callable[[Node], SymbolicValue]:
        def read(body: Node) -> SymbolicValue:
            return self._counted(sign, self._long(body["left"]), self._long(body["right"]))

        return read

    def _counted(self, sign: str, left: LongTerm, right: LongTerm) -> SymbolicValue:
        term = self._script.named(f"({sign} {left.term} {right.term})", "Int")
        inside = f"(<= {number(MIN_LONG)} {term} {number(MAX_LONG)})"
        return LongTerm(term, fails=self._script.named(either(left.fails, right.fails, no(inside))))

    # --- texts and entities -------------------------------------------------------------------

    def _equals(self, body: Node) -> BoolTerm:
        left, right = self.value(body["left"]), self.value(body["right"])
        return self._bool(self._same(left, right), left.fails, right.fails)

    def _same(self, left: SymbolicValue, right: SymbolicValue) -> str:
        if isinstance(left, RecordTerm) or isinstance(right, RecordTerm):
            raise UntranslatableError("“==” of records")
        if type(left) is not type(right):
            return FALSE
        if isinstance(left, EntityTerm) and isinstance(right, EntityTerm):
            return equal(left.name, right.name) if left.kind == right.kind else FALSE
        if isinstance(left, SetTerm) and isinstance(right, SetTerm):
            return both(self._within(left, right), self._within(right, left))
        assert isinstance(left, BoolTerm | LongTerm | TextTerm)  # noqa: S101 - there are no others
        assert isinstance(right, BoolTerm | LongTerm | TextTerm)  # noqa: S101 - of the same type
        return equal(left.term, right.term)

    def _like(self, body: Node) -> SymbolicValue:
        left = self.value(body["left"])
        if not isinstance(left, TextTerm):
            return BROKEN
        fitting = self._words.matching[pattern_of(body["pattern"])]
        term = either(*(equal(left.term, str(n)) for n in sorted(fitting)))
        return self._bool(term if len(fitting) < len(self._words.all) else TRUE, left.fails)

    def _in(self, body: Node) -> SymbolicValue:
        left, right = self.value(body["left"]), body["right"]
        if "Set" in right:
            groups = [self.value(node) for node in right["Set"]]
        else:
            groups = [self.value(right)]
        fails = [left.fails, *(group.fails for group in groups)]
        if not isinstance(left, EntityTerm) or not all(isinstance(g, EntityTerm) for g in groups):
            return BROKEN
        return self._bool(either(*(self.is_in(left, g) for g in groups)), *fails)

    def is_in(self, entity: EntityTerm, group: SymbolicValue) -> str:
        assert isinstance(group, EntityTerm)  # noqa: S101 - asked before
        if entity.attributes is None:
            raise UntranslatableError("“in” of an entity that a rule writes down")
        above = (
            equal(group.name, str(self._words.number(name)))
            for kind, name in entity.groups
            if kind == group.kind
        )
        return either(self._same(entity, group), *above)

    def _is(self, body: Node) -> SymbolicValue:
        left = self.value(body["left"])
        if not isinstance(left, EntityTerm):
            return BROKEN
        if left.kind != body["entity_type"]:
            return BoolTerm(FALSE, fails=left.fails)
        if "in" not in body:
            return BoolTerm(TRUE, fails=left.fails)
        return self._in({"left": body["left"], "right": body["in"]})

    # --- sets ---------------------------------------------------------------------------------

    def _set(self, body: list[Node]) -> SymbolicValue:
        found = [self.value(node) for node in body]
        kinds = {type(value) for value in found}
        if len(kinds) > 1 or not kinds <= {TextTerm, LongTerm}:
            raise UntranslatableError("a set of anything but texts or whole numbers")
        terms = tuple(v.term for v in found if isinstance(v, TextTerm | LongTerm))
        fails = either(*(value.fails for value in found))
        of = next(iter(kinds), None)
        return SetTerm(lambda t: either(*(equal(t, e) for e in terms)), terms, of, fails=fails)

    def _many(self, node: Node) -> SetTerm:
        value = self.value(node)
        return (
            value if isinstance(value, SetTerm) else SetTerm(lambda _: FALSE, (), None, fails=TRUE)
        )

    def _contains(self, body: Node) -> SymbolicValue:
        left, right = self._many(body["left"]), self.value(body["right"])
        if isinstance(right, EntityTerm | SetTerm | RecordTerm):
            raise UntranslatableError("a set of anything but texts or whole numbers")
        term = FALSE
        if isinstance(right, TextTerm | LongTerm) and type(right) is left.of:
            term = left.has(right.term)
        return self._bool(term, left.fails, right.fails)

    def _contains_all(self, body: Node) -> SymbolicValue:
        left, right = self._many(body["left"]), self._many(body["right"])
        return self._bool(self._within(right, left), left.fails, right.fails)

    def _contains_any(self, body: Node) -> SymbolicValue:
        left, right = self._many(body["left"]), self._many(body["right"])
        one, other = (left, right) if right.listed is not None else (right, left)
        common = [one.has(t) for t in self._elements(other)] if one.of is other.of else []
        if one.of is other.of and other.listed is None:
            common = [both(one.has(t), other.has(t)) for t in self._elements(other)]
        return self._bool(either(*common), left.fails, right.fails)

    def _is_empty(self, body: Node) -> SymbolicValue:
        asked = self._many(body["arg"])
        return self._bool(no(either(*(asked.has(t) for t in self._elements(asked)))), asked.fails)

    def _within(self, small: SetTerm, large: SetTerm) -> str:
        """Whether each element of one is in the other."""
        inside = large.has if small.of is large.of else lambda _: FALSE
        return both(*(implies(small.has(t), inside(t)) for t in self._elements(small)))

    def _elements(self, found: SetTerm) -> tuple[str, ...]:
        """Terms of all that can be in a set."""
        if found.listed is not None:
            return found.listed
        return tuple(str(n) for n in range(len(self._words.all)))


def pattern_of(parts: list[Any]) -> Pattern:
    """A pattern of the JSON form."""
    return tuple(WILDCARD if part == "Wildcard" else part["Literal"] for part in parts)
