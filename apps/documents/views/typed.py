"""What a person has on a draft's page: the text, the form over it and the JSON of it, which are
three views of one source, the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from apps.documents.domain.kinds import DocumentKind
from apps.kernel import exactjson, fields
from apps.kernel.documents import Document, Place, Problem, load, path_text
from apps.kernel.jsontext import load_json
from apps.kernel.rewriting import rewritten

BLANK = "\n"  # JSON of which nothing is left: it is kept too, and is no JSON


@dataclass(frozen=True, slots=True)
class Typed:
    """``text`` has what was changed in the form and, where it can be read, what was typed as JSON.
    ``errors``: by field, what the form said that can't be written. ``json``: what stands in the
    JSON view; None for who works on the text. ``problems``: why that isn't in the text, which is
    then the last that it could be brought into. ``lost``: comments that the text has no more."""

    text: str
    revision: int
    errors: Mapping[str, str] = field(default_factory=dict)
    json: str | None = None
    problems: tuple[Problem, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def unread_json(self) -> str:
        """What has to be kept beside the text, since it isn't in it."""
        return (self.json or BLANK) if self.json is not None and self.problems else ""

    @property
    def mine(self) -> str:
        """What this person would have kept, to be laid beside what somebody else has."""
        return self.unread_json or self.text

    def shown_as(self, view: str) -> Typed:
        """The same in the view of that name, if it can be shown there."""
        if view == "json" and self.json is None and not why_no_json(self.text):
            return replace(self, json=as_json(self.text))
        if view == "text" and not self.problems:
            return replace(self, json=None)
        return self


def typed_on(
    kind: DocumentKind, subject: Any, posted: Mapping[str, str], *, revision: int
) -> Typed:
    """What was sent from the page."""
    text = posted.get("text", "").replace("\r\n", "\n")
    is_dropped = posted.get("drop") == "json"
    is_json = posted.get("view") == "json" and kind.format != "text" and not is_dropped
    found = Typed(text, revision)
    if is_json:
        found = with_json(found, posted.get("json", "").replace("\r\n", "\n"))
    if found.problems:
        return found
    taken, errors = fields.take(kind.sections(subject, found.text), found.text, posted)
    shown = as_json(taken) if is_json and taken != found.text else found.json
    return replace(found, text=taken, errors=errors, json=shown)


def with_json(typed: Typed, json: str) -> Typed:
    """The same with what is typed as JSON brought into the text, or why it can't be."""
    read = load_json(json)
    if read.problems:
        return replace(typed, json=json, problems=tuple(read.problems))
    try:
        found = rewritten(typed.text, read.value)
    except ValueError as error:
        problem = Problem(f"It can't be brought into the text. {error}", "Mend the text first.")
        return replace(typed, json=json, problems=(problem,))
    return replace(typed, text=found.text, json=json, lost=found.lost)


def as_json(text: str) -> str:
    """The values of a text as JSON; empty for a text that says more than its values do."""
    document = load(text, exact=True)
    if document.problems or document.value is None:
        return ""
    try:
        return exactjson.dumps(document.value, indent=True)
    except (TypeError, ValueError):  # half a surrogate pair
        return ""


def why_no_json(text: str) -> str:
    """Why a text can't be shown as JSON; empty for one that can, or is empty itself."""
    problems = load(text, exact=True).problems if text.strip() else []
    return f"{problems[0]}" if problems else ""


def placed(problems: Iterable[Problem], typed: Typed) -> list[Problem]:
    """Problems of the text with the line and column that they have in the view on the page."""
    if typed.json is None or typed.problems:
        return list(problems)
    places = _by_path(load_json(typed.json))
    found = ((p, _nearest(p.path, places)) for p in problems)
    return [replace(p, line=place.line, column=place.column) for p, place in found]


def _by_path(document: Document) -> dict[str, Place]:
    both = [*document.places.items(), *document.key_places.items()]
    return {path_text(path): place for path, place in both}


def _nearest(path: str, places: Mapping[str, Place]) -> Place:
    while path and path not in places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return places.get(path, Place())
