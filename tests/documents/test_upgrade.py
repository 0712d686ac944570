"""A tower of the released state keeps its drafts and versions, and goes on with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.accounts.models import User
from apps.documents.models import Draft
from tests.documents.conftest import Desk, desk_of
from tests.factories.catalog import apply_toys

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [
    ("catalog", "0005_what_servers_say"),
    ("policy", "0005_decisions_without_a_look_at_the_version"),
]
TABLES = {
    "contract": ("catalog_contractdraft", "job_id"),
    "policy": ("policy_policydraft", "policy_set_id"),
}


@pytest.fixture(params=sorted(TABLES))
def desk(request: Any, tmp_path: Path, people: dict[str, User]) -> Desk:
    apply_toys(tmp_path)
    return desk_of(request.param, people)


def migrate(targets: Any = None) -> None:
    """To these, or to today's."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())


@pytest.fixture
def released() -> Iterator[None]:
    """The tables as they were; as they are now again afterwards, whatever happens."""
    try:
        yield
    finally:
        migrate()


@pytest.mark.parametrize("state", ["draft", "in_review"])
def test_drafts_of_the_released_state_are_carried_on(
    desk: Desk, released: None, state: str
) -> None:
    table, field = TABLES[desk.kind.name]
    migrate(BEFORE)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({field}, text, base_number, revision, state, note, author_id,"
            " created_at, updated_at) VALUES (%s, %s, 1, 7, %s, 'because', %s, now(), now())",
            [desk.subject.pk, desk.stronger, state, desk.people["admin"].pk],
        )

    migrate()

    draft: Draft = desk.draft
    assert (draft.text, draft.revision, draft.state) == (desk.stronger, 7, state)
    assert (draft.approvals, draft.earlier, draft.trouble, draft.publish_at) == ([], [], "", None)
    if state == "draft":
        desk.submit_draft(revision=7, author=desk.people["admin"], note="because")
    assert desk.approve("admin2").number == 2
    assert desk.kind.version(desk.subject, 1).notes == []


def test_a_process_of_the_released_state_goes_on_beside(desk: Desk) -> None:
    """Old processes know nothing of the new columns: they can still write rows."""
    table, field = TABLES[desk.kind.name]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({field}, text, base_number, revision, state, note, author_id,"
            " created_at, updated_at) VALUES (%s, 'x', 1, 1, 'draft', '', %s, now(), now())",
            [desk.subject.pk, desk.people["admin"].pk],
        )

    assert (desk.draft.approvals, desk.draft.earlier) == ([], [])
