"""What a tool answered, as people see it: short enough for a page, the rest to be downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.kernel import exactjson
from apps.kernel.errors import NotFoundError
from apps.runs.models import AnswerBody, Step

SHOWN_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as a page shows it: its text, cut where it is very long; its parts; its notes."""

    text: str
    is_cut: bool
    parts: Sequence[Mapping[str, Any]]
    notes: Sequence[str]


def shown(step: Step) -> Shown | None:
    """What came back from the tool; ``None`` when nothing did. Never raises: an older row may hold
    anything."""
    if step.result is None:
        return None
    result = step.result if isinstance(step.result, Mapping) else {"content": step.result}
    said = {key: value for key, value in result.items() if key not in {"parts", "notes"}}
    text = exactjson.dumps(said, indent=True)
    parts = [part for part in result.get("parts") or () if isinstance(part, Mapping)]
    notes = [str(note) for note in result.get("notes") or ()]
    return Shown(text[:SHOWN_CHARS], len(text) > SHOWN_CHARS, parts, notes)


def whole(run_id: UUID, seq: int) -> bytes:
    """A step's answer as a JSON file, or ``NotFoundError``."""
    return exactjson.dumps(_answer(run_id, seq), indent=True).encode()


def file_of(run_id: UUID, seq: int, number: int) -> tuple[str, bytes]:
    """The name and the content of one part of a step's answer, counted from 1; ``NotFoundError``
    where that part isn't kept as a file."""
    parts = _answer(run_id, seq).get("parts") or []
    part = parts[number - 1] if 0 < number <= len(parts) else {}
    row = AnswerBody.objects.filter(pk=part.get("sha256", "")).first() if part.get("kept") else None
    if row is None:
        raise NotFoundError("This part of the answer is not kept as a file.")
    return f"step-{seq}-part-{number}-{row.pk[:12]}", bytes(row.body)


def _answer(run_id: UUID, seq: int) -> Mapping[str, Any]:
    step = Step.objects.filter(run_id=run_id, seq=seq).first()
    if step is None or not isinstance(step.result, Mapping):
        raise NotFoundError("No answer of this step is kept.")
    return step.result
