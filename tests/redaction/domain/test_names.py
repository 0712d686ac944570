"""What a contract's names hide, and what they don't."""

from __future__ import annotations

from typing import Any

import pytest

from apps.redaction.domain.names import names_of, problem


@pytest.mark.parametrize(
    "name", ["dob", "customer.address.zip", "passengers.*.dob", "*.dob", "$ref", "a-b_c@d"]
)
def test_keys_and_paths_are_names(name: str) -> None:
    assert problem(name) == ""


@pytest.mark.parametrize("name", ["", "*", "a.*", "a..b", ".a", "a.", "a b", "⟦dob⟧", "a.*.*"])
def test_what_is_no_name_is_said_with_an_example(name: str) -> None:
    assert "customer.address.zip" in problem(name)


@pytest.mark.parametrize(
    ("stated", "place", "hidden"),
    [
        ("dob", "dob", True),
        ("dob", "a.b.DOB", True),
        ("dob", "facts.dob", True),
        ("dob", "dob.year", True),
        ("dob", "dobs", False),
        ("a.dob", "a.dob", True),
        ("a.dob", "facts.a.dob", True),
        ("a.dob", "b.a.dob", False),
        ("a.dob", "dob", False),
        ("a.*.dob", "a.x.dob", True),
        ("a.*.dob", "a.dob", False),
    ],
)
def test_a_name_hides_that_key_anywhere_and_a_path_from_the_root(
    stated: str, place: str, hidden: bool
) -> None:
    assert names_of([stated]).hides(place) is hidden


@pytest.mark.parametrize(
    ("stated", "path", "label"),
    [
        (["dob"], "users.x.passengers[0].dob", "dob"),
        (["a.dob"], "users.x.a[3].dob", "dob"),
        (["a.*.dob"], "users.a.dob", "dob"),
        (["dob"], "users.x.dobs", ""),
        (["a.dob"], "users.x.b.dob", ""),
    ],
)
def test_a_change_that_is_spoken_of_by_its_path_is_known(
    stated: Any, path: str, label: str
) -> None:
    assert names_of(stated).said(path) == label
