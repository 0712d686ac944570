"""What follows from events about runs: the things that they name are noted, for the page of one
object and the search by ids."""

from __future__ import annotations

from collections.abc import Sequence

from apps.audit.services import Notice
from apps.kernel.statements import execute
from apps.kernel.transactions import participant


@participant
def note_objects(notices: Sequence[Notice]) -> None:
    """Write down what the runs and steps name that the notices are about, as they stand now. What
    is noted already stays, so that it may be told twice."""
    runs = [n.subject_id for n in notices if n.kind.startswith("run.")]
    steps = [n.subject_id for n in notices if n.kind.startswith("step.")]
    execute("SELECT ops_note_runs(%s::uuid[]), ops_note_steps(%s::uuid[])", [runs, steps])
