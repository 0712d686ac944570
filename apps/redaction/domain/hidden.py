"""What one run hides: which values stand behind which tokens, and how they become each other.

Whatever comes in is first learnt (every value at a hidden name gets its token), then masked: the
token stands in the value's place, and wherever the same value stands in text. ``real`` is the way
back, at the wire only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

from apps.kernel import exactjson
from apps.kernel.canonical import canonical_bytes
from apps.redaction.domain.names import ROOTS, Names, State, label_of
from apps.redaction.domain.searching import Search
from apps.redaction.domain.tokens import OPENS, TOKEN, is_token, token_of

LEAST_IN_TEXT = 6  # characters: a shorter value is hidden at its names only
DEEPEST = exactjson.STORED_DEPTH
MOST_TRIED = 64  # beginnings of JSON that are none, in one text
# Characters: a text this long may have been cut in the midst of a value (errors are, at 300), and
# at most so many of its last ones are the value's (nothing is cut to more than 2,000).
CUT_FROM, CUT_TO = 290, 2000
_DECODER = json.JSONDecoder()

Leaf = Callable[[str, Any], Any]
Text = Callable[[str], str]


class UnknownTokenError(ValueError):
    """A token stands where its value is needed, and this run knows none."""

    def __init__(self, token: str) -> None:
        super().__init__(
            f"{token} stands for a hidden value that this run doesn't know: a token can be used"
            " only in the run that was given it."
        )


class Hidden:
    """The hidden values of one run and its branches."""

    def __init__(
        self, owner: UUID, names: Names, key: bytes, known: Mapping[str, Any] | None = None
    ) -> None:
        self.owner = owner  # the run, or the root of its branches
        self.names = names
        self.fresh: dict[str, Any] = {}  # learnt, and not kept yet
        self._key = key
        self._values: dict[str, Any] = {}
        self._exact, self._loose = Search(any_case=False), Search(any_case=True)
        for token, value in (known or {}).items():
            self._know(token, value)

    # --- in -----------------------------------------------------------------------------------

    def learn(self, document: Any) -> None:
        """Give every value at a hidden name its token."""
        self._walk(document, self._learnt, str)

    def mask(self, document: Any) -> Any:
        """The document without hidden values: what comes from outside and is only read."""
        return self._walk(document, self._token, self.text)

    def proposed(self, document: Any) -> Any:
        """Learn from a document and mask it so that ``real`` gives back exactly what it was: what
        is to be sent."""
        self.learn(document)
        return self._walk(document, self._token, self._exactly)

    def text(self, text: str) -> str:
        """The text without the hidden values that are known, in capitals or not, however they are
        spelt (``_spellings``)."""
        return self._between_tokens(text, self._loose.replaced)

    def message(self, text: str) -> str:
        """The same of a text that may hold JSON, whose names count too, or that may have been cut
        in the midst of a value."""
        return self._cut(self.text(self._in_json(text, self.mask)))

    def is_in(self, raw: bytes) -> bool:
        """Whether a file that is no text holds a hidden value that is known."""
        return self._loose.is_in(raw)

    def learn_text(self, text: str) -> None:
        """Learn from the JSON that a text holds."""
        self._in_json(text, self._learn_and_leave)

    def short(self, text: str, label: str, most: int) -> str:
        """A text of so many characters at most. Where tokens make it longer, it is hidden whole."""
        masked = self._exactly(text)
        return masked if len(masked) <= most else self._learnt(label_of(label), text)

    def kept(self, tokens: Iterable[str]) -> None:
        """Say that the values of these tokens are durable now."""
        for token in tokens:
            self.fresh.pop(token, None)

    # --- out ----------------------------------------------------------------------------------

    def real(self, document: Any) -> Any:
        """The document with the values in their places. Raises ``UnknownTokenError``."""
        if isinstance(document, str):
            return self._real_text(document)
        if isinstance(document, Mapping):
            return {self.real(k): self.real(v) for k, v in document.items()}
        if isinstance(document, list | tuple):
            return [self.real(item) for item in document]
        return document

    def digest(self, document: Any, *, purpose: str) -> str:
        """What a document is known by, whichever of its values are hidden by now: a keyed digest of
        what is really meant, which nobody can try out. Raises what ``canonical_bytes`` raises."""
        said = purpose.encode() + b"\x00" + canonical_bytes(self.meant(document))
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()

    def meant(self, document: Any) -> Any:
        """What is really meant, as far as it is known: to be judged in memory."""
        try:
            return self.real(document)
        except UnknownTokenError:
            return document

    def named_elsewhere(self, *documents: Any) -> list[str]:
        """The tokens that stand, alone, at names that aren't hidden: what compares those values
        (a policy) can't see what they are."""
        found: list[str] = []

        def note(text: str) -> str:
            if is_token(text) and text in self._values:
                found.append(text)
            return text

        for document in documents:
            self._walk(document, lambda _, value: value, note)
        return found

    # --- inside -------------------------------------------------------------------------------

    def _know(self, token: str, value: Any) -> None:
        self._values[token] = value
        text = value if isinstance(value, str) else None
        if exactjson.is_number(value):
            text = exactjson.number_text(value)
        if text is None or len(text) < LEAST_IN_TEXT or OPENS in text:
            return
        if isinstance(value, str):
            self._exact.add(text, token)
        for spelt in _spellings(text):
            self._loose.add(spelt, token)

    def _learnt(self, label: str, value: Any) -> str:
        if is_token(value) and value in self._values:
            return str(value)
        try:
            value = exactjson.check(value)
        except exactjson.NotCarriedError:  # it is no value of ours: how it looks is hidden
            value = str(value).encode("utf-8", "replace").decode().replace("\0", "�")
        token = token_of(self._key, label, value)
        if token not in self._values:
            self.fresh[token] = value
            self._know(token, value)
        return token

    def _token(self, label: str, value: Any) -> Any:
        return self._learnt(label, value)

    def _learn_and_leave(self, document: Any) -> Any:
        self.learn(document)
        return document

    def _exactly(self, text: str) -> str:
        return self._between_tokens(text, self._exact.replaced)

    def _between_tokens(self, text: str, act: Text) -> str:
        if OPENS not in text:
            return act(text)
        out, at = [], 0
        for token in TOKEN.finditer(text):
            out += [act(text[at : token.start()]), token.group()]
            at = token.end()
        return "".join([*out, act(text[at:])])

    def _real_text(self, text: str) -> Any:
        if OPENS not in text:
            return text
        if text in self._values:
            return self._values[text]
        out, at = [], 0
        for found in TOKEN.finditer(text):
            if found.group() not in self._values:
                raise UnknownTokenError(found.group())
            value = self._values[found.group()]
            said = value if isinstance(value, str) else exactjson.dumps(value)
            out += [text[at : found.start()], said]
            at = found.end()
        return "".join([*out, text[at:]])

    def _walk(self, document: Any, leaf: Leaf, text: Text) -> Any:
        return _Walk(self.names, leaf, text).value(document, self.names.start, "", 0)

    def _in_json(self, text: str, act: Callable[[Any], Any]) -> str:
        """The text with ``act`` done to each JSON object or list in it."""
        out: list[str] = []
        at, tried = 0, 0
        while tried < MOST_TRIED and (begins := _begin(text, at)) >= 0:
            out.append(text[at:begins])
            try:
                _, end = _DECODER.raw_decode(text, begins)
                before = exactjson.loads(text[begins:end])
            except (ValueError, RecursionError):
                tried, end, written = tried + 1, begins + 1, text[begins]
            else:
                after = act(before)
                same = after is before or exactjson.same(after, before)
                written = text[begins:end] if same else exactjson.dumps(after)
            out.append(written)
            at = end
        return "".join([*out, text[at:]])

    def _cut(self, text: str) -> str:
        if len(text) < CUT_FROM or text.endswith("⟧"):
            return text
        end = text[-CUT_TO:].casefold()
        for known, token in self._loose.texts.items():
            begin, at = known[:LEAST_IN_TEXT], max(0, len(end) - len(known) + 1)
            while (at := end.find(begin, at)) >= 0:
                if known.startswith(end[at:]):
                    return f"{text[: at - len(end)]}{token}"
                at += 1
        return text


