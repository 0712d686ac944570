"""What of a form is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.keeping import MOST_CHARACTERS, MOST_FIELDS, Kept, keep

FIELDS = st.lists(st.tuples(st.text(max_size=20), st.lists(st.text(max_size=50), max_size=3)))


@given(FIELDS)
def test_secrets_and_tokens_are_never_kept(fields: list[tuple[str, list[str]]]) -> None:
    secret = [(name, ["s3cret"]) for name in ("new_Password", "api_token", "code")]
    found = keep("/", "/", [*secret, *fields])

    for name, _ in found.fields if found else ():
        assert "password" not in name.lower()
        assert "token" not in name.lower()
        assert name.lower() != "code"


@given(FIELDS)
def test_what_is_kept_survives_a_session(fields: list[tuple[str, list[str]]]) -> None:
    found = keep("/a/?b=1", "/c/", fields)

    assert found is None or Kept.from_json(found.to_json()) == found


def test_too_much_is_not_kept_in_part() -> None:
    assert keep("/", "/", [("text", ["x" * MOST_CHARACTERS])]) is None
    assert keep("/", "/", [(f"f{n}", ["x"]) for n in range(MOST_FIELDS + 1)]) is None
    assert keep("/", "/", [("csrfmiddlewaretoken", ["x"])]) is None
    assert keep("/", "/", [("text", ["x" * 1000])]) is not None
