"""One call of one tool, against any world: the library under the service.

``call_tool`` is pure: it needs a world (plain nested dicts, or a ``Layer``) and nothing else.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from controltower.practice.world.companies import COMPANIES
from controltower.practice.world.dialect import Dialect
from controltower.practice.world.errors import BadArgumentsError, UnknownToolError
from controltower.practice.world.schemas import Schema, misfit, parameters
from controltower.practice.world.state import Tables


def call_tool(
    domain: str,
    world: Tables,
    tool: str,
    args: dict[str, Any],
    dialect: Dialect = Dialect.TAU2,
) -> Any:
    """Run a tool against a world and return its answer: an entity, a list or a text.

    Mutating tools change the world given. Raises ``ToolRefusedError``, having changed nothing, when
    the company says no; the answer shares objects with the world, so copy it before editing it.
    """
    function = COMPANIES[domain].functions.get(tool)
    if function is None:
        raise UnknownToolError(f"Unknown tool: {tool}")
    wrong = misfit(_parameters(domain, tool), args)
    if wrong is not None:
        raise BadArgumentsError(wrong)
    return function(world, dialect, **args)


def is_mutating(domain: str, tool: str) -> bool:
    """Whether the tool can change the company's records."""
    return tool in COMPANIES[domain].mutating


@cache
def _parameters(domain: str, tool: str) -> Schema:
    return parameters(domain, tool)
