"""The one door for JSON from outside: a number is its value, whatever its spelling.

A value of ours is ``None``, ``bool``, ``str``, ``int``, ``float``, ``Decimal``, a ``list`` or a
``dict`` of such. Each number has one form: a whole number is an ``int`` (``60000.0``, ``6e4`` and
``60000`` are the same, ``-0.0`` is 0); a fraction is a ``float`` where the shortest text of that
float says exactly it, else a normalised ``Decimal``. So no digit is lost and equal numbers are the
same object to whoever compares or digests them. Text is never taken for a number.

What can't be carried to the database, the tool and the page unchanged is refused by name and place:
NaN and infinities, numbers that need more than 4,300 digits, half a surrogate pair, NUL (which
``jsonb`` can't hold), a key twice in one object, and what is nested too deeply or too large.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, NoReturn, TypeAlias

import orjson

from apps.kernel.errors import InvalidInputError

Json: TypeAlias = Any  # None | bool | str | int | float | Decimal | list[Json] | dict[str, Json]
Number: TypeAlias = int | float | Decimal

MAX_DIGITS = 4300  # of a number written out without exponent; also what Python reads and writes
MAX_DEPTH = 100  # so that no library's recursion breaks
STORED_DEPTH = 200  # of what is read from a row, whoever wrote it
MAX_BYTES = 4 * 1024 * 1024
PATH_CHARS = 200
_BEYOND = 10**MAX_DIGITS
_ODD_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F])")  # NUL, and halves of surrogate pairs
_SURROGATE = re.compile("[\ud800-\udfff]")
_LITERAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?")
_EXPONENT_DIGITS = 9  # of an exponent that is read at all
_SHORT = 16  # characters, of which one at least is no digit
_POWER = re.compile(r"[0-9][eE][+-]?0*([0-9]{1,9})(?![0-9])")
# A text without an end is taken to the end: else each of its quotes would be tried as a beginning.
_TEXT_OR_POWER = re.compile(rf'"[^"\\]*(?:\\.[^"\\]*)*"?|{_POWER.pattern}')
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')  # texts and brackets of sound JSON


class NotCarriedError(InvalidInputError, ValueError):
    """A value that can't be carried exactly. ``str(error)`` says where and why, ``fix`` what to do
    about it. ``parts`` is the place (keys and positions; empty for the whole) and ``path`` the
    same as text that can be shown. ``code``: not_exact (a number), no_json, not_unicode, nul,
    key_twice, too_deep, too_large."""

    def __init__(self, code: str, reason: str, fix: str, parts: tuple[str | int, ...] = ()) -> None:
        self.reason = reason
        self.fix = fix
        self.parts = parts
        self.path = _path_text(parts)
        where = self.path or "The value"
        super().__init__(f"{where} {reason}.", code=code, field=self.path, fix=fix)

    def within(self, part: str | int) -> NotCarriedError:
        """The same, of a value that has this one at ``part``."""
        return NotCarriedError(self.code, self.reason, self.fix, (part, *self.parts))


def _path_text(parts: tuple[str | int, ...]) -> str:
    """A path as it may be shown and stored: its keys are from outside too."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).removeprefix(".")
    whole = text if len(text) <= PATH_CHARS else f"{text[:PATH_CHARS]}…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in whole)


class _Unread:
    """Stands where a number stood that can't be read, until its place is known."""

    def __init__(self, error: NotCarriedError) -> None:
        self.error = error


# --- reading --------------------------------------------------------------------------------------


def loads(raw: bytes | str, *, most_bytes: int = MAX_BYTES) -> Json:
    """JSON text from outside as a value of ours. Raises ``NotCarriedError``, also for text that is
    no JSON."""
    if len(raw) > most_bytes:
        raise _too_large(len(raw), most_bytes)
    text = _decoded(raw)
    if (written := _written_out(text)) > most_bytes:
        raise _too_large(written, most_bytes)
    try:
        value = _decoded_by(_STRICT, text)
    except NotCarriedError as error:
        if error.code in ("no_json", "too_deep"):
            raise
        return check(_decoded_by(_LENIENT, text))  # says where it stands
    # What else can be wrong with it leaves a trace in its text.
    is_odd = _ODD_ESCAPE.search(text) or _is_deeper(text, value, MAX_DEPTH)
    return check(value) if is_odd else value


def _written_out(text: str) -> int:
    """How long the text is at most with every number in full, which is what reading, keeping and
    sending it costs. A number that isn't let in for its own length is told by its place instead."""
    if not _POWER.search(text):
        return len(text)
    powers = (int(found[1]) for found in _TEXT_OR_POWER.finditer(text) if found[1])
    return len(text) + sum(power for power in powers if power <= MAX_DIGITS)


