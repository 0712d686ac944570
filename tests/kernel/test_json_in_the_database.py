"""What is stored comes back as the same value, through every way into ``jsonb`` and out of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.kernel import exactjson, statements
from apps.kernel.canonical import canonical_bytes
from apps.kernel.models import JSONField
from tests.kernel.numerals import DOCUMENT, FORMS, floats, literals, long_integers, parsed_values

anything = parsed_values(floats | st.integers() | literals().map(Decimal) | long_integers)
through_the_database = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.django_db
@through_the_database
@given(st.lists(anything, max_size=3))
def test_statements_give_back_the_same_value_and_digest(db: None, found: list[Any]) -> None:
    value = exactjson.check(found)
    rows = statements.fetch(
        "SELECT v.a FROM jsonb_to_recordset(%s::jsonb) AS v(a jsonb)",
        [statements.rows_as_json([{"a": value}])],
    )
    back = statements.from_json(rows[0][0])

    assert exactjson.same(back, value)
    assert canonical_bytes(back) == canonical_bytes(value)


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user(username="ida", password=None, role="operator")


@through_the_database
@given(st.lists(anything, max_size=3))
def test_a_field_gives_back_the_same_value(person: User, found: list[Any]) -> None:
    value = exactjson.check(found)
    User.objects.filter(pk=person.pk).update(preferences=value)

    assert exactjson.same(User.objects.get(pk=person.pk).preferences, value)


def test_postgresql_holds_every_form_of_number(person: User) -> None:
    person.preferences = exactjson.loads(DOCUMENT)
    person.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT preferences FROM accounts_user WHERE id = %s", [person.pk])
        kept = exactjson.loads(cursor.fetchone()[0])

    assert exactjson.same(kept, exactjson.loads(DOCUMENT))
    assert set(kept) == set(FORMS)
    person.refresh_from_db()
    assert exactjson.same(person.preferences, kept)


@pytest.mark.django_db
def test_a_longer_number_that_an_older_release_let_in_is_still_read() -> None:
    text = "9" * 5000
    with connection.cursor() as cursor:
        cursor.execute("SELECT jsonb_build_object('n', %s::numeric, 'm', 1.5)", [text])
        found = statements.from_json(cursor.fetchone()[0])

    assert found == {"n": Decimal(text), "m": 1.5}
    assert text in statements.to_json(found)
    assert text in statements.to_json({"n": 10**5000 - 1})


def test_every_json_column_is_read_to_the_digit() -> None:
    fields = [f for m in apps.get_models() for f in m._meta.get_fields()]
    columns = [f for f in fields if isinstance(f, models.JSONField)]

    assert columns
    assert [str(f) for f in columns if not isinstance(f, JSONField)] == []
