"""A hostile case: one tool of its own, what is said to start a run with it, and what its server or
its model answers. Everything follows from seed and number."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fuzz import corpus

KINDS = ("arguments", "proposals", "facts", "previews", "results", "schemas", "replies", "inputs")
WRITABLE = 120  # levels, by the library that writes the packs of the tests
PLAIN_SCHEMA = {"type": "object", "properties": {"x": {}}}
FACTS = {"amount_cents": "long", "owner": "string?", "flags": "set", "paid": "bool"}
KNOWN = '{"amount_cents": 5, "owner": "ada", "flags": ["a"], "paid": true}'
EFFECTS = (
    {"effect": "read"},
    {"effect": "write", "idempotency": "none"},
    {"effect": "write", "idempotency": "keyed"},
    {"effect": "irreversible", "idempotency": "lookup", "lookup": "look"},
)


@dataclass(frozen=True)
class Case:
    """``arguments``, ``input``, ``foreseen``, ``answer`` and ``reply`` are texts as they are sent;
    ``answer`` and ``foreseen`` are whole JSON-RPC messages with ID for the request's."""

    seed: int
    number: int
    kind: str
    tool: str
    entry: dict[str, Any]
    arguments: str = '{"x": 1}'
    input: str = "{}"
    foreseen: str = ""
    answer: str = ""
    reply: str = ""
    found: str = ""

    def __str__(self) -> str:
        texts = {k: v for k, v in vars(self).items() if isinstance(v, str) and v}
        said = "\n".join(f"  {k}: {v[:400]!r} ({len(v)})" for k, v in texts.items())
        return f"seed {self.seed}, case {self.number}\n{said}\n  entry: {str(self.entry)[:600]}"


def make(seed: int, number: int, tool: str) -> Case:
    """The case of this number."""
    random = Random(f"{seed}/{number}")
    kind = KINDS[number % len(KINDS)]
    entry: dict[str, Any] = {"name": tool, "title": f"Tool {tool}", **random.choice(EFFECTS)}
    if entry["effect"] != "read":
        entry["sentence"] = "Do it" if kind == "schemas" else "Do {x}"
        if kind in ("facts", "previews") or random.random() < 0.3:
            entry |= {"preview": "foresee", "facts": dict(FACTS)}
    schema: Any = PLAIN_SCHEMA
    if kind == "schemas":
        schema = _stated(random)
    more = _more(random, kind)
    return Case(seed, number, kind, tool, {**entry, "input_schema": schema}, **more)


def _stated(random: Random) -> Any:
    """A schema as YAML can hold it."""
    while True:
        text = f'{{"type":"object","properties":{{"x":{corpus.schema(random)}}}}}'
        if random.random() < 0.3:
            text = corpus.schema(random)
        try:
            found = json.loads(text)
            json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            continue
        if len(text) < 200_000 and _levels(found) <= WRITABLE:
            return found


def _levels(value: Any) -> int:
    """How deeply a schema is nested, as far as it matters."""
    levels, inner = 0, [value] if isinstance(value, dict | list) else []
    while inner and levels <= WRITABLE:
        parts = [v.values() if isinstance(v, dict) else v for v in inner]
        inner = [p for whole in parts for p in whole if isinstance(p, dict | list)]
        levels += 1
    return levels


def _more(random: Random, kind: str) -> dict[str, str]:
    more = {"foreseen": _result(f'{{"changes": [], "facts": {KNOWN}}}'), "answer": _result("{}")}
    more["found"] = _result(_looked_up(random))
    more["arguments"] = random.choice(('{"x": 1}', '{"x": 2}'))  # the first one is held
    if kind in ("arguments", "proposals"):
        more["arguments"] = _arguments(random)
    if kind == "facts":
        more["foreseen"] = _result(f'{{"changes": [], "facts": {_facts(random)}}}')
    if kind == "previews":
        more["foreseen"] = (
            _result(_preview(random)) if random.random() < 0.8 else odd_answer(random)
        )
    if kind == "results":
        more["answer"] = odd_answer(random)
    if kind == "schemas":
        more["arguments"] = f'{{"x":{corpus.value(random)},"a":{corpus.value(random)}}}'
    if kind == "replies":
        more["reply"] = _reply(random)
    if kind == "inputs":
        more["input"] = corpus.value(random) if random.random() < 0.3 else _arguments(random)
    return more


def _arguments(random: Random) -> str:
    if random.random() < 0.15:
        return corpus.value(random)
    pairs = [f'"x":{corpus.value(random)}']
    pairs += [f'"{corpus.key(random)}":{corpus.value(random)}' for _ in range(random.randint(0, 3))]
    return "{" + ",".join(pairs) + "}"


def _facts(random: Random) -> str:
    if random.random() < 0.15:
        return corpus.value(random)
    known = {k: json.dumps(v) for k, v in json.loads(KNOWN).items()}
    for name in random.sample(list(known), random.randint(1, 3)):
        if random.random() < 0.3:
            del known[name]
        else:
            known[name] = corpus.value(random)
    known |= {corpus.key(random): corpus.value(random)} if random.random() < 0.5 else {}
    return "{" + ",".join(f'"{k}":{v}' for k, v in known.items()) + "}"


