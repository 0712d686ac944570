"""What an agent gives back, by a script's entry ``{"result": value}``, held against a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.kernel.exactjson import NotCarriedError, check, dumps
from apps.kernel.schemas import WHOLE, Schema, sentence, shown

MOST_RESULT = 100_000  # characters of a result as JSON


@dataclass(frozen=True, slots=True)
class Given:
    """A result as an agent gave it: nothing has been checked."""

    value: Any


def last_given(items: Sequence[Mapping[str, Any]]) -> Given | None:
    """The last result among the entries of a script; ``None`` when none was given."""
    return next((Given(item["result"]) for item in reversed(items) if "result" in item), None)


def misfit(output: Schema, value: Any, *, quoted: Any = WHOLE) -> str:
    """In what a value differs from the schema, as a sentence with the field; empty if it fits.
    ``quoted``: see ``Schema.misfit``."""
    try:
        kept = check(value)
    except NotCarriedError as error:
        return shown(f"the result can't be kept: {error}")
    size = len(dumps(kept))
    if size > MOST_RESULT:
        return f"the result has {size:,} characters; {MOST_RESULT:,} are the most"
    if not output.misfit(kept):
        return ""
    errors = output.misfits(kept, most=1)
    return sentence(errors[0], of="result", quoted=quoted) if errors else "result: it does not fit"
