"""A text that is made to state another value states it, and keeps the words of its author."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.kernel import exactjson
from apps.kernel.documents import MAX_DEPTH, load
from apps.kernel.patching import dumped
from apps.kernel.rewriting import Rewritten, comments, rewritten
from tests.kernel.test_patching import texts, values

TEXT = """# The job of the desk
# in two lines

name: Refund a toy   # as people say it
# who answers
owner: Ida
purpose: >
  Give money back
  without asking.

tools:  # in order
  # look first
  - name: look_up   # a read
    limit: 3
  # then pay
  - name: refund
    # per day
    limit: 5

limits: {eur: 100, days: 7}  # from finance
words: [a, b]
note: |  # for people
  One.
  Two.
empty:  # to be said
# the end
"""
VALUE = load(TEXT, exact=True).value
ALL = comments(TEXT)


def changed(**new: Any) -> dict[str, Any]:
    return {**VALUE, **new}


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in VALUE.items() if k != key}


LOOK, PAY = VALUE["tools"]


@pytest.mark.parametrize(
    ("wanted", "old", "new"),
    [
        (changed(name="Refund"), "name: Refund a toy   #", "name: Refund   #"),
        (changed(owner=["Ida"]), "owner: Ida", "owner:\n  - Ida"),
        (changed(owner=None), "owner: Ida", "owner: null"),
        (changed(empty=True), "empty:  # to be said", "empty: true  # to be said"),
        (
            changed(empty={"a": 1}),
            "empty:  # to be said",
            "empty:  # to be said\n  a: 1",
        ),
        (
            changed(limits={"eur": 200, "days": 7}),
            "limits: {eur: 100,",
            "limits: {eur: 200,",
        ),
        (
            changed(limits={"eur": 1}),
            "limits: {eur: 100, days: 7}  #",
            "limits: {eur: 1}  #",
        ),
        (changed(words=["a", "c"]), "[a, b]", "[a, c]"),
        (changed(words=["a", "b", "c"]), "[a, b]", "[a, b, c]"),
        (
            changed(purpose="Ask first.\n"),
            ">\n  Give money back\n  without asking.\n",
            ">\n  Ask first.\n",
        ),
        (changed(note="One.\nThree.\n"), "  Two.", "  Three."),
        (changed(note="One.\nTwo."), "|  # for people", "|-  # for people"),
        (changed(tools=[LOOK, {**PAY, "limit": 6}]), "limit: 5", "limit: 6"),
        (
            changed(tools=[LOOK, {**PAY, "votes": 2}]),
            "    limit: 5\n",
            "    limit: 5\n    votes: 2\n",
        ),
        (
            changed(tools=[LOOK, {"name": "wait"}, PAY]),
            "    limit: 3\n",
            "    limit: 3\n  - name: wait\n",
        ),
        (
            changed(tools=[{"name": "wait"}, LOOK, PAY]),
            "  # look first\n",
            "  - name: wait\n  # look first\n",
        ),
    ],
)
def test_one_change_changes_its_place_alone(wanted: Any, old: str, new: str) -> None:
    found = rewritten(TEXT, wanted)

    assert found.lost == ()
    assert load(found.text, exact=True).value == wanted
    assert found.text == TEXT.replace(old, new)


def test_new_keys_stand_after_those_that_they_follow() -> None:
    wanted = {"name": VALUE["name"], "aim": 1, "aims": 2, **VALUE, "last": [1, {"a": 2}]}

    text = rewritten(TEXT, wanted).text

    assert "# as people say it\naim: 1\naims: 2\n# who answers\nowner" in text
    assert text.endswith("empty:  # to be said\nlast:\n  - 1\n  - a: 2\n# the end\n")


@pytest.mark.parametrize(
    ("wanted", "gone", "lost"),
    [
        (without("owner"), "# who answers\nowner: Ida\n", ("# who answers",)),
        (
            without("name"),
            "name: Refund a toy   # as people say it\n",
            ("# as people say it",),
        ),
        (
            changed(tools=[PAY]),
            "  # look first\n  - name: look_up   # a read\n    limit: 3\n",
            ("# look first", "# a read"),
        ),
        (
            changed(tools=[LOOK]),
            "  # then pay\n  - name: refund\n    # per day\n    limit: 5\n",
            ("# then pay", "# per day"),
        ),
        (
            changed(tools=[LOOK, {"name": "refund"}]),
            "    # per day\n    limit: 5\n",
            ("# per day",),
        ),
    ],
)
def test_what_goes_takes_its_comments_along_and_names_them(
    wanted: Any, gone: str, lost: tuple[str, ...]
) -> None:
    assert rewritten(TEXT, wanted) == Rewritten(TEXT.replace(gone, ""), lost)


def test_the_first_key_of_an_item_goes_and_the_others_stay() -> None:
    wanted = changed(tools=[{"limit": 3}, PAY])

    found = rewritten(TEXT, wanted)

    assert load(found.text).value == wanted
    assert found.lost == ("# a read",)


def test_comments_are_told_from_what_only_looks_like_one() -> None:
    text = 'a: "# no"  # yes\nb: x#no\nc: |  # one\n  # no\n# two\nd: [1, # three\n  2]\n'

    assert comments(text) == ["# yes", "# one", "# two", "# three"]


@pytest.mark.parametrize("text", ["", "\n\n", "# only words\n"])
def test_an_empty_text_is_written_and_its_words_stay(text: str) -> None:
    found = rewritten(text, {"a": 1})

    assert found == Rewritten(f"{text.strip()}\na: 1\n".lstrip())


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "a: 2020-01-01\n"])
def test_a_text_that_says_more_than_its_value_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        rewritten(text, {"a": 1})


def test_a_value_that_no_text_states_is_refused() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 2):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="nested too deeply"):
        rewritten("a: 1\n", deep)


@pytest.mark.parametrize(
    "text",
    [
        "? a\n: 1\n? b\n: 2\n",
        "--- # head\na: 1\nb: 2\n...\n",
        '"a": 1\n\'b\': "2\n  3"\n',
        "{a: 1,\n # why\n b: [x, # y\n z]}\n",
        "a:\n- 1\n-\n- # x\n  b: 2\n-   - 1\n    - 2\nb: |+\n  x\n\n",
        "a: !!str 1\nb: >-2\n   x\n  y\n",
        "- a\n- b: 1\n  c:\n- \n",
        "a: 1",
        "a:\n  b:\n    c: 1\n    # deeper\n  # of a\nd: 1\n",
    ],
)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_text_comes_to_state_any_value(text: str, data: st.DataObject) -> None:
    now = load(text, exact=True).value
    wanted = exactjson.check(data.draw(nearby(now) | values, "wanted"))

    found = rewritten(text, wanted)

    read = load(found.text, exact=True)
    assert read.problems == []
    assert exactjson.same(read.value, wanted)


def nearby(value: Any) -> st.SearchStrategy[Any]:
    """The same value with a few parts changed, gone or added."""
    if isinstance(value, dict) and value:
        kept = {k: st.just(v) | nearby(v) for k, v in value.items()}
        return st.tuples(
            st.fixed_dictionaries({}, optional=kept), st.dictionaries(texts, values, max_size=1)
        ).map(lambda both: {**both[0], **both[1]})
    if isinstance(value, list) and value:
        inner = st.sampled_from(value).flatmap(lambda v: st.just(v) | nearby(v))
        return st.lists(inner | values, max_size=len(value) + 1)
    return st.just(value) | values


def said(value: Any) -> str:
    """A value as a text in which every line has a comment, and every key one above it."""
    lines = []
    for n, line in enumerate(dumped(value).splitlines()):
        if re.match(r' *[\w"{\[]', line):
            lines.append(f"{' ' * (len(line) - len(line.lstrip()))}# above {n}")
        lines.append(f"{line}  # on {n}")
    return "".join(f"{line}\n" for line in lines)


def untouched(value: Any, wanted: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys whose value stays, in groups that stay groups."""
    for key in value.keys() & wanted.keys():
        if exactjson.same(value[key], wanted[key]):
            yield (*path, key)
        elif isinstance(value[key], dict) and isinstance(wanted[key], dict) and wanted[key]:
            yield from untouched(value[key], wanted[key], (*path, key))


short = st.text("abc d", min_size=1, max_size=3) | st.sampled_from(
    ["yes", "1", "#x", "a: b", "- a"]
)
scalars = st.none() | st.booleans() | st.integers() | texts
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(short, trees, min_size=1, max_size=5), st.data())
def test_comments_of_untouched_keys_survive(value: Any, data: st.DataObject) -> None:
    value = exactjson.check(value)
    text = said(value)
    wanted = exactjson.check(data.draw(nearby(value), "wanted"))

    found = rewritten(text, wanted)

    read = load(found.text, exact=True)
    assert read.problems == []
    assert exactjson.same(read.value, wanted)
    after = comments(found.text)
    assert sorted([*after, *found.lost]) == sorted(comments(text))
    places = load(text, exact=True).key_places
    for path in untouched(value, wanted):
        line = text.splitlines()[places[path].line - 1]
        assert re.findall(r"# on \d+$", line)[0] in after, path
