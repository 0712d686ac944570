"""The navigation is put together of what each app names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts import registry
from apps.accounts.domain.navigation import NavigationEntry
from apps.accounts.models import User
from apps.accounts.selectors import navigation

NEW = NavigationEntry("New", "tests:new", "tower", "n", "tower.view", 15)


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def test_entries_stand_in_the_order_of_their_places() -> None:
    registry.add_entries(NEW)

    assert [entry.label for entry in registry.entries()][:3] == ["Tower", "New", "Approvals"]


def test_an_app_that_is_ready_twice_adds_nothing() -> None:
    before = registry.entries()
    registry.add_entries(*before)

    assert registry.entries() == before


@pytest.mark.parametrize("same", [{"name": "runs:list"}, {"key": "r"}, {"place": 30}])
def test_two_entries_share_no_address_key_or_place(same: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="'New' and 'Runs' share"):
        registry.add_entries(replace(NEW, **same))  # type: ignore[arg-type]


@pytest.mark.django_db
def test_nobody_sees_what_they_may_not_open(people: dict[str, User]) -> None:
    labels = {entry.entry.label for entry in navigation(people["operator"], "/")}
    assert "Users" not in labels
    assert "Users" in {entry.entry.label for entry in navigation(people["admin"], "/")}


@pytest.mark.django_db
def test_the_page_we_are_on_is_marked(people: dict[str, User], client: Client) -> None:
    client.force_login(people["operator"])

    page = client.get(reverse("runs:list")).content.decode()

    marked = page.split('aria-label="Pages"')[1].split('aria-current="page"')[0]
    assert marked.rsplit("href=", 1)[1].startswith(f'"{reverse("runs:list")}"')


@pytest.mark.django_db
def test_an_address_that_this_installation_lacks_is_left_out(people: dict[str, User]) -> None:
    registry.add_entries(NEW)

    assert "New" not in {entry.entry.label for entry in navigation(people["operator"], "/")}
