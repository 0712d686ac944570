from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.script import follow

texts = st.text(min_size=1, max_size=20)
items = st.one_of(
    st.builds(lambda t: {"say": t}, texts),
    st.builds(lambda t: {"hear": t}, texts),
    st.builds(lambda t: {"call": {"tool": t, "args": {}}}, texts),
)


@given(st.lists(items, max_size=30))
def test_following_a_script_visits_each_item_once_and_in_order(script: list[dict]) -> None:
    cursor, seen = 0, []
    while True:
        turn = follow(script, cursor)
        seen += [text for _, text in turn.messages]
        if turn.call is None:
            break
        seen.append(turn.call.tool)
        assert turn.cursor > cursor
        cursor = turn.cursor

    flat = [i.get("say") or i.get("hear") or i["call"]["tool"] for i in script]
    assert seen == flat
    assert turn.cursor == len(script)


def test_done_ends_the_run_and_keeps_its_summary() -> None:
    turn = follow([{"say": "Bye"}, {"done": "All done"}, {"say": "never said"}], 0)

    assert (turn.messages, turn.done, turn.summary) == ((("agent", "Bye"),), True, "All done")
