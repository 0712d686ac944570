"""A text that somebody wrote is parsed and typed in a process of its own first, and one that ends
that process is a problem of the text: ``python -m apps.policy.adapters.checking``, a task as JSON
on its standard input, one problem as JSON a line on its output, and an end.

The parser and the checker recurse in native code. Bounds (``domain.bounds``) keep from them what is
known to end them; what isn't known yet ends the child, and the site lives.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any

from apps.kernel.documents import Problem
from apps.policy.adapters.apart import said_apart
from apps.policy.adapters.cedar import check_policies

CHILD = "apps.policy.adapters.checking"
SECONDS = 20.0  # a child takes a fraction of one, most of it to begin
KEPT = 256  # texts, of which what was found is known
END = {"end": True}
# Of their own: who types must not wait until a solver is done.
PLACES = BoundedSemaphore(2)


def checked_apart(
    policies: str, limits: Mapping[str, int], schema: Mapping[str, Any], roles: Sequence[str]
) -> list[Problem]:
    """What ``cedar.check_policies`` says of a text, found out in a process of its own, once for
    each text. One that ends that process, or takes too long, is a problem too, and asked again."""
    task = {"policies": policies, "limits": dict(limits), "schema": dict(schema)}
    try:
        return list(_checked(json.dumps(task | {"roles": list(roles)})))
    except _UnsaidError as error:
        message = f"The rules can't be read: {error}."
        return [Problem(message, "Make them fewer, or simpler.", "policies")]


class _UnsaidError(Exception):
    """A child said nothing whole. Says why."""


@lru_cache(maxsize=KEPT)
def _checked(task: str) -> tuple[Problem, ...]:
    said = said_apart(CHILD, json.loads(task), seconds=SECONDS, places=PLACES)
    if END not in said.lines:
        raise _UnsaidError(said.ended or "nothing was said of them")
    return tuple(Problem(**line) for line in said.lines if line != END)


def main() -> None:
    """Read the task, say what is wrong."""
    task = json.load(sys.stdin)
    told = (task["policies"], task["limits"], task["schema"], task["roles"])
    for line in [*map(asdict, check_policies(*told)), END]:
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
