"""Two people at once on a real database: one wins, the other is told and loses no text."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import close_old_connections, connection

from apps.audit.models import Event
from apps.documents import services
from apps.kernel.errors import TowerError
from apps.kernel.statements import database_now
from tests.documents.conftest import Desk

ROUNDS = 8
pytestmark = pytest.mark.django_db(transaction=True)


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run ``calls`` in threads that start at the same moment, each on its own connection; what
    each returned, or the error it raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        close_old_connections()
        barrier.wait()
        try:
            return call()
        except TowerError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def codes(results: Sequence[Any]) -> list[str]:
    return sorted(r.code if isinstance(r, TowerError) else "" for r in results)


def saver(desk: Desk, name: str, revision: int) -> Callable[[], Any]:
    person = desk.people[name]
    return lambda: desk.save_draft(text=f"by {name}", revision=revision, author=person)


def approver(desk: Desk, name: str) -> Callable[[], Any]:
    return partial(
        desk.publish_draft,
        revision=desk.draft.revision,
        approver=desk.people[name],
        note="yes",
    )


def test_of_two_who_save_at_once_one_is_first_and_the_other_sees_whose(desk: Desk) -> None:
    for n in range(ROUNDS):
        revision = desk.draft.revision if desk.draft else 0

        results = together([saver(desk, "admin", revision), saver(desk, "admin2", revision)])

        assert codes(results) == ["", "draft_moved"], f"round {n}"
        told = next(r for r in results if isinstance(r, TowerError))
        assert told.detail["text"] == desk.draft.text
        assert told.detail["who"] == desk.draft.author.username
        assert desk.draft.revision == revision + 1


def test_of_two_who_publish_at_once_one_does(desk: Desk) -> None:
    for n in range(2):
        if n == 0:
            desk.submitted(desk.stronger)
        else:
            desk.roll_back(number=1, actor=desk.people["admin"], note="back")
        before = desk.number

        results = together([approver(desk, "admin2"), approver(desk, "admin3")])

        if n == 0:  # one approval is enough: the second finds nothing left
            assert codes(results) == ["", "draft_gone"]
        else:  # it weakens: both count, and the second of them publishes
            assert codes(results) == ["", ""]
        assert desk.number == before + 1
        assert desk.draft is None


def test_a_save_and_a_publication_at_once_never_publish_what_was_not_approved(desk: Desk) -> None:
    for _ in range(ROUNDS):
        desk.submitted(desk.stronger)
        revision = desk.draft.revision

        results = together([approver(desk, "admin2"), saver(desk, "admin", revision)])

        assert codes(results)[1] in {"draft_gone", "draft_state", "draft_moved"}
        if desk.draft is None:
            assert desk.version().text == desk.stronger
            return
        assert desk.number == 1
        desk.discard(revision=desk.draft.revision, actor=desk.people["admin"])


def test_two_sweeps_at_once_publish_once(desk: Desk) -> None:
    desk.submitted(desk.stronger)
    desk.approve("admin2", at=database_now() + timedelta(hours=1))
    desk.kind.drafts.objects.update(publish_at=database_now() - timedelta(seconds=1))

    results = together([services.publish_due] * 3)

    assert sum(results) == 1
    assert desk.number == 2
    published = Event.objects.filter(kind=f"{desk.kind.name}.published", actor="user:admin2")
    assert published.count() == 1


def test_taking_it_back_as_its_time_comes_is_one_or_the_other(desk: Desk) -> None:
    for _ in range(ROUNDS):
        draft = desk.submitted(desk.stronger)
        desk.approve("admin2", at=database_now() + timedelta(hours=1))
        desk.kind.drafts.objects.update(publish_at=database_now() - timedelta(seconds=1))

        done, taken = together(
            [
                services.publish_due,
                lambda draft=draft: desk.withdraw(
                    revision=draft.revision, actor=desk.people["admin"]
                ),
            ]
        )

        if done:
            assert taken.code == "draft_gone"
            assert desk.number == 2
            return
        assert (taken.state, desk.number) == ("draft", 1)
        desk.discard(revision=taken.revision, actor=desk.people["admin"])


def test_of_two_who_discard_a_beginning_at_once_one_does(desk: Desk) -> None:
    """What was never published goes with its draft; the other is told, and so is who saves."""
    model, named = type(desk.subject), "name" if desk.kind.name == "tool" else "slug"
    for _ in range(ROUNDS):
        new = model.objects.get(pk=desk.subject.pk)
        new.pk, new.current_number = None, 0
        setattr(new, named, "toys-new")
        new.save(force_insert=True)
        admin = desk.people["admin"]
        services.save_draft(desk.kind, new, text="x", revision=0, author=admin)
        seen = [model.objects.get(pk=new.pk) for _ in range(3)]

        results = together(
            [
                partial(services.discard, desk.kind, seen[0], revision=1, actor=admin),
                partial(services.discard, desk.kind, seen[1], revision=1, actor=admin),
                partial(
                    services.save_draft, desk.kind, seen[2], text="y", revision=0, author=admin
                ),
            ]
        )

        assert codes(results).count("") == 1
        assert set(codes(results)) <= {"", "draft_gone", "draft_moved"}
        assert not model.objects.filter(**{named: "toys-new"}).exists()