def _preview(random: Random) -> str:
    parts = {"facts": KNOWN}
    for name in random.sample(("changes", "before", "after", "refusal"), random.randint(1, 4)):
        parts[name] = corpus.value(random)
    if random.random() < 0.6:
        path = random.choice(('"/a"', '""', "7", '"/a~2b/' + "x" * 5_000 + '"', r'"\ud800"'))
        sides = f'"before":{corpus.value(random)},"after":{corpus.value(random)}'
        parts["changes"] = f'[{{"path":{path},{sides}}},{corpus.value(random)}]'
    return "{" + ",".join(f'"{k}":{v}' for k, v in parts.items()) + "}"


def _looked_up(random: Random) -> str:
    found = random.choice(("true", "false", '"yes"', "1", "null"))
    return f'{{"found":{found},"result":{corpus.value(random)}}}'


def _message(members: str, number: str = "ID") -> str:
    return f'{{"jsonrpc":"2.0","id":{number},{members}}}'


def _result(document: str) -> str:
    text = json.dumps(document)
    said = f'{{"content":[{{"type":"text","text":{text}}}],"structuredContent":{document}}}'
    return _message(f'"result":{said}')


def odd_answer(random: Random) -> str:
    """A whole answer of a tool."""
    value = corpus.value(random)
    error = f'{{"code":{random.choice((*corpus.NUMBERS, "-32602", "null"))},"message":{value}}}'
    content = [_part(random) for _ in range(random.choice((0, 1, 1, 2, 120)))]
    listed = "[" + ",".join(content) + "]"
    flag = random.choice(("true", "true", "false", '"yes"', "1", "null"))
    plain = _message(f'"result":{{"content":{listed}}}')
    return random.choice(
        (
            _message(f'"result":{{"content":{listed},"isError":{flag}}}'),
            _message(f'"result":{{"content":{listed},"structuredContent":{value}}}'),
            _message(f'"result":{{"content":{listed},"_meta":{value}}}'),
            _message(f'"result":{{"content":{value}}}'),
            _message(f'"result":{value}'),
            _message(f'"error":{error}'),
            _message(f'"error":{value}'),
            _message(f'"result":{value},"error":{error}'),
            _message('"result":{"content":[]}', random.choice((*corpus.NUMBERS, '"ID"', "null"))),
            f"[{plain},{value}]",
            plain + value,
            value,
        )
    )


def _part(random: Random) -> str:
    value = corpus.value(random, 2)
    blob = json.dumps(random.choice((base64.b64encode(b"\x00" * 99).decode(), "@@@", "a" * 99_999)))
    where = random.choice(('"file:///etc/passwd"', '"javascript:1"', '"x"', value))
    mime = random.choice(('"text/html"', r'"a/b\r\nX: y"', '"image/svg+xml"', '""', value))
    return random.choice(
        (
            f'{{"type":"text","text":{value}}}',
            f'{{"type":"text","text":"x","annotations":{value},"_meta":{value}}}',
            f'{{"type":"image","data":{blob},"mimeType":{mime}}}',
            f'{{"type":"audio","data":{value},"mimeType":{mime}}}',
            f'{{"type":"resource","resource":{{"uri":{where},"text":{value}}}}}',
            f'{{"type":"resource","resource":{{"uri":{where},"blob":{blob},"mimeType":{mime}}}}}',
            f'{{"type":"resource","resource":{value}}}',
            f'{{"type":"resource_link","uri":{where},"name":{value}}}',
            f'{{"type":{value},"text":"x"}}',
            value,
        )
    )


def _reply(random: Random) -> str:
    """A chat completion. TOOL stands for the name of the case's tool."""
    value, arguments = corpus.value(random), json.dumps(_arguments(random))
    name = random.choice(('"TOOL"', '"TOOL"', '"TOOL"', value, r'"a\u0000"', '""'))
    call = f'{{"id":"c","type":"function","function":{{"name":{name},"arguments":{arguments}}}}}'
    calls = random.choice((f"[{call}]", f"[{call}]", f"[{call},{call}]", value, f"[{value}]"))
    message = random.choice(
        (
            f'{{"role":"assistant","content":null,"tool_calls":{calls}}}',
            f'{{"role":"assistant","content":{value},"tool_calls":{calls}}}',
            f'{{"role":"assistant","content":{value}}}',
            f'{{"role":{value},"content":"x","refusal":{value}}}',
            value,
        )
    )
    finish = random.choice(('"stop"', '"tool_calls"', '"length"', "null", value))
    used = random.choice((*corpus.NUMBERS, value))
    usage = random.choice((f'{{"prompt_tokens":{used},"completion_tokens":{used}}}', value))
    choice = f'{{"index":0,"finish_reason":{finish},"message":{message}}}'
    choices = random.choice((f"[{choice}]", f"[{choice}]", f"[{choice}]", value))
    return (
        f'{{"id":"x","object":"chat.completion","model":"m","choices":{choices},"usage":{usage}}}'
    )
