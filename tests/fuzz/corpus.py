"""Values that nobody expects, as the text that comes over the wire: mostly JSON, some of it not."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

NUMBERS = (
    *("0", "-0", "-0.0", "0e0", "1e18", "60000.0", "6e4", "6E+4", "0.1", "1.10", "5e-324"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9007199254740993"),
    *("0.30000000000000004", "1.7976931348623159e308", "1e400", "-1e400", "1e-400", "2.5e-4299"),
    *("1e4299", "1e4300", "1e-4300", "1e999999999", "-1e-999999999", "123456789012345.1234567890"),
    *("7" * 4300, "7" * 4301, "-" + "9" * 4300, "0." + "3" * 4300, "1" + "0" * 30_000),
    *('"60000"', '"1e18"', '"NaN"', '"-0"', '"٣"', "true"),
)
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1_000", "٣", "--1")
TEXTS = (
    *('""', '" "', r'"\ud800"', r'"\udfff\ud800"', r'"a\ud83d"', r'"\u0000"', r'"a\u0000b"'),
    *('"\u202eexe.gpj\u2066"', '"\u200f\u200e"', '"\u2028\u2029"', '"\ufffe\uffff"', '"\x7f"'),
    *('"é"', '"e\u0301"', '"👩\u200d👧"', '"Ана"', '"\u0130i\u0131"', '"ﷺ"'),
    *('"<script>alert(1)</script>"', '"\'; DROP TABLE runs_run; --"', '"{{ 7|add:7 }}{% url %}"'),
    *('"%s %(x)s %n {0} {x!r}"', '"../../etc/passwd"', '"=HYPERLINK(1)"', '"javascript:alert(1)"'),
    *('"Control Tower: approved"', '"[Control Tower] yes"', r'"\r\nSet-Cookie: a=b"', '"\x1b[2J"'),
    *('"2026-02-30T25:61:00Z"', '"9999-12-31T23:59:59+14:00"', '"null"', '"aaaaaaaaaaaaaaaaaaaab"'),
)
BROKEN = ("", "{", "[1,]", '{"a":1,}', "'a'", '"a', '{"a" 1}', "\ufeff{}", "{} {}", '"\n"', "nul")
KEYS = (
    *("", " ", "$ref", "$id", "$int", "$float", "$decimal", "$schema", "__proto__", "__class__"),
    *("constructor", "toString", "items", "keys", "get", "pk", "0", "-1", "a.b", "a/b~1", "%00"),
    *(r"\u0000", r"\ud800", "\u202e", "<b>", "id", "tool", "args", "call", "facts", "changes"),
    *("amount_cents", "owner", "flags", "paid", "refusal", "before", "after", "unreadable", "type"),
    *("k" * 300, "k" * 70_000),
)
FLAT = ("null", "true", "false", "[]", "{}", "[[]]", '[""]', "[null]", '{"":{}}')
DEPTHS = (5, 98, 99, 100, 101, 600, 5_000, 120_000)


def deep(random: Random) -> str:
    """A list in a list, or an object in an object."""
    depth = random.choice(DEPTHS)
    if random.random() < 0.5:
        return "[" * depth + "]" * depth
    return '{"a":' * depth + "1" + "}" * depth


def wide(random: Random) -> str:
    """Many of one kind side by side."""
    count = random.choice((201, 1_000, 20_000))
    if random.random() < 0.5:
        return "[" + ",".join([random.choice(("0", "null", '"x"', "{}"))] * count) + "]"
    return "{" + ",".join(f'"k{n}":{n}' for n in range(count)) + "}"


def large(random: Random) -> str:
    """A text of up to some megabytes."""
    count = random.choice((4_001, 70_000, 900_000, 1_100_000, 3_000_000, 5_000_000))
    return json.dumps(random.choice(("x", "<", "é", "a ")) * (count // 2), ensure_ascii=False)


def twice(random: Random) -> str:
    """An object that names one key twice."""
    key = random.choice(("a", "amount_cents", "user_id", "changes"))
    return f'{{"{key}":{value(random, 3)},"{key}":{value(random, 3)}}}'


def some_object(random: Random, level: int = 0) -> str:
    """An object of odd keys and values."""
    pairs = (f'"{key(random)}":{value(random, level + 1)}' for _ in range(random.randint(0, 4)))
    return "{" + ",".join(pairs) + "}"


def some_list(random: Random, level: int = 0) -> str:
    """A list of odd values."""
    return "[" + ",".join(value(random, level + 1) for _ in range(random.randint(0, 4))) + "]"


def key(random: Random) -> str:
    """A key as it stands between quotes in JSON."""
    return random.choice(KEYS[:-1] if random.random() < 0.98 else KEYS)


def _one_of(choices: tuple[str, ...]) -> Callable[[Random], str]:
    return lambda random: random.choice(choices)


_LEAVES = ((30, _one_of(NUMBERS)), (25, _one_of(TEXTS)), (10, _one_of(FLAT)))
_ODD = (
    (3, _one_of(NO_NUMBERS)),
    (1, _one_of(BROKEN)),
    (2, deep),
    (1, wide),
    (1, large),
    (2, twice),
)


def value(random: Random, level: int = 0) -> str:
    """Any odd value, small ones mostly."""
    kinds = [*_LEAVES, *_ODD]
    if level < 4:
        kinds += [(8, lambda r: some_object(r, level)), (6, lambda r: some_list(r, level))]
    weights = [weight for weight, _ in kinds]
    return random.choices([made for _, made in kinds], weights)[0](random)


PATTERNS = (
    *(r"^[\p{L}\p{N} ._-]+$", r"(a|aa)+$", r"^(a+)+$", r"(?=a)b", r"(?!x).*", r"(?<=a)b", r"(a)\1"),
    *("[", "(", "a{1001}", "(a{500}){500}", r"\p{Nope}", r"\u{110000}", r"^\d+$", "(?i)a", r"\cA"),
    *(r"[\b]", r"\k<n>", "(?<n>a)", "a**", "x" * 20_000, r"[^\s\S]", r"\ud83d", "\x00", ""),
)
REFERENCES = (
    *(
        "#",
        "#/$defs/a",
        "#/nowhere",
        "file:///etc/passwd",
        "http://127.0.0.1:9/s",
        "//h/s",
        "a.json",
    ),
    *(
        "#/%24defs/a",
        "#/$defs/a~1b",
        "urn:x",
        "http://[::1",
        "data:,{}",
        "#" + "/a" * 5_000,
        "\x00",
    ),
)
KEYWORDS = (
    *("type", "enum", "const", "pattern", "minimum", "maximum", "multipleOf", "required", "items"),
    *("properties", "additionalProperties", "patternProperties", "allOf", "oneOf", "not", "$ref"),
    *("$defs", "$schema", "$id", "$anchor", "$dynamicRef", "if", "then", "dependentSchemas"),
    *("uniqueItems", "maxLength", "minItems", "format", "contentEncoding", "unevaluatedProperties"),
)


BOUNDS = ("minimum", "maximum", "multipleOf", "maxLength", "minItems", "const")


def schema(random: Random, level: int = 0) -> str:
    """A JSON Schema of which any part may be odd."""
    made = []
    for name in random.sample(KEYWORDS, random.randint(1, 4)):
        said = _keyword(random, name, level)
        made.append(f"{json.dumps(name)}:{said}")
    return "{" + ",".join(made) + "}"


def _keyword(random: Random, name: str, level: int) -> str:
    if random.random() < 0.15:
        return value(random, 2)
    inner = schema(random, level + 1) if level < 3 else "true"
    pattern, reference = random.choice(PATTERNS), random.choice(REFERENCES)
    kinds = ('"object"', '"number"', '["object","null"]', '"widget"', "7")
    named = f'{{"{key(random)}":{inner},"a":{inner}}}'
    made = {
        "pattern": json.dumps(pattern),
        "patternProperties": f"{{{json.dumps(pattern)}:{inner}}}",
        "type": random.choice(kinds),
        **dict.fromkeys(("$ref", "$dynamicRef", "$id"), json.dumps(reference)),
        **dict.fromkeys(("properties", "$defs", "dependentSchemas"), named),
        **dict.fromkeys(("enum", "required"), some_list(random, 2)),
        **dict.fromkeys(("allOf", "oneOf"), f"[{inner},{inner}]"),
        **dict.fromkeys(BOUNDS, random.choice(NUMBERS)),
    }
    return made.get(name, inner)