def _decoded_by(decoder: json.JSONDecoder, text: str) -> Json:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotCarriedError(
            "no_json", f"is no JSON ({error.msg}: {where})", "Send valid JSON."
        ) from error
    except RecursionError as error:
        raise _too_deep() from error


def _is_deeper(text: str, value: Json, most: int) -> bool:
    """Level by level, since a value may hold millions of small lists; at once for most texts."""
    if text.count("[") + text.count("{") <= most:
        return False
    level = [value]
    for _ in range(most):
        level = [
            part
            for whole in level
            for part in (whole.values() if type(whole) is dict else whole)
            if type(part) is dict or type(part) is list
        ]
        if not level:
            return False
    return True


def _decoded(raw: bytes | str) -> str:
    try:
        if isinstance(raw, str):
            raw.encode()
            return raw
        return bytes(raw).decode("utf-8-sig")
    except UnicodeError as error:
        raise NotCarriedError("no_json", "isn't valid UTF-8", "Send it as UTF-8.") from error


def read_stored(text: str | bytes) -> Json:
    """The text of a ``jsonb`` column as a value of ours. Never refuses: what is there was let in
    once, be it by an older release. What is nested more deeply than ``STORED_DEPTH`` comes as its
    JSON text, so that every row can be read, written and shown. Raises ``ValueError`` for what is
    no JSON."""
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = _read(text)
    except RecursionError:
        return _read(_flattened(text))
    return _read(_flattened(text)) if _is_deeper(text, value, STORED_DEPTH) else value


def read_whole(text: str | bytes, *, deepest: int = MAX_DEPTH) -> Json:
    """The same for what will be acted upon, or vouched for: raises ``NotCarriedError`` for what is
    nested more deeply than ``deepest`` (as deeply as we send), since a text in a container's place
    would be another value."""
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = _read(text)
    except RecursionError as error:
        raise _too_deep() from error
    if _is_deeper(text, value, deepest):
        raise _too_deep()
    return value


def _flattened(text: str) -> str:
    """Sound JSON in which a text stands for each container below the deepest level that is read."""
    depth = began = 0
    kept: list[str] = []
    copied = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            began = token.start() if depth == STORED_DEPTH + 1 else began
        elif token[0] in "]}":
            depth -= 1
            if depth == STORED_DEPTH:
                kept += [text[copied:began], json.dumps(text[began : token.end()])]
                copied = token.end()
    return "".join(kept) + text[copied:]


def _read(text: str) -> Json:
    try:
        value, end = _scan(text, 0)  # spares the decoder's search for white space
        return value if end == len(text) else _STORED.decode(text)
    except StopIteration:
        return _STORED.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of more digits than is let in today
        return _LONG.decode(text)


def check(value: Any) -> Json:
    """A value that somebody else has parsed, as a value of ours (a copy). Raises
    ``NotCarriedError``. A float stands for its shortest text: 1e23 is 10 to the power of 23."""
    try:
        return _checked(value, 0)
    except RecursionError as error:
        raise _too_deep() from error


def _checked(value: Any, depth: int) -> Json:
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None or kind is bool:
        return value
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, Mapping | list | tuple):
        return _container(value, depth)
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, _Unread):
        raise value.error
    raise NotCarriedError("no_json", f"is a {kind.__name__}, which JSON doesn't have", "Send JSON.")


def _container(value: Any, depth: int) -> Json:
    if depth == MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, Mapping):
        return _members(((_key(k), v) for k, v in value.items()), depth + 1)
    return list(_members(enumerate(value), depth + 1).values())


def _members(members: Iterable[tuple[Any, Any]], depth: int) -> dict[Any, Json]:
    found: dict[Any, Json] = {}
    for name, item in members:
        try:
            found[name] = _checked(item, depth)
        except NotCarriedError as error:
            raise error.within(name) from None
    return found


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise NotCarriedError("no_json", "has a key that is no text", "Write keys as text.")
    return _text(str(key))


def _text(value: str) -> str:
    if "\x00" in value:
        raise NotCarriedError("nul", "has a NUL character (\\u0000)", "Leave it out.")
    if not value.isascii() and _SURROGATE.search(value):
        fix = "Send valid Unicode: a pair, or the character itself."
        raise NotCarriedError("not_unicode", "has half a surrogate pair", fix)
    return value


# --- numbers --------------------------------------------------------------------------------------


