"""The door between tokens and values: what a server says of a hidden value never comes in."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest

from apps.calls.domain.content import read_result
from apps.calls.domain.envelope import EnvelopeReply
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, hiding
from apps.calls.executor.result import EndedCall, Trace
from apps.kernel.exactjson import dumps
from apps.redaction.domain.hidden import Hidden
from apps.redaction.domain.names import names_of

CANARY = "canary-4711-Ünïq"


def hidden() -> Hidden:
    made = Hidden(UUID(int=1), names_of(["dob"]), b"k" * 32)
    made.learn({"dob": CANARY})
    return made


def answered(**result: Any) -> CallResult:
    reply = EnvelopeReply(result=result)
    return EndedCall(Trace(), 0.0).with_content(read_result(reply))


def looks(result: CallResult) -> str:
    return f"{result!r} {[p.body for p in result.parts]}"


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


@pytest.mark.parametrize(
    "result",
    [
        {"content": [text(CANARY)]},
        {"content": [text(dumps({"dob": "another-1"})), text(f"and {CANARY}")]},
        {"content": [text(CANARY)], "isError": True},
        {"content": [], "structuredContent": {"dob": "another-1", "note": [CANARY]}},
        {"content": [text('{"dob":"another-1"}')], "structuredContent": {"dob": "another-1"}},
        {"content": [text("x")], "_meta": {"effect_id": CANARY}},
        {"content": [{"type": "resource", "resource": {"uri": f"x:{CANARY}", "text": CANARY}}]},
        {"content": [{"type": "resource_link", "uri": f"https://x/{CANARY}", "name": "n"}]},
        {"content": [{"type": "odd", "dob": "another-1", "x": CANARY}]},
    ],
)
def test_nothing_of_an_answer_holds_a_hidden_value(result: dict[str, Any]) -> None:
    before = answered(**result)

    after = hiding.masked(hidden(), before)

    assert "canary" in looks(before) or "another-1" in looks(before)
    assert "canary" not in looks(after)
    assert "another-1" not in looks(after)
    assert after.ending is before.ending
    raw = (CANARY, "another-1", dumps({"dob": "another-1"}))
    digests = {hashlib.sha256(one.encode()).hexdigest() for one in raw}
    assert not digests & {part.sha256 for part in after.parts}, "a digest can be tried out"


def test_a_file_that_is_no_text_and_holds_one_is_withheld() -> None:
    raw = b"\x89PNG\xff" + CANARY.encode()
    made = hidden()
    part = answered(content=[{"type": "image", "data": "iVBORw==", "mimeType": "i/p"}]).parts[0]
    result = CallResult(
        Ending.ANSWERED, part.told, parts=(type(part)(**{**_of(part), "body": raw}),)
    )

    after = hiding.masked(made, result)

    assert after.parts[0].body is None
    assert hiding.WITHHELD in after.notes


def _of(part: Any) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__}


def test_an_answer_without_hidden_values_is_kept_to_the_byte() -> None:
    before = answered(
        content=[text('{"n":  1.50}'), {"type": "image", "data": "iVBORw==", "mimeType": "i/p"}],
        structuredContent={"n": 1.5},
    )

    assert hiding.masked(hidden(), before) == before


def test_an_unknown_token_is_never_sent() -> None:
    asked = hiding.asked(hidden(), {"note": f"⟦dob:{'0' * 32}⟧"}, {})

    assert isinstance(asked, CallResult)
    assert (asked.ending, asked.error_class) == (Ending.REJECTED, "unsendable")
    assert "only in the run that was given it" in asked.error


def test_an_error_of_ours_is_told_without_its_values() -> None:
    assert "canary" not in str(hiding.without_values(hidden(), RuntimeError(f"bad {CANARY}")))