def _spellings(text: str) -> set[str]:
    """How a text is written: plainly, in JSON with and without escapes, in a URL and in a form, and
    in the errors of programs in Python."""
    in_json = {json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    return {text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1], *in_json}


def _begin(text: str, at: int) -> int:
    """Where the next JSON object or list might begin; -1 if nowhere."""
    found = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
    return min(found, default=-1)


class _Walk:
    """One walk through a document. What lies at a hidden name is ``leaf``'s, other text
    ``text``'s."""

    def __init__(self, names: Names, leaf: Leaf, text: Text) -> None:
        self.names, self.leaf, self.text = names, leaf, text

    def value(self, value: Any, state: State, label: str, depth: int) -> Any:
        if isinstance(value, str):
            return self.leaf(label, value) if label and value else self.text(value)
        if value is None or depth > DEEPEST:
            return None
        if isinstance(value, Mapping):
            return self._object(value, state, label, depth)
        if isinstance(value, list | tuple):
            items: Sequence[Any] = value
            return [self.value(item, state, label, depth + 1) for item in items]
        return self.leaf(label, value) if label else value

    def _object(self, value: Mapping[Any, Any], state: State, label: str, depth: int) -> Any:
        path = value.get("path") if "before" in value or "after" in value else None
        told = self.names.said(path) if isinstance(path, str) and not label else ""
        out = {}
        for key, inner in value.items():
            below, found = self._below(str(key), state, label, depth)
            if told and key in ("before", "after"):
                found = found or told
            out[self.text(key) if isinstance(key, str) else key] = self.value(
                inner, below, found, depth + 1
            )
        return out

    def _below(self, key: str, state: State, label: str, depth: int) -> tuple[State, str]:
        if label:
            return (), label
        below, found = self.names.below(key, state)
        if not found and depth == 0 and key in ROOTS:
            below = (*below, *self.names.start)
        return below, found
