"""JSON Schemas from outside: checked before they are kept, and tried without harm.

Tool servers, packs and people who edit contracts write them; the values come from agents and from
programs. Nothing is ever fetched for one (a reference points into its own document or is refused),
its patterns run on a linear engine, and trying it takes bounded time: what is deep, circular or
exponential is refused when it is saved, and a schema that was saved before costs only the value
that it is tried on. ``format`` is a remark and refuses nothing, as draft 2020-12 has it.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any

import jsonschema_rs
from jsonschema import Draft4Validator, ValidationError, validators
from referencing import Registry

from apps.kernel.exactjson import MAX_DEPTH, MAX_DIGITS, is_number, same
from apps.kernel.patterns import TooLongError, pattern
from apps.kernel.schemagraph import Outline, outline
from apps.kernel.schemagraph import SchemaProblem as SchemaProblem

MOST_STEPS = 50_000  # keywords tried on one value: about a second at worst
MOST_DEPTH = MAX_DEPTH  # of a value: as deep as one is let in
MOST_MISFITS = 20
MOST_LETTERS = 500  # of a sentence
MOST_DIGITS = MAX_DIGITS  # of a number
WHOLE = object()  # all of a value may be repeated
# Keywords whose sentences repeat names and never a value.
_OF_NAMES = frozenset(
    ("required", "additionalProperties", "dependentRequired", "unevaluatedProperties")
)
_EXACT = 2**63 - 1
_OF_A_STEP = 0.25  # what trying a pattern on a name costs
_DECIMAL = re.compile(r"Decimal\('([^']*)'\)")  # as the library's sentences write one


def schema_problems(schema: Any, *, of_object: bool = False) -> list[SchemaProblem]:
    """What is wrong with a schema from outside, each with its place and a way out; empty for one
    that can be used. ``of_object``: it has to take an object, as arguments are. Never raises,
    takes bounded time, and fetches nothing."""
    found = list(compiled(schema).problems)
    if found or not of_object:
        return found
    kinds = schema.get("type", "object") if isinstance(schema, Mapping) else None
    if kinds is None:
        return [SchemaProblem((), "A schema is an object.", 'Write {"type": "object"}.')]
    if kinds != "object" and (isinstance(kinds, str) or "object" not in kinds):
        message = "It takes no object, and an object is what it is tried on."
        return [SchemaProblem(("type",), message, "Write “object”.")]
    return []


def misfit(schema: Any, value: Any) -> str:
    """In what ``value`` differs from ``schema``, as a sentence; empty when it fits. A schema that
    can't be used fits nothing, and says why. Never raises and takes bounded time."""
    return compiled(schema).misfit(value)


def compiled(schema: Any) -> Schema:
    """A schema made ready to be tried many times; never raises."""
    try:
        written = json.dumps(schema)
    except (TypeError, ValueError, RecursionError):
        return Schema(outline(schema))
    return _compiled(written)


@lru_cache(maxsize=1024)
def _compiled(written: str) -> Schema:
    return Schema(outline(json.loads(written)))


class _TooMuchError(Exception):
    """Trying the value takes more steps than are allowed."""