def is_number(value: object) -> bool:
    """Whether a value of ours is a number; true and false are none."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def number(text: str) -> Number:
    """A number by its JSON text, in the one form that its value has. Raises ``NotCarriedError``."""
    found = _LITERAL.fullmatch(text)
    if found is None:
        raise NotCarriedError("no_json", f"is no number ({text[:40]!r})", "Write it as JSON does.")
    sign, whole, rest, turn, power = found.groups(default="")
    significant = (whole + rest).lstrip("0")
    digits = significant.rstrip("0")
    if not digits:
        return 0
    if len(power) > _EXPONENT_DIGITS:
        raise _too_long()
    exponent = int(f"{turn}{power or 0}") - len(rest) + len(significant) - len(digits)
    if max(len(digits) + exponent, -exponent, len(digits)) > MAX_DIGITS:
        raise _too_long()
    if exponent >= 0:
        return int(sign + digits + "0" * exponent)
    exact = Decimal(f"{sign}{digits}E{exponent}")
    nearest = float(text)
    return nearest if isfinite(nearest) and Decimal(repr(nearest)) == exact else exact


def number_text(value: Number) -> str:
    """A number in full, without exponent and never rounded: as people and rules read it."""
    if isinstance(value, int):
        return str(int(value))
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    text = format(exact, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _number(value: Number) -> Number:
    if isinstance(value, int):
        if not -_BEYOND < value < _BEYOND:
            raise _too_long()
        return int(value)
    if isinstance(value, Decimal):
        return number(str(value)) if value.is_finite() else _refuse(str(value))
    if not isfinite(value):
        return _refuse(str(value))
    return number(repr(float(value))) if value.is_integer() else float(value)


def _fraction(text: str) -> Number:
    """What the scanner of the standard library asks for each number with a point or exponent."""
    found = float(text)
    if len(text) <= _SHORT and 1e-290 < abs(found) < 1e15:
        # Of at most 15 digits, so that no other such number has this float (David Gay, 1990).
        return int(found) if found.is_integer() else found
    return found if repr(found) == text and not found.is_integer() else number(text)


def _refuse(word: str) -> NoReturn:
    raise _no_number(word)


def _no_number(word: str) -> NotCarriedError:
    name = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(word, word)
    return NotCarriedError(
        "not_exact", f"is {name}, which is no number in JSON", "Send a number or null."
    )


def _too_long() -> NotCarriedError:
    reason = f"is a number of more than {MAX_DIGITS:,} digits"
    return NotCarriedError("not_exact", reason, "Send fewer digits, or send it as text.")


def _too_deep() -> NotCarriedError:
    reason = f"is nested more than {MAX_DEPTH} levels deep"
    return NotCarriedError("too_deep", reason, "Make it flatter.")


def _too_large(found: int, most: int) -> NotCarriedError:
    reason = f"has {found:,} bytes; {most:,} are the most"
    return NotCarriedError("too_large", reason, "Send less.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotCarriedError(
            "key_twice", f"has the key {twice[:80]!r} twice", "Send each key once."
        )
    return found


def _whole(text: str) -> Number:
    return int(text) if len(text) <= MAX_DIGITS else number(text)


def _unread(text: str) -> Number | _Unread:
    try:
        return number(text)
    except NotCarriedError as error:
        return _Unread(error)


def _any_length(text: str) -> Number:
    try:
        return number(text)
    except NotCarriedError:
        return Decimal(text)


_STRICT = json.JSONDecoder(
    parse_float=_fraction, parse_int=_whole, parse_constant=_refuse, object_pairs_hook=_once
)
_LENIENT = json.JSONDecoder(
    parse_float=_unread,
    parse_int=_unread,
    parse_constant=lambda word: _Unread(_no_number(word)),
    object_pairs_hook=_once,
)
_STORED = json.JSONDecoder(parse_float=_fraction)
_scan = _STORED.scan_once  # type: ignore[attr-defined]  # known to no stub
_LONG = json.JSONDecoder(parse_float=_any_length, parse_int=_any_length)


# --- writing --------------------------------------------------------------------------------------


def dumps(value: Json, *, indent: bool = False, sort_keys: bool = False) -> str:
    """A value of ours as JSON text, every digit of it. Raises ``TypeError`` for another value."""
    option = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    try:
        return orjson.dumps(value, default=decimal_json, option=option).decode()
    except orjson.JSONEncodeError:  # an integer of more than 64 bits, or no value of ours
        return orjson.dumps(with_long_integers(value), default=decimal_json, option=option).decode()


def decimal_json(value: object) -> orjson.Fragment:
    """What ``orjson`` asks about a ``Decimal``: its digits. Raises ``TypeError`` for any other."""
    if isinstance(value, Decimal):
        return orjson.Fragment(number_text(value))
    raise TypeError(f"{type(value).__name__} is no JSON")


def with_long_integers(value: Any) -> Any:
    """A copy in which the integers that ``orjson`` can't write are pieces of JSON."""
    if isinstance(value, Mapping):
        return {k: with_long_integers(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [with_long_integers(v) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return orjson.Fragment(format(Decimal(value), "f"))  # of any length
    return value


# --- comparing ------------------------------------------------------------------------------------


def same(one: Json, other: Json) -> bool:
    """Whether two values of ours are the same JSON value. Python's ``==`` is not enough: to it
    ``True`` is 1, and a float equals the long decimal that it is in binary."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
