"""What was said to a run before a part of it came under a name that its contract hides."""

from __future__ import annotations

from collections.abc import Iterable

from apps.kernel.exactjson import dumps, same
from apps.kernel.transactions import participant
from apps.redaction.domain.hidden import Hidden
from apps.redaction.domain.items import items
from apps.runs.journal import execute
from apps.runs.models import Run
from apps.runs.work import Carried


@participant
def hide(learnt: Iterable[tuple[Hidden | None, Carried]]) -> None:
    """Take what was just learnt out of these runs' conversation, script, request and input."""
    for hidden, carried in learnt:
        if hidden is not None and hidden.fresh:
            _hide(hidden, carried)


def _hide(hidden: Hidden, carried: Carried) -> None:
    run, before = carried.run, list(carried.items)
    carried.items[:] = items(hidden, before)
    # Only what is as we know it: of a run that was taken from us another one speaks for it.
    if not same(before, carried.items):
        execute(
            "UPDATE runs_runscript SET items = %s::jsonb WHERE run_id = %s AND items = %s::jsonb",
            [dumps(carried.items), run.pk, dumps(before)],
        )
    for place, (seq, role, words) in enumerate(carried.messages):
        if (masked := hidden.text(words)) != words:
            carried.messages[place] = (seq, role, masked)
            execute(
                "UPDATE runs_message SET content = %s WHERE run_id = %s AND seq = %s",
                [masked, run.pk, seq],
            )
    request, given = hidden.text(run.request), hidden.proposed(run.input)
    if request != run.request or not same(given, run.input):
        run.request, run.input = request, given
        Run.objects.filter(pk=run.pk).update(request=request, input=given)
