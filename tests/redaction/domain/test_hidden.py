"""Hiding and its way back, over any document."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.exactjson import dumps, loads, same
from apps.redaction.domain.hidden import LEAST_IN_TEXT, Hidden, UnknownTokenError
from apps.redaction.domain.items import items
from apps.redaction.domain.names import names_of
from apps.redaction.domain.tokens import is_token, token_of

KEY, OWNER = b"k" * 32, UUID(int=1)
VALUE = "1969-07-20T20:17"


def hiding(*names: str) -> Hidden:
    return Hidden(OWNER, names_of(names or ("dob", "customer.zip")), KEY)


KEYS = st.sampled_from(["dob", "DOB", "customer", "zip", "name", "passengers"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    | st.sampled_from([VALUE, f"born {VALUE}", "⟦dob:", f"⟦dob:{'0' * 32}⟧"])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
).map(lambda value: loads(dumps(value)))


def leaves_at(document: Any, wanted: bool = False) -> list[Any]:
    """Every value at or below a key ``dob``, in capitals or not."""
    if isinstance(document, dict):
        return [
            leaf
            for key, inner in document.items()
            for leaf in leaves_at(inner, wanted or key.casefold() == "dob")
        ]
    if isinstance(document, list):
        return [leaf for inner in document for leaf in leaves_at(inner, wanted)]
    return [document] if wanted and document not in (None, "") else []


@given(DOCUMENTS)
def test_no_value_at_a_hidden_name_survives(document: Any) -> None:
    masked = hiding().proposed(document)

    assert all(is_token(leaf) for leaf in leaves_at(masked))


@given(DOCUMENTS)
def test_a_long_hidden_text_stands_nowhere_else_either(document: Any) -> None:
    whole = {"all": document, "dob": VALUE, "said": f"x{VALUE}y", VALUE: 1}

    masked = hiding().proposed(whole)

    assert VALUE not in dumps(masked)


@given(DOCUMENTS)
def test_what_was_hidden_comes_back_as_it_was(document: Any) -> None:
    hidden = hiding()
    masked = hidden.proposed({"x": document, "dob": VALUE})

    known = dict(hidden.fresh)
    try:
        back = Hidden(OWNER, names_of(["dob"]), KEY, known).real(masked)
    except UnknownTokenError:
        assert "⟦dob:" in dumps(document)  # somebody else's token, which stays unknown
        return
    assert same(back, {"x": document, "dob": VALUE})


@given(DOCUMENTS)
def test_hiding_twice_is_hiding_once(document: Any) -> None:
    hidden = hiding()
    once = hidden.proposed(document)

    assert same(hidden.proposed(once), once)
    assert same(hidden.mask(once), hidden.mask(hidden.mask(once)))


@pytest.mark.parametrize(("one", "other"), [(5, 5.0), (60000, 6e4), (0, -0.0)])
def test_equal_values_have_equal_tokens_whatever_their_spelling(one: Any, other: Any) -> None:
    assert token_of(KEY, "n", loads(dumps(one))) == token_of(KEY, "n", loads(dumps(other)))


def test_a_token_is_bound_to_its_name_its_type_and_the_key() -> None:
    tokens = {
        token_of(KEY, "a", "5"),
        token_of(KEY, "b", "5"),
        token_of(KEY, "a", 5),
        token_of(b"other" * 8, "a", "5"),
    }
    assert len(tokens) == 4


def test_arguments_and_answers_can_be_compared_without_being_known() -> None:
    hidden = hiding()
    asked = hidden.proposed({"who": {"dob": VALUE}})
    hidden.learn(found := {"passengers": [{"dob": VALUE, "n": 1}]})

    assert hidden.mask(found)["passengers"][0]["dob"] == asked["who"]["dob"]


def test_a_path_hides_from_the_root_only_and_lists_are_no_step_of_it() -> None:
    document = {"customer": [{"zip": "10115-X"}], "other": {"customer": {"zip": "90210"}}}

    masked = hiding("customer.zip").proposed(document)

    assert is_token(masked["customer"][0]["zip"])
    assert masked["other"] == {"customer": {"zip": "90210"}}


def test_a_change_that_names_its_field_by_path_is_hidden_on_both_sides() -> None:
    changes = [{"path": "users.ada.dob", "before": None, "after": VALUE}]

    masked = hiding().mask({"changes": changes})["changes"][0]

    assert masked["path"] == "users.ada.dob"
    assert masked["before"] is None
    assert is_token(masked["after"])


@pytest.mark.parametrize(
    "said",
    [
        f"born {VALUE}.",
        f"BORN {VALUE.lower()}",
        f'{{"note": "{VALUE}"}}',
        "born 1969-07-20T20%3A17",
        f"⟦dob:{'0' * 32}⟧{VALUE}",
    ],
)
def test_a_known_value_is_hidden_in_text_however_it_is_spelt(said: str) -> None:
    hidden = hiding()
    hidden.learn({"dob": VALUE})

    assert VALUE.casefold() not in hidden.text(said).casefold()
    assert "20%3A17" not in hidden.text(said)


def test_json_in_a_text_is_hidden_by_its_names() -> None:
    said = f'Found [1, 2] and: {{"dob": "{VALUE}", "n": 1.50}} and {{"dob": "1901-01-01"}}.'
    hidden = hiding()

    told = hidden.message(said)

    assert VALUE not in told
    assert "1901" not in told
    assert told.startswith('Found [1, 2] and: {"dob":"⟦dob:')


def test_text_without_hidden_values_stays_as_it_was() -> None:
    said = '{"n":  1.50, "other": [ ]} {not json [either'

    assert hiding().message(said) == said


def test_a_value_that_was_cut_at_the_end_of_a_text_is_hidden_too() -> None:
    hidden = hiding()
    hidden.learn({"dob": VALUE})

    assert "1969-07" not in hidden.message("x" * 1000 + VALUE[:9])


@pytest.mark.parametrize(("before", "most"), [(0, 300), (90, 300), (9, 500), (20, 2000)])
def test_most_of_a_long_value_in_a_text_that_was_cut_is_hidden_too(before: int, most: int) -> None:
    """As errors and notes are cut, at the most and the fewest characters."""
    hidden, value = hiding(), " ".join(f"{n}th Street" for n in range(1000))
    hidden.learn({"dob": value})

    told = hidden.message(f"{'x' * before}{value}"[:most])

    assert told.startswith("x" * before + "⟦dob:")
    assert "Street" not in told


@pytest.mark.parametrize(
    "spell",
    [dumps, json.dumps, repr, quote, quote_plus, lambda text: {"note": text}.__repr__()],
)
def test_a_value_is_hidden_as_programs_write_it(spell: Any) -> None:
    hidden, value = hiding(), 'Ünïq\'s "so"\nlong \\ value'
    hidden.learn({"dob": value})

    told = hidden.text(f"refused: {spell(value)}!")

    assert "long" not in told
    assert "⟦dob:" in told


def test_a_short_value_is_hidden_at_its_name_only() -> None:
    short = "x" * (LEAST_IN_TEXT - 1)
    masked = hiding().proposed({"dob": short, "said": f"a {short} b"})

    assert is_token(masked["dob"])
    assert masked["said"] == f"a {short} b"


def test_a_token_of_another_run_is_refused_with_words() -> None:
    token = hiding().proposed({"dob": VALUE})["dob"]

    with pytest.raises(UnknownTokenError, match="only in the run that was given it"):
        hiding().real({"note": f"to {token}"})


def test_whoever_compares_is_told_of_values_that_it_cannot_see() -> None:
    hidden = hiding()
    arguments = hidden.proposed({"dob": VALUE, "born": VALUE, "note": f"it is {VALUE}"})

    assert hidden.named_elsewhere(arguments) == [arguments["born"]]


def test_what_is_said_before_a_call_names_it_is_hidden_too() -> None:
    script = [
        {"hear": f"I was born {VALUE}"},
        {"call": {"tool": "t", "args": {"dob": VALUE}, "ref": "1"}},
        {"say": f"Done for {VALUE}"},
        {"result": {"dob": VALUE, "n": 5}},
        {"done": VALUE},
        "no item",
        {"call": {"tool": "t", "args": f'{{"dob": "{VALUE}"'}},
    ]

    masked = items(hiding(), script)  # type: ignore[arg-type]  # from outside

    assert VALUE not in dumps(masked)
    assert masked[1]["call"]["tool"] == "t"
    assert masked[3]["result"]["n"] == 5


def test_megabytes_with_thousands_of_values_take_seconds() -> None:
    hidden = hiding()
    rows = [{"dob": f"{n:06}@example.org", "text": "lorem ipsum " * 20} for n in range(5000)]

    began = time.monotonic()
    hidden.learn(rows)
    hidden.mask(rows)
    hidden.message("[{" * 500_000)
    hidden.message("no value here " * 100_000)

    assert time.monotonic() - began < 20


def test_a_document_is_only_told_apart_from_another_by_its_values_tokens() -> None:
    hidden = hiding()

    assert hidden.proposed({"dob": {"a": [1, True, None, ""]}})["dob"]["a"][2:] == [None, ""]


def test_a_call_is_known_by_what_it_means_whatever_of_it_is_hidden_by_now() -> None:
    """Else what was done before a value was known would be done again afterwards."""
    hidden = hiding()
    before = hidden.digest({"note": f"to {VALUE}"}, purpose="p")
    masked = hidden.proposed({"dob": VALUE, "note": f"to {VALUE}"})

    assert VALUE not in masked["note"]
    assert hidden.digest({"note": masked["note"]}, purpose="p") == before
    assert hidden.digest({"note": "other"}, purpose="p") != before
    assert (
        Hidden(OWNER, names_of([]), b"x" * 32).digest({"note": f"to {VALUE}"}, purpose="p")
        != before
    )
