"""Which live streams an event belongs to: derived, so that it is never stored twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOME = "tower"  # the stream of the home page: of all but quiet events
RUN = "run:"  # a family of streams, one for each run: "run:<id>"


@dataclass(frozen=True, slots=True)
class Stream:
    """A live stream that pages listen to. ``permission``: what people must be allowed to hear it.
    Events belong to it whose kind begins with one of the words ``kinds``, or with one of ``quiet``:
    those are too many for the home page. A name that ends with a colon is a family."""

    name: str
    permission: str
    kinds: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()


def streams_of(kind: str, run_id: str | None, by_word: Mapping[str, Stream]) -> tuple[str, ...]:
    """Streams that a browser may listen on to hear of an event of ``kind``: the page's own stream,
    ``run:<id>`` where it concerns a run, and the home page's for all but quiet ones. ``by_word``:
    the streams by the first word of their kinds."""
    word = kind.split(".", 1)[0]
    own = by_word.get(word)
    streams = [own.name if own else HOME]
    if run_id:
        streams.append(f"{RUN}{run_id}")
    if own and own.name != HOME and word not in own.quiet:
        streams.append(HOME)
    return tuple(streams)
