"""Change a YAML text so that it states another value, and leave what stays as its author wrote it.

What differs is found key by key and item by item, and only that is replaced, added or taken out.
Comments directly above a key, on its line and inside its value are that key's: they stay with it,
and go with it. The text is read back before it is believed; where the result isn't what was wanted
whole values, at last the whole text, are written anew.
"""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.tokens import BlockEntryToken, KeyToken, ScalarToken, Token, ValueToken

from apps.kernel import exactjson
from apps.kernel.documents import load
from apps.kernel.exactjson import Json
from apps.kernel.patching import MOST_OF_KEY, dumped, scalar

IN_FLOW = -1  # the column of what stands between brackets
WIDTH = 96  # of the lines of a folded text that is written anew
_COMMENT = re.compile(r"(?:(?<=^)|(?<=\s))#[^\n]*", re.MULTILINE)
_AFTER_LEAD = re.compile(r"[ \t]*(#[^\n]*)?")
_SAID = re.compile(r"[ \t]+#[^\n]*")
_COMMENT_LINE = re.compile(r"( *)#[^\n]*")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text, and the comments of the old one that it doesn't have any more, in their order."""

    text: str
    lost: tuple[str, ...] = ()


def rewritten(text: str, wanted: Json) -> Rewritten:
    """``text``, changed so that it states ``wanted``, a value of ours: ``load(…, exact=True)``
    reads it back. Keys stay in the order of the text, new ones follow those that they follow in
    ``wanted``. Raises ValueError for a text that can't be read without a problem, unless it is
    empty, and for a value that no text can state: one nested too deeply."""
    before = load(text, exact=True)
    is_empty = not _COMMENT.sub("", text).strip()
    if before.problems and not is_empty:
        raise ValueError(str(before.problems[0]))
    if not is_empty and exactjson.same(before.value, wanted):
        return Rewritten(text)
    head = text if is_empty and _COMMENT.search(text) else ""
    for changed in _tries(text, before.value, wanted, head=head, is_empty=is_empty):
        if _states(changed, wanted):
            return Rewritten(changed, _lost(text, changed))
    problems = load(dumped(wanted), exact=True).problems
    raise ValueError(str(problems[0]) if problems else "The text can't state this value.")


def _tries(text: str, value: Json, wanted: Json, *, head: str, is_empty: bool) -> Iterator[str]:
    """What the text could become, the one that keeps most first."""
    if not is_empty:
        for deepest in (None, 1):
            with suppress(_CantBeKeptError):
                yield _Writer(text, deepest).changed(value, wanted)
    whole = dumped(wanted)
    yield f"{head.rstrip()}\n{whole}" if head else whole
    yield whole


def _states(text: str, wanted: Json) -> bool:
    found = load(text, exact=True)
    return not found.problems and exactjson.same(found.value, wanted)


def _lost(before: str, after: str) -> tuple[str, ...]:
    left = Counter(comments(after))
    lost = []
    for comment in comments(before):
        left[comment] -= 1
        if left[comment] < 0:
            lost.append(comment)
    return tuple(lost)


def comments(text: str) -> list[str]:
    """The comments of a text that can be read as YAML, each from its ``#`` on."""
    found: list[str] = []
    at = 0
    for token in _tokens(text):
        if not isinstance(token, ScalarToken):
            continue
        start, end = token.start_mark.index, token.end_mark.index
        found += _COMMENT.findall(text, at, start)
        if token.style in ("|", ">"):  # what follows the mark of the block
            found += _COMMENT.findall(text[start:end].partition("\n")[0])
        at = end
    return [*found, *_COMMENT.findall(text, at)]


def _tokens(text: str) -> list[Token]:
    return list(YAML(typ="safe", pure=True).scan(text))


class _CantBeKeptError(Exception):
    """A value that has to be written anew as a whole."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A key with its value, or an item: where it starts, where its value may begin (after the colon
    or the dash), the value, and the column of the key or dash."""

    start: int
    lead: int
    node: Node
    column: int


