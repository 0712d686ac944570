"""A Cedar text in pieces that a page can colour."""

from __future__ import annotations

import re

_PIECES = re.compile(
    r"""(?P<c>//[^\n]*)|(?P<a>@\w+)|(?P<s>"(?:\\.|[^"\\])*"?)"""
    r"""|(?P<k>\b(?:permit|forbid|when|unless|principal|action|resource|context|in|has|like|is|if"""
    r"""|then|else|true|false)\b)"""
)


def pieces(source: str) -> list[tuple[str, str]]:
    """``(kind, text)`` in order, together the whole source. Kinds: c comment, a annotation,
    s string, k keyword, empty for the rest."""
    out: list[tuple[str, str]] = []
    at = 0
    for match in _PIECES.finditer(source):
        if match.start() > at:
            out.append(("", source[at : match.start()]))
        out.append((match.lastgroup or "", match.group()))
        at = match.end()
    if at < len(source):
        out.append(("", source[at:]))
    return out
