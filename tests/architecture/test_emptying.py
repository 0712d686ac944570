"""What a test that commits leaves behind is gone before the next one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, transaction

from apps.accounts.models import SavedView, User
from tests import tampering
from tests.factories.accounts import UserFactory


@pytest.mark.django_db(transaction=True)
def test_what_is_still_being_written_when_a_test_ends_is_emptied_too() -> None:
    begun = Event()

    def write() -> None:
        with closing(connection), transaction.atomic():
            UserFactory.create()
            begun.set()
            time.sleep(0.5)

    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(write)
        assert begun.wait(30)
        call_command("flush", interactive=False, verbosity=0, reset_sequences=False)
        late.result()

    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_page_that_locks_tables_the_other_way_round_keeps_none_from_being_emptied() -> None:
    begun = Event()

    def write() -> None:
        with closing(connection), suppress(OperationalError), transaction.atomic():
            UserFactory.create()
            begun.set()
            time.sleep(0.5)
            with connection.cursor() as cursor:  # PostgreSQL ends one of the two
                cursor.execute("LOCK TABLE accounts_apitoken IN ROW EXCLUSIVE MODE")

    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(write)
        assert begun.wait(30)
        call_command("flush", interactive=False, verbosity=0, reset_sequences=False)
        late.result()

    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_written_once_the_tables_are_counted_comes_between_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person, count = UserFactory.create(), tampering._rows
    refused: list[Exception] = []

    def write() -> None:
        with closing(connection):
            try:
                SavedView.objects.create(owner=person, page="runs:list", name="late")
            except IntegrityError as error:  # its person is gone
                refused.append(error)

    with ThreadPoolExecutor(1) as thread:

        def counted(*args: Any) -> dict[str, int]:
            found = count(*args)
            thread.submit(write)
            time.sleep(0.5)
            return found

        monkeypatch.setattr(tampering, "_rows", counted)
        call_command("flush", interactive=False, verbosity=0, reset_sequences=False)

    assert len(refused) == 1
    assert not User.objects.exists()
