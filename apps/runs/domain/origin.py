"""Where a run comes from: a real request, practice, or a replayed recording.

Numbers about the company's work are of real runs. Practice and replay are shown by themselves, or
together with real ones only where somebody asked for all of them.
"""

from __future__ import annotations

from enum import StrEnum

from apps.runs.domain.results import RunSource


class Origin(StrEnum):
    """Kept with each run from its start; a fork has its parent's. In the order in which they are
    meant where nobody said which: real runs if there are any, else practice, else replayed ones,
    never several."""

    REAL = "real"
    PRACTICE = "practice"
    REPLAY = "replay"


ALL = "all"
WORDS = {
    Origin.REAL: "real runs",
    Origin.PRACTICE: "practice runs",
    Origin.REPLAY: "replayed runs",
    ALL: "real, practice and replayed runs together",
}
_BY_SOURCE: dict[str, Origin] = {
    RunSource.PRACTICE: Origin.PRACTICE,
    RunSource.REPLAY: Origin.REPLAY,
}


def origin_of(source: str) -> Origin:
    """The origin of a run that was started by this source."""
    return _BY_SOURCE.get(source, Origin.REAL)


def is_self_told(origin: str, agent_kind: str) -> bool:
    """Whether the customer's words in a run are of whoever proposes its calls: real work that
    follows a script. In practice and replay the script is a case or a recording, which nobody
    writes in order to be believed."""
    return origin == Origin.REAL and agent_kind != "model"
