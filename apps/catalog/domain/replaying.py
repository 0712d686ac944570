"""How recordings of a domain are read: the section ``replay`` of ``pack.yaml``.

A recording says what a customer asked and what an agent did. Which job it becomes is told from the
request alone: what the agent will do is not known when a request arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apps.catalog.domain.contract_schema import SLUG, TOOL_NAME, group, list_of
from apps.catalog.domain.structure import nearest
from apps.kernel.documents import Document, Path, Problem
from apps.kernel.ecma import PatternError
from apps.kernel.patterns import TooLongError, pattern

_NAME = {"type": "string", "minLength": 1, "maxLength": 160}
REPLAY: dict[str, Any] = group(
    {
        "recordings": list_of(_NAME),
        "tools": {"type": "object", "additionalProperties": TOOL_NAME},
        "request": _NAME,
        "jobs": list_of(group({"job": SLUG, "when": {**_NAME, "maxLength": 2000}}, "job", "when")),
        "otherwise": SLUG,
        "ledger": TOOL_NAME,
    }
)


def choose_job(
    mapping: Mapping[str, Any], request: str, jobs: Sequence[tuple[str, frozenset[str]]]
) -> str:
    """The job of a request: the first one whose pattern is found in it, else the mapping's
    ``otherwise``, else the job that lists most tools. ``jobs`` are (slug, tools). Raises
    LookupError without any."""
    if not jobs:
        raise LookupError("there are no jobs in this domain")
    known = {slug for slug, _ in jobs}
    for entry in mapping.get("jobs") or ():
        if entry["job"] in known and _found(entry["when"], request):
            return str(entry["job"])
    if mapping.get("otherwise") in known:
        return str(mapping["otherwise"])
    return min(jobs, key=lambda job: (-len(job[1]), job[0]))[0]


def _found(written: str, request: str) -> bool:
    try:
        return pattern(written, words=True).found_in(request)
    except (PatternError, TooLongError):
        return False


def tool_problems(source: Document, tools: Iterable[str]) -> list[Problem]:
    """Names of ``replay.tools`` that are none of the pack's, and patterns that can't be used."""
    mapping, known, out = source.value.get("replay") or {}, set(tools), []
    for said, meant in (mapping.get("tools") or {}).items():
        if meant not in known:
            message = f"“{meant}” is none of this pack's tools."
            fix = nearest(meant, known) or "List it under “tools”."
            out.append(source.problem(("replay", "tools", said), message, fix))
    for index, entry in enumerate(mapping.get("jobs") or ()):
        try:
            pattern(entry["when"], words=True)
        except PatternError as error:
            path = ("replay", "jobs", index, "when")
            out.append(source.problem(path, error.message, error.fix))
    return out


def job_problems(source: Document, jobs: Iterable[str]) -> list[Problem]:
    """Jobs that ``replay`` names and the pack doesn't have."""
    mapping, known = source.value.get("replay") or {}, set(jobs)
    named: list[tuple[Path, str]] = [
        (("replay", "jobs", i, "job"), e["job"]) for i, e in enumerate(mapping.get("jobs") or ())
    ]
    if "otherwise" in mapping:
        named.append((("replay", "otherwise"), mapping["otherwise"]))
    return [
        source.problem(
            path, f"There is no job “{job}” in this pack.", nearest(job, known) or "Name one."
        )
        for path, job in named
        if job not in known
    ]
