"""Which case arrives next at a desk: reference cases, recorded ones where the data is there, and
cases for a live model where one is configured."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from apps.kernel import exactjson
from controltower.practice.cases.scripts import Case, live_case, recorded_case, reference_case
from controltower.practice.world import loading
from controltower.practice.world.errors import PackMissingError

RECORDED_EVERY = 2  # with recordings at hand every second case is a recorded one
LIVE_EVERY = 6  # with a live model every sixth case is its own


def case_number(domain: str, index: int, *, live: str = "") -> Case:
    """The case with this index, in a world of its own. The row of cases never ends: it starts over
    in fresh worlds. ``live`` is the label of the live model, if cases may be given to one. Raises
    ``PackMissingError`` when the domain's data isn't on this machine."""
    world = f"desk/{domain}/{index}"
    recordings, tasks = _recordings(domain), _tasks_or_none(domain)
    if live and tasks and index % LIVE_EVERY == 0:
        task = tasks[index // LIVE_EVERY % len(tasks)]
        return live_case(task, domain=domain, label=live, world=world)
    if recordings and (index % RECORDED_EVERY or tasks is None):
        number = index // RECORDED_EVERY if tasks else index
        return recorded_case(recordings[_spread(number, len(recordings))], world=world)
    tasks = tasks or _tasks(domain)
    number = index // RECORDED_EVERY if recordings else index
    mutating = frozenset(t["name"] for t in loading.load_tool_schemas(domain) if t["mutates"])
    return reference_case(tasks[number % len(tasks)], domain=domain, mutating=mutating, world=world)


def _spread(index: int, size: int) -> int:
    """Visit all of ``size`` in an order that mixes models, which lie in runs in the file."""
    stride = next(s for s in range(max(size * 382 // 1000, 1), 2 * size + 2) if _coprime(s, size))
    return index * stride % size


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def _tasks_or_none(domain: str) -> Sequence[dict[str, Any]] | None:
    try:
        return _tasks(domain)
    except PackMissingError:
        return None


@lru_cache(maxsize=4)
def _tasks(domain: str) -> Sequence[dict[str, Any]]:
    return [t for t in loading.load_tasks(domain) if t["evaluation_criteria"].get("actions")]


@lru_cache(maxsize=4)
def _recordings(domain: str) -> Sequence[dict[str, Any]]:
    folder = loading.data_dir()
    path = folder / f"episodes_{domain}.jsonl.gz" if folder else None
    if path is None or not path.is_file():
        return ()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [exactjson.loads(line) for line in lines]
