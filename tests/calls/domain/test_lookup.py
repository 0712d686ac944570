from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from apps.calls.domain.lookup import LOOKED_WORDS, Looked, read_answer
from apps.kernel.exactjson import loads

ARGUMENTS = {"order_id": "#D", "amount": 3}
DIGEST = hashlib.sha256(
    json.dumps(ARGUMENTS, sort_keys=True, separators=(",", ":")).encode()
).hexdigest()


@pytest.mark.parametrize(
    ("answer", "looked"),
    [
        (None, Looked.SILENT),
        ({"found": "yes"}, Looked.SILENT),
        ({"found": False, "tool": None, "args_digest": None}, Looked.ABSENT),
        ({"found": True}, Looked.FOUND),
        ({"found": True, "tool": "refund", "args_digest": DIGEST}, Looked.FOUND),
        ({"found": True, "tool": "cancel", "args_digest": DIGEST}, Looked.OTHER),
        ({"found": True, "tool": "refund", "args_digest": "0" * 64}, Looked.OTHER),
        ({"found": True, "tool": {"name": "refund"}}, Looked.OTHER),
        ({"found": True, "args_digest": [DIGEST]}, Looked.OTHER),
    ],
)
def test_a_look_up_proves_only_this_very_call(answer: Any, looked: Looked) -> None:
    assert read_answer(answer, tool="refund", arguments=ARGUMENTS) is looked


@pytest.mark.parametrize("spelled", [3, 3.0, "3.00", "0.3e1"])
def test_a_look_up_proves_the_call_however_its_numbers_are_spelled(spelled: Any) -> None:
    amount = loads(spelled) if isinstance(spelled, str) else spelled
    answer = {"found": True, "args_digest": DIGEST}

    found = read_answer(answer, tool="refund", arguments={"order_id": "#D", "amount": amount})

    assert found is Looked.FOUND


def test_every_word_of_a_look_up_can_be_said() -> None:
    assert set(LOOKED_WORDS) == set(Looked)
