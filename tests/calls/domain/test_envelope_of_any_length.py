"""A tool server's answer is read in a time that grows with its length only, whatever it says."""

from __future__ import annotations

import re
import time

from hypothesis import example, given
from hypothesis import strategies as st

from apps.calls.domain import envelope

EACH_TRIED = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)


@given(st.text(alphabet='"\\{}[],:a \n', max_size=60))
@example('{"id":1,"result":{"text":"he said "hi"}}')
def test_quotes_without_an_end_are_passed_over_as_if_each_were_tried(text: str) -> None:
    assert [t[0] for t in envelope._tokens(text)] == [t[0] for t in EACH_TRIED.finditer(text)]


def test_a_text_that_does_not_end_keeps_nobody_waiting() -> None:
    cut = '{"jsonrpc": "2.0", "id": 1, "result": {"n": 1e9, "x": "' + '\\"' * 300_000

    began = time.process_time()
    assert "no JSON-RPC message" in envelope.read(cut, 1).missing
    assert time.process_time() - began < 3, "with each quote tried it took half an hour"