class _Writer:
    """One text and the changes that it gets. ``deepest``: how many levels of groups are gone
    into; None for all."""

    def __init__(self, text: str, deepest: int | None) -> None:
        self.text = text
        self.deepest = deepest
        self.edits: list[tuple[int, int, str]] = []
        tokens = _tokens(text)
        self.keys = {t.start_mark.index for t in tokens if isinstance(t, KeyToken)}
        self.colons = [t.start_mark.index for t in tokens if isinstance(t, ValueToken)]
        self.dashes = [t.start_mark for t in tokens if isinstance(t, BlockEntryToken)]

    def changed(self, value: Json, wanted: Json) -> str:
        root = YAML(typ="safe", pure=True).compose(self.text)
        self._several(root, value, wanted, 0)
        text = self.text
        # From the last place on; at one place, what was noted last comes last.
        for start, end, new in sorted(self.edits, key=lambda edit: edit[:2])[::-1]:
            text = text[:start] + new + text[end:]
        return text

    # --- going into a value -----------------------------------------------------------------------

    def _several(self, node: Node, value: Json, wanted: Json, depth: int) -> None:
        """Note what changes inside a group of keys or a list. Raises where it has to be written
        anew as a whole."""
        is_deep = self.deepest is not None and depth >= self.deepest
        if type(value) is not type(wanted) or not wanted or is_deep:
            raise _CantBeKeptError
        if isinstance(node, MappingNode):
            self._mapping(node, value, wanted, depth)
        elif isinstance(node, SequenceNode):
            self._list(node, value, wanted, depth)
        else:
            raise _CantBeKeptError

    def _mapping(self, node: MappingNode, value: Json, wanted: Json, depth: int) -> None:
        is_other = value.keys() != wanted.keys()
        if value.keys().isdisjoint(wanted) or (node.flow_style and is_other):
            raise _CantBeKeptError
        parts = dict(zip((str(k.value) for k, _ in node.value), self._pairs(node), strict=True))
        for key, part in parts.items():
            if key not in wanted:
                self._take_out(part, list(parts.values()), is_root=depth == 0)
            elif not exactjson.same(value[key], wanted[key]):
                self._value(part, value[key], wanted[key], depth)
        after = next(key for key in parts if key in wanted)
        new: dict[str, dict[str, Json]] = {}
        for key in wanted:
            if key in parts:
                after = key
            else:
                new.setdefault(after, {})[key] = wanted[key]
        for after, added in new.items():
            self._put_after(parts[after], dumped(added))

    def _list(self, node: SequenceNode, value: Json, wanted: Json, depth: int) -> None:
        if node.flow_style and len(value) != len(wanted):
            raise _CantBeKeptError
        parts = self._items(node)
        is_any_kept = False
        for i, after_i, j, after_j, is_same in _steps(
            value, wanted, in_place=bool(node.flow_style)
        ):
            paired = min(after_i - i, after_j - j)
            is_any_kept |= paired > 0
            if is_same:
                continue
            for n in range(paired):
                self._value(parts[i + n], value[i + n], wanted[j + n], depth)
            for part in parts[i + paired : after_i]:
                self._take_out(part, parts, is_root=False)
            if added := wanted[j + paired : after_j]:
                self._put_in(parts, i + paired, dumped(added))
        if not is_any_kept:
            raise _CantBeKeptError

    def _value(self, part: _Part, value: Json, wanted: Json, depth: int) -> None:
        if exactjson.same(value, wanted):
            return
        noted = len(self.edits)
        try:
            self._several(part.node, value, wanted, depth + 1)
        except _CantBeKeptError:
            del self.edits[noted:]
            self._replace(part, wanted)

    # --- the places -------------------------------------------------------------------------------

    def _pairs(self, node: MappingNode) -> list[_Part]:
        parts = []
        for key, value in node.value:
            start, end = key.start_mark.index, key.end_mark.index
            n = bisect_left(self.colons, end)
            if start not in self.keys or n == len(self.colons):  # behind a question mark
                raise _CantBeKeptError
            if self.text[end : self.colons[n]].strip():
                raise _CantBeKeptError
            column = IN_FLOW if node.flow_style else key.start_mark.column
            parts.append(_Part(start, self.colons[n] + 1, value, column))
        return parts

    def _items(self, node: SequenceNode) -> list[_Part]:
        if node.flow_style:
            starts = [(v.start_mark.index, v) for v in node.value]
            return [_Part(start, start, v, IN_FLOW) for start, v in starts]
        first, end, column = node.start_mark.index, node.end_mark.index, node.start_mark.column
        dashes = [m.index for m in self.dashes if first <= m.index < end and m.column == column]
        if len(dashes) != len(node.value):
            raise _CantBeKeptError
        pairs = zip(dashes, node.value, strict=True)
        return [_Part(dash, dash + 1, value, column) for dash, value in pairs]

    def _end(self, part: _Part) -> int:
        """The place after the last character of a part's value."""
        node = part.node
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, ScalarNode):
            written = self.text[start:end]
            if _block_style(node) and "+" not in written.partition("\n")[0]:
                return start + len(written.rstrip())
            return end if written.strip() else part.lead
        if not isinstance(node, MappingNode | SequenceNode) or node.flow_style:
            return int(end)
        inner = self._pairs(node) if isinstance(node, MappingNode) else self._items(node)
        return self._end(inner[-1])

    def _line_end(self, part: _Part) -> int:
        """Where the last line of a part ends, comments after it that stand further in included."""
        at = self._end(part)
        end = at - 1 if self.text[at - 1] == "\n" else self._next_end(at)
        while line := _COMMENT_LINE.match(self.text, end + 1):
            if len(line[1]) <= part.column:
                break
            end = line.end()
        return end

    def _next_end(self, at: int) -> int:
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found

    def _line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _head(self, part: _Part) -> int:
        """Where the comments directly above a part begin; its own place where it doesn't begin its
        line."""
        start = self._line_start(part.start)
        if self.text[start : part.start].strip():
            return part.start
        while start:
            above = self._line_start(start - 1)
            line = _COMMENT_LINE.match(self.text, above)
            if line is None or len(line[1]) != part.column:
                break
            start = above
        return start

    # --- changing ---------------------------------------------------------------------------------

    def _replace(self, part: _Part, wanted: Json) -> None:
        """Write a value anew; a comment after the colon or dash, and one after the value, stay."""
        start, end = part.node.start_mark.index, self._end(part)
        if part.column == IN_FLOW:
            gap = " " if start == part.lead and self.text[start - 1] == ":" else ""
            self.edits.append((start, max(start, end), gap + _flow(wanted)))
            return
        after = self.text[end : self._next_end(end)]
        style = _block_style(part.node)
        block = "" if after.strip() else _block(wanted, part.column + 2, style)
        is_one_value = not (isinstance(wanted, dict | list) and wanted)
        is_there = isinstance(part.node, ScalarNode) and not style and end > part.lead
        if is_one_value and is_there:
            self.edits.append((start, end, block or scalar(wanted)))
            return
        is_flow = isinstance(part.node, MappingNode | SequenceNode) and part.node.flow_style
        if is_flow and (line := _short(wanted)):
            self.edits.append((start, end, line))
            return
        said, said_to = self._said_after(part, end)
        if is_one_value:
            mark, newline, rest = (block or scalar(wanted)).partition("\n")
            left = self.text[max(end, said_to) : self._next_end(max(end, said_to))]
            own_line = (
                f"\n{' ' * part.column} " if said and left.strip() else ""
            )  # for a second one
            new = f" {mark}{said}{newline}{rest}{own_line}"
        else:
            new = said + _indented(dumped(wanted), part.column + 2)
        self.edits.append((part.lead, max(end, said_to), new))

    def _said_after(self, part: _Part, end: int) -> tuple[str, int]:
        """The comment on the line of a colon or dash, before the value or after the mark of a
        block, and where it ends."""
        found = _AFTER_LEAD.match(self.text, part.lead)
        if found and found[1]:
            return found[0], found.end()
        if _block_style(part.node):
            first = self.text[part.node.start_mark.index : end].partition("\n")[0]
            return "".join(_SAID.findall(first)), 0
        return "", 0

    def _take_out(self, part: _Part, parts: list[_Part], *, is_root: bool) -> None:
        end = self._line_end(part)
        line = self._line_start(part.start)
        if self.text[line : part.start].strip():  # behind a dash, which stays
            self.edits.append((part.start, end, ""))
            return
        is_first = is_root and part is parts[0]  # what stands above the first is the text's own
        start = line if is_first else self._head(part)
        self.edits.append((start, min(len(self.text), end + 1), ""))

    def _put_after(self, part: _Part, entries: str) -> None:
        at = self._line_end(part)
        self.edits.append((at, at, _indented(entries, part.column)))

    def _put_in(self, parts: list[_Part], n: int, items: str) -> None:
        if n:
            self._put_after(parts[n - 1], items)
            return
        first = parts[0]
        at = self._head(first)
        lines = _indented(items, first.column).removeprefix("\n")
        if at == first.start and first.column:
            new = f"{lines.removeprefix(' ' * first.column)}\n{' ' * first.column}"
        else:
            new = f"{lines}\n"
        self.edits.append((at, at, new))


