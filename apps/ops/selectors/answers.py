"""What a tool answered and what a run gave back, as people see it: short enough for a page, the
rest to be downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.kernel import exactjson
from apps.kernel.errors import NotFoundError
from apps.runs.models import AnswerBody, RunResult, Step

SHOWN_CHARS = 20_000
MOST = 500  # parts and notes of one answer


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """One piece of an answer: its number among those that are kept, and what is kept about it."""

    number: int
    kind: str
    media_type: str
    name: str
    annotations: str
    size: int | None
    sha256: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as a page shows it: its text, cut where it is very long; its parts; its notes."""

    text: str
    is_cut: bool
    parts: Sequence[AnswerPiece]
    notes: Sequence[str]


def shown(step: Step) -> Shown | None:
    """What came back from the tool; ``None`` when nothing did. Never raises: an older row may hold
    anything."""
    if step.result is None:
        return None
    result = step.result if isinstance(step.result, Mapping) else {"content": step.result}
    said = {key: value for key, value in result.items() if key not in {"parts", "notes"}}
    text = exactjson.dumps(said, indent=True)
    parts = [_piece(n, p) for n, p in enumerate(_pieces(result), 1) if isinstance(p, Mapping)]
    notes = [_text(note) for note in _listed(result.get("notes"))]
    return Shown(text[:SHOWN_CHARS], len(text) > SHOWN_CHARS, parts, notes)


def result_of(run_id: UUID) -> RunResult | None:
    """What a run gave back; ``None`` when it gave nothing, or did not succeed."""
    return RunResult.objects.filter(pk=run_id).first()


def _piece(number: int, part: Mapping[str, Any]) -> AnswerPiece:
    size = part.get("size")
    return AnswerPiece(
        number=number,
        kind=_text(part.get("kind")),
        media_type=_text(part.get("media_type")),
        name=_text(part.get("name")),
        annotations=_text(part.get("annotations")),
        size=size if isinstance(size, int) and 0 <= size < 2**63 else None,
        sha256=_text(part.get("sha256")),
        kept=part.get("kept") is True,
    )


def _pieces(result: Mapping[str, Any]) -> Sequence[Any]:
    return _listed(result.get("parts"))


def _listed(stored: Any) -> list[Any]:
    """A list as it is kept; one entry for what ought to be one."""
    if isinstance(stored, list):
        return stored[:MOST]
    return [] if stored is None else [stored]


def _text(stored: Any) -> str:
    if stored is None:
        return ""
    return stored if isinstance(stored, str) else exactjson.dumps(stored)


def whole(run_id: UUID, seq: int) -> bytes:
    """A step's answer as a JSON file, or ``NotFoundError``."""
    return exactjson.dumps(_kept(run_id, seq), indent=True).encode()


def file_of(run_id: UUID, seq: int, number: int) -> tuple[str, bytes]:
    """The name and the content of one part of a step's answer, counted from 1; ``NotFoundError``
    where that part isn't kept as a file."""
    parts = _pieces(_answer(run_id, seq))
    found = parts[number - 1] if 0 < number <= len(parts) else None
    part = _piece(number, found) if isinstance(found, Mapping) else None
    row = AnswerBody.objects.filter(pk=part.sha256).first() if part and part.kept else None
    if row is None:
        raise NotFoundError("This part of the answer is not kept as a file.")
    return f"step-{seq}-part-{number}-{row.pk[:12]}", bytes(row.body)


def _answer(run_id: UUID, seq: int) -> Mapping[str, Any]:
    found = _kept(run_id, seq)
    return found if isinstance(found, Mapping) else {}


def _kept(run_id: UUID, seq: int) -> Any:
    step = Step.objects.filter(run_id=run_id, seq=seq).first()
    if step is None or step.result is None:
        raise NotFoundError("No answer of this step is kept.")
    return step.result
