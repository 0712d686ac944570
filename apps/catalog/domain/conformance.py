"""Whether a tool server keeps to the protocol of docs/tool-servers.md: what its list of tools says,
judged without calling anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.catalog.domain.checks import SHAPES, WORDS, shape_problem
from apps.catalog.domain.contract_schema import MOST_OF_NAME
from apps.catalog.domain.served import ServedTool, ServedTools
from apps.kernel import schemas

OK, ADVICE, WRONG, SKIPPED = "ok", "advice", "wrong", "not tried"
SERVER = ""  # the tool of a line that is about the server as a whole
LARGE_LISTING = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. ``wrong`` breaks the protocol; ``advice`` is what the tower
    could do better with."""

    tool: str
    item: str
    state: str
    message: str
    fix: str = ""


def judged(listing: ServedTools, helpers: Mapping[str, str]) -> list[Line]:
    """Everything that the list of tools tells. ``helpers``: names of the preview and the look-up
    tool, where there are any."""
    out = list(_whole(listing))
    for tool in listing.tools.values():
        out += _tool(tool, is_helper=tool.name in helpers.values())
    for key, name in helpers.items():
        out += _helper(listing, key, name)
    return out


def _whole(listing: ServedTools) -> Iterator[Line]:
    speaks = f"speaks MCP {listing.protocol}"
    yield Line(SERVER, "protocol", OK, f"{listing.server or 'The server'} {speaks}.")
    if not listing.tools:
        yield Line(SERVER, "tools", WRONG, "It offers no tools.", "Answer tools/list.")
    for name in listing.twice:
        fix = "List it once: nobody can tell which is called."
        yield Line(name, "name", WRONG, "It is listed twice.", fix)
    if listing.unnamable:
        message = f"{listing.unnamable} tools have names that MCP doesn't know."
        fix = "Use letters, digits, “_”, “-” and “.” only."
        yield Line(SERVER, "names", WRONG, message, fix)
    if len(listing.tools) > LARGE_LISTING:
        message = f"It offers {len(listing.tools)} tools; the tower reads the list often."
        yield Line(SERVER, "size", ADVICE, message, "Split it into several servers.")


def _tool(tool: ServedTool, *, is_helper: bool) -> Iterator[Line]:
    name, problem = tool.name, tool.problem
    if problem:
        yield Line(name, "entry", WRONG, f"It can't be read: {problem}", "Send plain, small JSON.")
        return
    if len(name) > MOST_OF_NAME or not name.strip("."):
        fix = f"Use 1 to {MOST_OF_NAME} characters, not dots alone."
        yield Line(name, "name", WRONG, "The tower can't address that name.", fix)
    if not tool.description:
        fix = "Say in a sentence what it does; agents choose by it."
        yield Line(name, "description", ADVICE, "It has no description.", fix)
    yield from _schema(name, "input_schema", tool.input_schema)
    if tool.output_schema is not None:
        yield from _schema(name, "output_schema", tool.output_schema)
    elif not is_helper:
        fix = "State one, so that odd answers are noticed."
        yield Line(name, "output_schema", ADVICE, "It states no output schema.", fix)
    yield from _hints(tool)


def _schema(name: str, item: str, schema: Mapping[str, Any]) -> Iterator[Line]:
    found = schemas.schema_problems(dict(schema), of_object=True)
    for problem in found:
        yield Line(name, item, WRONG, str(problem), problem.fix)
    if not found:
        yield Line(name, item, OK, "The schema can be used.")
    properties = schema.get("properties")
    for key, entry in (properties if isinstance(properties, Mapping) else {}).items():
        if item == "input_schema" and isinstance(entry, Mapping) and not entry.get("description"):
            fix = "Describe it; people who approve read it too."
            yield Line(name, item, ADVICE, f"“{key}” has no description.", fix)


def _hints(tool: ServedTool) -> Iterator[Line]:
    reads = tool.hints.get("readOnlyHint")
    if reads is None:
        fix = "Set annotations.readOnlyHint: true for a tool that changes nothing, else false."
        yield Line(tool.name, "hints", ADVICE, "It doesn't say whether it only reads.", fix)
    elif reads and tool.hints.get("destructiveHint"):
        message = "It says both readOnlyHint: true and destructiveHint: true."
        yield Line(tool.name, "hints", WRONG, message, "Keep the one that is true.")
    else:
        said = "only reads" if reads else "changes something"
        yield Line(tool.name, "hints", OK, f"It says that it {said}.")