def _steps(old: Json, new: Json, *, in_place: bool) -> Iterator[tuple[int, int, int, int, bool]]:
    """How one list becomes another: from, to in either, and whether they are the same there."""
    if in_place:
        yield 0, len(old), 0, len(new), False
        return
    texts = [[exactjson.dumps(item, sort_keys=True) for item in side] for side in (old, new)]
    matcher = SequenceMatcher(a=texts[0], b=texts[1], autojunk=False)
    for what, i, after_i, j, after_j in matcher.get_opcodes():
        yield i, after_i, j, after_j, what == "equal"


def _block_style(node: Node) -> str | None:
    """The mark of a text over several lines; None for every other value."""
    style = str(node.style) if isinstance(node, ScalarNode) else None
    return style if style in ("|", ">") else None


def _indented(text: str, column: int) -> str:
    return "".join(f"\n{' ' * column}{line}" for line in text.rstrip("\n").split("\n"))


def _flow(value: Json) -> str:
    """A value on one line, as it stands between brackets."""
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    if not isinstance(value, dict):
        return scalar(value)
    pairs = [(scalar(key), _flow(inner)) for key, inner in value.items()]
    if any(len(key) > MOST_OF_KEY for key, _ in pairs):
        raise _CantBeKeptError
    return f"{{{', '.join(f'{key}: {inner}' for key, inner in pairs)}}}"


def _short(value: Json) -> str:
    """A list or group on one line; empty where it is none, or too long for one."""
    with suppress(_CantBeKeptError):
        line = _flow(value)
        return line if isinstance(value, dict | list) and len(line) <= WIDTH else ""
    return ""


def _block(value: Json, column: int, style: str | None) -> str:
    """A text over several lines after ``|`` or ``>``; empty where it reads better on one line, or
    wouldn't read back the same."""
    if not isinstance(value, str) or not (style or "\n" in value.strip("\n")):
        return ""
    lines = value.rstrip("\n").split("\n")
    if style == ">":
        folded = [textwrap.wrap(line, WIDTH, break_on_hyphens=False) for line in lines]
        lines = "\n\n".join("\n".join(part) for part in folded).split("\n")
    mark = f"{style or '|'}{'' if value.endswith(chr(10)) else '-'}"
    block = mark + "".join(f"\n{' ' * column}{line}" if line else "\n" for line in lines)
    return block if load(f"v: {block}\n").value == {"v": value} else ""
