"""One actor has one form, whatever its name and whichever release wrote it."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.services import create_user
from apps.audit import selectors
from apps.audit.domain.actors import MOST_CHARACTERS, SWEEPER, Actor, ActorKind
from apps.audit.models import Event
from apps.audit.services import Fact, record, record_many
from apps.kernel.transactions import command

COLUMN = 128  # characters of the log's column


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        ("ida", Actor.user("ida")),
        ("user:ida", Actor.user("ida")),
        ("service:erp", Actor.service("erp")),
        ("sweeper", SWEEPER),
        ("system:sweeper", SWEEPER),
        ("system:catalog", Actor.system("catalog")),
        ("manage.py drain", Actor.system("manage.py drain")),
        ("host:4711:12345", Actor.worker("host:4711:12345")),
        ("worker:host:4711:12345", Actor.worker("host:4711:12345")),
        ("agent:support", Actor.agent("support")),
        ("other:ida", Actor.user("other:ida")),
        ("", Actor.user("")),
    ],
)
def test_every_form_that_a_release_stored_is_read(stored: str, meant: Actor) -> None:
    assert Actor.parse(stored) == meant


def test_a_person_is_found_under_both_forms_and_shown_under_one_name() -> None:
    ida = Actor.user("ida")

    assert ida.text == "user:ida"
    assert ida.stored_forms() == ("user:ida", "ida")
    assert {Actor.parse(form).shown for form in ida.stored_forms()} == {"ida"}


@pytest.mark.parametrize("name", ["user:ida", "service:erp", "sweeper", "host:1:2", "worker:x"])
def test_a_user_name_that_looks_like_another_actor_is_never_taken_for_it(name: str) -> None:
    person = Actor.user(name)

    assert person != Actor.parse(name)
    assert person.stored_forms() == (person.text,)
    assert person.shown == person.text == f"user:{name}"
    assert Actor.parse(person.shown) == person


def test_a_service_account_with_the_name_of_a_person_is_somebody_else() -> None:
    account, person = Actor.service("ida"), Actor.user("ida")

    assert account != person
    assert not {*account.stored_forms()} & {*person.stored_forms()}
    assert (account.shown, person.shown) == ("service:ida", "ida")


@given(st.sampled_from(ActorKind), st.text(max_size=300))
def test_any_name_is_stored_read_back_and_shown(kind: ActorKind, name: str) -> None:
    actor = Actor(kind, name)

    assert Actor.parse(actor.text) == actor
    assert Actor.parse(actor.shown) == actor
    assert len(actor.text) <= COLUMN
    assert "\x00" not in actor.text
    actor.text.encode()
    for form in actor.stored_forms():
        assert Actor.parse(form) == actor


def test_two_long_names_that_begin_alike_stay_two() -> None:
    one, other = Actor.user("a" * 150 + "1"), Actor.user("a" * 150 + "2")

    assert one != other
    assert len(one.name) == len(other.name) == MOST_CHARACTERS


# --- in the log -----------------------------------------------------------------------------------


def _old(actor: str, subject: str = "old") -> None:
    """As an earlier release wrote it."""
    Event.objects.create(kind="run.paused", actor=actor, subject_type="run", subject_id=subject)


def _new(actor: Actor, subject: str = "new") -> None:
    command(record)(kind="run.paused", actor=actor, subject_type="run", subject_id=subject)


@pytest.mark.django_db
def test_a_bare_string_is_no_actor() -> None:
    with pytest.raises(TypeError, match="Actor"):
        command(record_many)([Fact("run.paused", "ida", "run", "7")])  # type: ignore[arg-type]
    assert not Event.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("asked", ["ida", "user:ida"])
def test_the_filter_finds_old_and_new_events_of_a_person(client_as, asked: str) -> None:
    _old("ida"), _old("user:ida", "older"), _new(Actor.user("ida"))
    _old("service:ida", "account"), _new(Actor.user("user:ida"), "look-alike"), _old("ben", "ben")

    rows = selectors.page(selectors.LogFilter(actor=asked)).rows
    page = client_as("auditor").get(reverse("audit:list"), {"actor": asked}).content.decode()

    assert {row.subject_id for row in rows} == {"old", "older", "new"}
    assert page.count('href="?actor=ida">ida</a>') == 3


@pytest.mark.django_db
def test_the_filter_finds_a_part_of_the_tower_but_not_the_person_of_its_name() -> None:
    _old("sweeper"), _new(SWEEPER), _new(Actor.user("sweeper"), "person")

    by_word = selectors.page(selectors.LogFilter(actor="sweeper")).rows
    by_person = selectors.page(selectors.LogFilter(actor="user:sweeper")).rows

    assert [{r.subject_id for r in rows} for rows in (by_word, by_person)] == [
        {"old", "new"},
        {"person"},
    ]


@pytest.mark.django_db
def test_the_export_says_who_it_was_beside_what_was_sealed(client_as) -> None:
    _old("ida"), _new(Actor.user("ida"))

    response = client_as("auditor").get(reverse("audit:export"), {"actor": "ida"})

    *lines, end = [json.loads(line) for line in response.getvalue().decode().splitlines()]
    assert "actor" not in end  # says whether the export is whole
    assert [(line["actor"], line["who"]) for line in lines] == [
        ("user:ida", "user:ida"),
        ("ida", "user:ida"),
    ]


@pytest.mark.django_db(transaction=True)
def test_what_people_and_their_pages_record_names_them_in_one_form(people) -> None:
    create_user(actor=people["admin"], username="nora", role="operator", full_name="Nora")

    assert (
        Event.objects.get(kind="user.created").actor == people["admin"].actor.text == "user:admin"
    )
