"""Change one value in a YAML text and leave every other character as its author wrote it.

A form edit must not reflow a document or lose its comments, so nothing is dumped again: the old
value's place is found and only it is replaced. Each patch is read back before it is believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.kernel import exactjson
from apps.kernel.documents import Path, load, path_text

MOST_OF_KEY = 800  # characters; YAML reads a longer one only behind a question mark
_UNPRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_COLON = re.compile(r"\s*:")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 _./@()-]*[A-Za-z0-9.)]|[A-Za-z]")


def patch(text: str, path: Path, value: Any) -> str:
    """``text`` with the scalar at ``path``, or the list on one line, set to ``value``; missing keys
    are added. Raises ValueError when the text can't be read or has no place for it."""
    root = _composed(text)
    if not isinstance(root, MappingNode):
        raise ValueError("The text isn't a group of keys.")
    changed = _patched(text, root, path, value)
    if _value_at(load(changed).value, path) != value:
        raise ValueError(f"{path_text(path)} can't be changed here; change it in the text.")
    return changed


def without(text: str, path: Path) -> str:
    """``text`` without the key at ``path``, its value and its line. Raises ValueError where the
    text can't be read, or holds them in a way that only a person can take out."""
    node = _composed(text)
    for part in path[:-1]:
        pair = _child(node, part)
        if pair is None:
            return text
        node = pair[1]
    pair = _child(node, path[-1])
    if pair is None or pair[0] is None:
        return text
    start = text.rfind("\n", 0, pair[0].start_mark.index) + 1
    end = text.find("\n", max(pair[0].end_mark.index, pair[1].end_mark.index - 1))
    changed = text[:start] + (text[end + 1 :] if end >= 0 else "")
    wanted = load(text, exact=True).value
    del _value_at(wanted, path[:-1])[path[-1]]
    if load(changed, exact=True).value != wanted:  # nothing but the key may be gone
        raise ValueError(f"{path_text(path)} can't be taken out here; change it in the text.")
    return changed


def _composed(text: str) -> Node:
    try:
        return YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise ValueError("The text isn't YAML at the moment.") from error


def _value_at(value: Any, path: Path) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value.rstrip("\n") if isinstance(value, str) else value


def _patched(text: str, root: MappingNode, path: Path, value: Any) -> str:
    node: Node = root
    column = 0
    key: ScalarNode | None = None
    for depth, part in enumerate(path):
        pair = _child(node, part)
        if pair is None:
            return _added(text, node, path[depth:], value)
        key, node = pair
        column = key.start_mark.column if key is not None else column
    if isinstance(node, SequenceNode) and isinstance(value, list):
        return _relisted(text, node, path, value)
    if not isinstance(node, ScalarNode):
        raise ValueError(f"{path_text(path)} is a group; change it in the text.")
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in {"|", ">"}:
        return text[:start] + _block(node.style, str(value), column + 2) + text[end:]
    if not text[start:end].strip():  # "key:" with nothing after it
        after = _COLON.match(text, key.end_mark.index) if key is not None else None
        at = after.end() if after else start
        return f"{text[:at]} {scalar(value)}{text[at:]}"
    return text[:start] + scalar(value) + text[end:]


def _relisted(text: str, node: SequenceNode, path: Path, value: list[Any]) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    if not node.flow_style or "#" in text[start:end]:  # several lines, or words of its author
        raise ValueError(f"{path_text(path)} is a list over several lines; change it in the text.")
    return text[:start] + scalar(value) + text[end:]


def _child(node: Node, part: str | int) -> tuple[ScalarNode | None, Node] | None:
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    if isinstance(node, MappingNode):
        return next(((k, v) for k, v in node.value if k.value == part), None)
    return None


def _added(text: str, node: Node, rest: Path, value: Any) -> str:
    if not isinstance(node, MappingNode) or not all(isinstance(p, str) for p in rest):
        raise ValueError(f"There is no place for {path_text(rest)}; add it in the text.")
    entry = scalar(value)
    for part in reversed(rest[1:]):
        entry = f"{{{part}: {entry}}}"
    entry = f"{rest[0]}: {entry}"
    if node.flow_style:
        at = node.start_mark.index + 1
        return f"{text[:at]}{entry}{', ' if node.value else ''}{text[at:]}"
    first = node.value[0][0].start_mark
    if node.start_mark.column == 0 and first.column == 0:
        return f"{text.rstrip()}\n{entry}\n"
    at = first.index
    return f"{text[:at]}{entry}\n{' ' * first.column}{text[at:]}"


def _block(style: str, value: str, indent: int) -> str:
    lines = (f"{' ' * indent}{line}".rstrip() for line in value.strip("\n").split("\n"))
    gap = "\n\n" if style == ">" else "\n"
    return f"{style}\n{gap.join(lines)}\n"


def dumped(value: Any) -> str:
    """A whole value as YAML text, the same for the same value: groups and lists over several
    lines, keys in the order given. ``load(…, exact=True)`` reads the same value back."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            *before, last = _key(key)
            yield from before
            yield from _under(last, inner)
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            first, *rest = _lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield scalar(value)


def _under(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield key
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{key} {scalar(value)}"


def _key(key: str) -> list[str]:
    written = scalar(key)
    return [f"{written}:"] if len(written) <= MOST_OF_KEY else [f"? {written}", ":"]


def _quoted(text: str) -> str:
    """Text in quotation marks, with an escape for what YAML doesn't take or reads as a line's
    end."""
    return _UNPRINTED.sub(lambda c: f"\\u{ord(c[0]):04x}", json.dumps(text, ensure_ascii=False))


def scalar(value: Any) -> str:
    """One value as YAML on one line, quoted when it could be read as something else."""
    if isinstance(value, list):
        return f"[{', '.join(scalar(item) for item in value)}]"
    if not isinstance(value, str):
        return exactjson.dumps(value)
    plain = _PLAIN.fullmatch(value) is not None and load(f"v: {value}").value == {"v": value}
    return value if plain else _quoted(value)
