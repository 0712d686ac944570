from __future__ import annotations

from decimal import Decimal

import pytest

from apps.kernel.exactjson import loads
from apps.oversight.domain.showing import entities, flags, kind_of, text_of, values
from tests.kernel.numerals import DOCUMENT, FORMS


def test_the_exact_arguments_show_each_form_of_number_in_full() -> None:
    shown = {v.path: v for v in values(loads(DOCUMENT))}

    assert {n: Decimal(v.text) for n, v in shown.items()} == {
        n: Decimal(t) for n, t in FORMS.items()
    }
    assert {v.kind for v in shown.values()} == {"number"}
    assert shown["wei"].text == "1000000000000000000"
    assert shown["price"].text == "1.1"
    assert shown["zero"].text == "0"


@pytest.mark.parametrize(("value", "text"), [("9", '"9"'), (9, "9"), (9.0, "9"), (True, "true")])
def test_text_that_looks_like_a_number_is_seen_to_be_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_a_change_of_a_long_number_shows_both() -> None:
    changes = [{"path": "/a/1/n", "before": 10**30, "after": Decimal("0.1234567890123456789")}]

    change = entities(changes)[0].changes[0]

    assert (change.before, change.after) == ("1" + "0" * 30, "0.1234567890123456789")
    assert kind_of(Decimal("0.5")) == "number"


@pytest.mark.parametrize("name", ["\u0441\u043e\u0441\u0430", "p\u0430ypal", "\uff50\uff41\uff59"])
def test_a_word_that_can_be_taken_for_another_is_marked(name: str) -> None:
    (said,) = values({"to": f"account of {name}"})
    (named,) = values({name: 1})

    assert said.mixes_scripts
    assert named.mixes_scripts
    assert flags({"to": name}, {"changes": []}) == ["look-alike letters"]
    assert flags({"to": "coca"}, {"changes": []}) == []
