"""Statements about the files of tools' answers. Seldom needed: most answers are one text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apps.kernel.transactions import participant
from apps.runs.journal import execute


@participant
def keep(found: Iterable[Mapping[str, bytes]]) -> None:
    """Keep files by their SHA-256; one that is kept already stays as it is."""
    bodies = {sha: body for some in found for sha, body in some.items()}
    if bodies:
        names = sorted(bodies)  # one order, so that two commits can't wait for each other
        execute(
            "INSERT INTO runs_answerbody (sha256, body)"
            " SELECT * FROM unnest(%s::text[], %s::bytea[]) ON CONFLICT (sha256) DO NOTHING",
            [names, [bodies[name] for name in names]],
        )
