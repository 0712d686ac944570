"""What a change would do, asked of the system of record before the gate is asked.

The dry run is asked for the change and, where the catalog says that it can look ahead
(``preview_then``), for the changes behind it in the run's plan: see ``domain.plan``. The look ahead
is an addition: whatever goes wrong with it is noted, and takes nothing from the preview.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from apps.calls.domain import plan
from apps.calls.domain.keys import arguments_digest
from apps.calls.domain.plan import Later
from apps.calls.domain.retry import Ending
from apps.calls.domain.script import ToolCall
from apps.calls.executor import CallResult, ToolClient
from apps.catalog.domain.sentence import render
from apps.catalog.selectors import pinned as catalog
from apps.kernel.exactjson import dumps
from apps.oversight.domain import preview
from apps.policy.domain.effects import Effect
from apps.runs.domain.origin import Origin
from apps.runs.domain.results import DONE
from apps.runs.domain.states import State
from apps.runs.engine import asking, calling
from apps.runs.engine.sizes import weighed
from apps.runs.work import Carried, Claimed, Inspect

MOST_S = 10.0  # for the preview and the look ahead together
MOST_CHARACTERS = 200_000  # of the later changes' arguments


def later_changes(work: Claimed, carried: Carried) -> tuple[Later, ...]:
    """The changes that stand behind this one in its run's plan and that its dry run can be asked
    for. Left out are those that would not be carried out anyway: repeated ones, and calls that the
    contract doesn't list."""
    document = asking.tool_document(work)
    if not document.get("preview_then") or carried.run.state == State.COMPENSATING:
        return ()
    calls = plan.calls_ahead(
        carried.items, carried.run.cursor, up_to_hear=carried.run.origin == Origin.REPLAY
    )
    seen = {(work.tool_name, work.arguments_digest)}
    seen |= {
        (s.tool, arguments_digest(s.arguments, work.hidden))
        for s in carried.steps
        if s.effect != Effect.READ and s.disposition in DONE
    }
    found: list[Later] = []
    room = MOST_CHARACTERS
    for call in calls:
        one = _later(work, call)
        if one is None or (one.tool, one.digest) in seen:
            continue
        room -= len(dumps(one.arguments))
        if room < 0 or len(found) == plan.MOST_AHEAD:
            break
        seen.add((one.tool, one.digest))
        found.append(one)
    return tuple(found)


def _later(work: Claimed, call: ToolCall) -> Later | None:
    """The call as a change that the same dry run can be asked for; ``None`` for any other."""
    version = catalog.tool_versions(work.contract_version_id).get(call.tool)
    if version is None or version.effect == Effect.READ:
        return None
    mine = asking.tool_document(work)
    theirs = catalog.tool_document(version.pk)
    same_dry_run = theirs.get("preview") == mine.get("preview") and theirs.get("preview_then")
    if not same_dry_run or not _is_same_server(work, version.pk):
        return None
    if asking.terms(work).tool(call.tool) is None or not isinstance(call.arguments, dict):
        return None
    try:
        found = arguments_digest(call.arguments, work.hidden)
    except Exception:  # it can't be carried out either, and says so when its turn comes
        return None
    template = theirs.get("sentence") or f"Call {call.tool}"
    return Later(call.tool, call.arguments, found, render(template, call.arguments, {})[:400])


def _is_same_server(work: Claimed, tool_version_id: int) -> bool:
    mine = catalog.tool_server(work.tool_version_id or 0)
    return catalog.tool_server(tool_version_id) == mine


async def inspect(tools: ToolClient, action: Inspect) -> Claimed:
    """Fill in what the step would change. Without that answer the gate holds it for a person."""
    asker = _Asker(tools, action)
    work = action.work
    this = {"tool": work.tool_name, "args": work.arguments}
    result, why = await asker.of_this(this)
    if result.ending is Ending.ANSWERED:
        looked = preview.captured(action.tool, result.document)
    else:
        looked = preview.failed(action.tool, result.error or result.ending.value)
    work.preview, work.facts = looked.preview, looked.facts
    if action.later and "unavailable" not in looked.preview and not looked.preview.get("refusal"):
        work.preview |= await _ahead(asker, result, why)
    return weighed(work)


async def _ahead(asker: _Asker, result: CallResult, why: str) -> dict[str, Any]:
    """What is kept of the look ahead, beside the preview."""
    later = asker.action.later
    after_it = None if why else plan.refusals(result.document, len(later))
    if after_it is None:
        notes = list((asker.action.work.preview or {}).get("notes") or [])
        said = plan.NOT_ANSWERED.format(why=why or plan.NOT_ANSWERED_IN_FORM)
        return {"notes": [*notes, said]}
    kept: dict[str, Any] = {"looked_at": len(later)}
    if any(after_it):
        without_it = await asker.without_this()
        kept["clashes"] = [c.kept() for c in plan.clashes(later, after_it, without_it)]
    return {"plan": kept}


class _Asker:
    """Asks the dry run within the time of one inspection."""

    def __init__(self, tools: ToolClient, action: Inspect) -> None:
        self.action = action
        self._tools = tools
        self._asked = 0
        seconds = min(action.timeout_s, MOST_S)
        self._end = asyncio.get_running_loop().time() + seconds

    async def of_this(self, this: dict[str, Any]) -> tuple[CallResult, str]:
        """The answer about the change at hand, and about the plan behind it. A dry run that can't
        answer both is asked for the change alone; why is told."""
        later = self.action.later
        if not later:
            return await self._ask(this), ""
        result = await self._ask(this | _then(later))
        if result.ending is Ending.ANSWERED:
            return result, ""
        why = result.error or result.ending.value
        return await self._ask(this), why[:300]

    async def without_this(self) -> list[str | None] | None:
        """What would be refused if the change at hand were left out; ``None`` if nobody can say."""
        first, *rest = self.action.later
        result = await self._ask(first.asked() | (_then(rest) if rest else {}))
        if result.ending is not Ending.ANSWERED:
            return None
        return plan.without(result.document, len(self.action.later))

    async def _ask(self, arguments: dict[str, Any]) -> CallResult:
        work = self.action.work
        self._asked += 1
        mark = "" if self._asked == 1 else f"-{self._asked}"
        left = round(self._end - asyncio.get_running_loop().time(), 1)  # people read it
        return await self._tools.call(
            self.action.server,
            self.action.tool,
            arguments,
            meta=calling.meta(work),
            call_id=f"inspect-{work.lease_token}{mark}",
            timeout_s=max(left, 0.1),
            hidden=work.hidden,
        )


def _then(later: Sequence[Later]) -> dict[str, Any]:
    return {"then": [one.asked() for one in later]}