def _helper(listing: ServedTools, key: str, name: str) -> Iterator[Line]:
    word = WORDS[key]
    tool = listing.tools.get(name)
    if tool is None:
        yield Line(
            name, word, WRONG, f"There is no such {word} tool.", "Offer it, or leave it out."
        )
        return
    if tool.hints.get("readOnlyHint") is False or tool.hints.get("destructiveHint"):
        message = f"The {word} says that it changes something itself."
        yield Line(name, word, WRONG, message, "A tool that is asked beforehand must only read.")
    if wrong := shape_problem(tool.input_schema, SHAPES[key]):
        fix = f"It is called with {', '.join(SHAPES[key])}."
        yield Line(name, word, WRONG, f"It can't be called as the tower does: {wrong}.", fix)
    else:
        yield Line(name, word, OK, f"It takes what the tower sends a {word}.")


# --- answers --------------------------------------------------------------------------------------

PREVIEW_FIELDS = ("before", "after", "changes", "facts", "refusal")


def preview_lines(name: str, answer: Any) -> Iterator[Line]:
    """Whether a dry run's answer tells what would change."""
    if not isinstance(answer, Mapping):
        fix = "Answer a JSON object, as structuredContent or as one text."
        yield Line(name, "preview", WRONG, "The dry run answers no object.", fix)
        return
    if not any(key in answer for key in PREVIEW_FIELDS):
        fix = f"Answer with some of {', '.join(PREVIEW_FIELDS)}."
        yield Line(name, "preview", WRONG, "The dry run says nothing of what would change.", fix)
        return
    changes = answer.get("changes")
    if changes is not None and not _are_changes(changes):
        fix = 'Write a list of {"path": …, "before": …, "after": …}.'
        message = "The dry run's “changes” can't be compared; people see it as text."
        yield Line(name, "preview", ADVICE, message, fix)
    if not isinstance(answer.get("facts", {}), Mapping):
        fix = "Write an object of values by name."
        yield Line(name, "preview", WRONG, "The dry run's “facts” are no object.", fix)
    told = ", ".join(key for key in PREVIEW_FIELDS if key in answer)
    yield Line(name, "preview", OK, f"The dry run tells {told}.")


def ahead_line(name: str, answer: Any) -> Line:
    """Whether a dry run that was asked for one later call answers for it."""
    said = answer.get("then") if isinstance(answer, Mapping) else None
    first = said[0] if isinstance(said, list) and len(said) == 1 else None
    if isinstance(first, Mapping) and "refusal" in first:
        return Line(name, "preview", OK, "The dry run looks ahead at the calls behind it.")
    fix = 'Answer “then” with {"refusal": null or text} for each call, in their order.'
    return Line(name, "preview", WRONG, "The dry run takes “then” and doesn't answer it.", fix)


def _are_changes(changes: Any) -> bool:
    return isinstance(changes, list) and all(
        isinstance(c, Mapping) and isinstance(c.get("path"), str) for c in changes
    )


def absent_line(name: str, answer: Any) -> Line:
    """Whether a look-up says of a key that it was never sent."""
    if isinstance(answer, Mapping) and answer.get("found") is False:
        return Line(name, "look-up", OK, "It says of an unknown key that it was not found.")
    fix = 'Answer {"found": false} for a key that was not carried out.'
    return Line(name, "look-up", WRONG, "It doesn't say that an unknown key is unknown.", fix)


def found_line(name: str, answer: Any, tool: str) -> Line:
    """Whether a look-up knows a key that was just carried out."""
    if not isinstance(answer, Mapping) or answer.get("found") is not True:
        fix = "Keep keys with their answers, and answer found: true, tool, args_digest and result."
        return Line(name, "look-up", WRONG, "It doesn't know a key that was carried out.", fix)
    if answer.get("tool") not in {None, tool}:
        fix = f"Answer tool: {tool}."
        return Line(name, "look-up", WRONG, "It names another tool than was called.", fix)
    return Line(name, "look-up", OK, "It knows the key that was carried out.")