@dataclass(slots=True)
class _Trial:
    """One value that is being tried: the steps that are left, and what stands for its parts."""

    steps: float = MOST_STEPS
    _named: dict[int, frozenset[Any]] = field(default_factory=dict)
    _parts: dict[int, tuple[str, int]] = field(default_factory=dict)
    _alike: dict[Any, tuple[str, int]] = field(default_factory=dict)

    def step(self, size: float = 1) -> None:
        self.steps -= size
        if self.steps < 0:
            raise _TooMuchError

    def names(self, wanted: Any, value: Any) -> bool:
        """Whether ``value`` is one of those that a schema lists: one look, however many."""
        named = self._named.get(id(wanted))
        if named is None:
            named = self._named[id(wanted)] = frozenset(map(self.identity, wanted))
        return self.identity(value) in named

    def identity(self, value: Any) -> Any:
        """Something small to hash by: equal for equal JSON values, in which ``1`` is ``1.0`` and no
        ``true``. Each part is looked at once, however often and on whatever level it is asked
        about."""
        if isinstance(value, bool):
            return ("bool", value)
        if not isinstance(value, Mapping | list | tuple):
            return _exact_number(value) if is_number(value) else value
        part = self._parts.get(id(value))  # it lives at least as long as the trial
        if part is None:
            part = self._alike.setdefault(self._shallow(value), ("part", len(self._alike)))
            self._parts[id(value)] = part
        return part

    def _shallow(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return frozenset((name, self.identity(inner)) for name, inner in value.items())
        return tuple(map(self.identity, value))


_trial: ContextVar[_Trial] = ContextVar("trial")


@dataclass(frozen=True)
class Schema:
    """A schema and what was found in it. Everything here never raises."""

    outline: Outline

    @property
    def problems(self) -> tuple[SchemaProblem, ...]:
        return self.outline.problems

    def misfit(self, value: Any, *, quoted: Any = WHOLE) -> str:
        """In what ``value`` differs, as a sentence; empty when it fits. ``quoted``: the value as it
        may be repeated, where some of it may not."""
        if not self.problems and self._fits_plainly(value):
            return ""
        found = self.misfits(value, most=1)
        return sentence(found[0], quoted=quoted) if found else ""

    def misfits(self, value: Any, *, most: int = MOST_MISFITS) -> list[ValidationError]:
        """All in which ``value`` differs, as the library's errors, up to ``most``. What keeps the
        value from being tried is an error of its own, without a keyword."""
        if self.problems:
            return [ValidationError(f"the schema can't be used: {self.problems[0]}")]
        if trouble := _untriable(value):
            return [ValidationError(trouble)]
        token = _trial.set(_Trial())
        found: list[ValidationError] = []
        try:
            for error in self._exact.iter_errors(value):
                found.append(error)
                if len(found) >= most:
                    break
        except _TooMuchError:
            found.append(ValidationError("it is too large to be tried against the schema"))
        except RecursionError:
            found.append(ValidationError("it is nested too deeply to be tried against the schema"))
        except Exception as error:  # whatever a library makes of a value must stay that value's
            reason = type(error).__name__
            found.append(ValidationError(f"it can't be tried against the schema ({reason})"))
        finally:
            _trial.reset(token)
        return found

    def _fits_plainly(self, value: Any) -> bool:
        """Whether a fast validator, which is not exact for everything, is and says that it
        fits."""
        if self._quick is None or not _is_plain(value, MOST_DEPTH):
            return False
        try:
            return bool(self._quick.is_valid(value))
        except Exception:  # what it can't read, the exact one judges
            return False

    @cached_property
    def _quick(self) -> Any:
        if not self.outline.is_plain:
            return None
        try:
            return self.outline.draft.quick(
                self.outline.schema, offline=True, validate_formats=False
            )
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
            return None

    @cached_property
    def _exact(self) -> Any:
        made = _exact_class(self.outline.draft.exact)
        return made(self.outline.schema, registry=Registry())


def sentence(error: ValidationError, *, of: str = "", quoted: Any = WHOLE) -> str:
    """A misfit as a sentence that can be kept and shown: where (below ``of``), and what is wrong
    there. The library's own words repeat the value: where that differs from what may be ``quoted``,
    the keyword says what is wrong."""
    where = ".".join([*([of] if of else []), *map(str, error.absolute_path)])
    said = error.message
    if not (quoted is WHOLE or error.validator in _OF_NAMES or _is_quoted(error, quoted)):
        wanted = json.dumps(error.validator_value)
        said = (
            f"it does not fit “{error.validator}”: {wanted}" if error.validator else "not allowed"
        )
    return shown(f"{where or 'arguments'}: {said}")


def _is_quoted(error: ValidationError, quoted: Any) -> bool:
    if not isinstance(error.validator, str | None):  # a remark of ours, which repeats nothing
        return True
    try:
        for part in error.absolute_path:
            quoted = quoted[part]
    except (LookupError, TypeError):
        return False
    return same(quoted, error.instance)


def shown(text: str) -> str:
    """Text from outside as it can be stored: no half characters, no NUL, not endless."""
    plain = _DECIMAL.sub(r"\1", text[:MOST_LETTERS])
    kept = plain.replace("\x00", "\\x00")
    return kept.encode("utf-8", "backslashreplace").decode()


def _is_plain(value: Any, levels: int) -> bool:
    """Whether a value is of types that both validators read alike, and not too deep."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -_EXACT <= value <= _EXACT
    if kind is float:
        return isfinite(value)
    if kind is dict:
        return levels > 0 and all(
            type(k) is str and _is_plain(v, levels - 1) for k, v in value.items()
        )
    return kind is list and levels > 0 and all(_is_plain(v, levels - 1) for v in value)


def _untriable(value: Any) -> str:
    """Why a value can't be tried at all; empty when it can."""
    level = [[value]]
    for _ in range(MOST_DEPTH + 2):
        level = [inner for outer in level for inner in _parts(outer)]
        if not level:
            return ""
        for inner in level:
            if not _is_finite(inner):
                return f"{inner} is not a number of JSON"
    return f"it is nested more than {MOST_DEPTH} levels deep"


def _is_finite(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return not isinstance(value, float) or isfinite(value)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        return iter(value.values())
    return iter(value if isinstance(value, list | tuple) else ())


# --- the exact validator: the library's keywords, counted, some of them with other engines --------

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


@lru_cache(maxsize=8)
def _exact_class(base: Any) -> Any:
    keywords = {**base.VALIDATORS, **_OWN}
    if base is not Draft4Validator:  # where “exclusive” is a remark on bounds
        keywords |= _NOT_OF_DRAFT_4
    checker = base.TYPE_CHECKER.redefine("integer", _is_integer).redefine("array", _is_array)
    counted = {name: _counted(keyword) for name, keyword in keywords.items()}
    return validators.extend(base, counted, type_checker=checker)


def _counted(keyword: Keyword) -> Keyword:
    def count(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        _trial.get().step()
        yield from keyword(validator, wanted, value, schema) or ()

    return count


def _is_integer(_: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return True
    if isinstance(value, Decimal):
        return value.is_finite() and value.as_integer_ratio()[1] == 1 if _is_small(value) else True
    return isinstance(value, float) and value.is_integer()


def _is_small(value: Decimal) -> bool:
    return value.adjusted() < MOST_DIGITS


def _is_array(_: Any, value: Any) -> bool:
    return isinstance(value, list | tuple)


def _matches(wanted: str, text: str) -> bool:
    return pattern(wanted).found_in(text)


def _pattern(validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if not validator.is_type(value, "string"):
        return
    try:
        if not _matches(wanted, value):
            yield ValidationError(f"{value[:200]!r} does not match {wanted!r}")
    except TooLongError:
        yield ValidationError(f"it is too long for {wanted!r} to be tried")


def _pattern_properties(
    validator: Any, wanted: Any, value: Any, _: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    for name in value:
        for source, inner in wanted.items():
            if _name_matches(source, name):
                yield from validator.descend(value[name], inner, path=name, schema_path=source)


def _name_matches(source: str, name: str) -> bool:
    _trial.get().step(_OF_A_STEP)
    try:
        return _matches(source, name)
    except TooLongError:
        return False


def _additional(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    known, sources = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [n for n in value if n not in known and not any(_name_matches(s, n) for s in sources)]
    if validator.is_type(wanted, "object"):
        for name in extras:
            yield from validator.descend(value[name], wanted, path=name)
    elif extras and wanted is False:
        names = ", ".join(repr(name[:80]) for name in extras[:10])
        were = "was" if len(extras) == 1 else "were"
        message = f"Additional properties are not allowed ({names} {were} unexpected)"
        yield ValidationError(message)


def _unique(validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if not wanted or not validator.is_type(value, "array"):
        return
    seen, trial = set(), _trial.get()
    for item in value:
        key = trial.identity(item)
        if key in seen:
            yield ValidationError(f"{str(item)[:100]!r} is not unique")
            return
        seen.add(key)


def _const(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    trial = _trial.get()
    if trial.identity(value) != trial.identity(wanted):
        yield ValidationError(f"{wanted!r} was expected")


def _enum(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    if not _trial.get().names(wanted, value):
        yield ValidationError(f"{value!r} is not one of {wanted!r}")


def _any_of(validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if not any(_fits(validator, value, one) for one in wanted):
        yield ValidationError(f"{value!r} is not valid under any of the given schemas")


def _one_of(validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    fitting = [one for one in wanted if _fits(validator, value, one)]
    if not fitting:
        yield ValidationError(f"{value!r} is not valid under any of the given schemas")
    elif len(fitting) > 1:
        yield ValidationError(f"{value!r} is valid under each of {str(fitting[:5])[1:-1]}")


def _fits(validator: Any, value: Any, schema: Any) -> bool:
    """The library would keep a sentence of each part that differs, with the whole value in it."""
    return next(iter(validator.descend(value, schema)), None) is None


def _multiple_of(validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    """By the numbers as they are written: 19.99 is a multiple of 0.01."""
    if validator.is_type(value, "number") and _exact_number(value) % _exact_number(wanted):
        yield ValidationError(f"{value!r} is not a multiple of {wanted!r}")


def _bound(words: str, holds: Callable[[Fraction, Fraction], bool]) -> Keyword:
    def bound(validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
        if not validator.is_type(value, "number") or validator.is_type(wanted, "boolean"):
            return  # draft 4 says with true or false how another keyword is meant
        if not holds(_exact_number(value), _exact_number(wanted)):
            yield ValidationError(f"{value!r} is {words} {wanted!r}")

    return bound


def _exact_number(value: Any) -> Fraction:
    if isinstance(value, Decimal) and not -MOST_DIGITS < value.adjusted() < MOST_DIGITS:
        raise OverflowError
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


_OWN: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "anyOf": _any_of,
    "enum": _enum,
    "exclusiveMaximum": _bound("greater than or equal to the maximum of", operator.lt),
    "exclusiveMinimum": _bound("less than or equal to the minimum of", operator.gt),
    "multipleOf": _multiple_of,
    "oneOf": _one_of,
    "uniqueItems": _unique,
}
_NOT_OF_DRAFT_4: dict[str, Keyword] = {
    "const": _const,
    "maximum": _bound("greater than the maximum of", operator.le),
    "minimum": _bound("less than the minimum of", operator.ge),
}
