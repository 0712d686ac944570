"""Showing a hidden value: who may, what for, and what remains of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.urls import reverse

from apps.audit.models import Event
from apps.redaction import services

pytestmark = pytest.mark.django_db
SECRET = "canary-0815"
WHY = {"reason": "The airline asks which passenger it was"}


@pytest.fixture
def run() -> tuple[UUID, str]:
    """A run, and the token of what it hides."""
    root = uuid4()
    hidden = services.opened({root: ["dob"]})[root]
    token = hidden.proposed({"dob": SECRET})["dob"]
    with transaction.atomic():
        services.keep([hidden])
    return root, str(token)


def url(root: UUID) -> str:
    return reverse("redaction:hidden", args=[root])


@pytest.mark.parametrize("role", ["admin", "auditor"])
def test_a_value_is_shown_once_for_a_reason_and_the_log_says_so(
    client_as: Any, run: tuple[UUID, str], role: str
) -> None:
    root, token = run
    client = client_as(role)
    assert SECRET not in client.get(url(root)).content.decode()

    answer = client.post(url(root), {"token": token, **WHY})

    assert answer.status_code == 200
    assert SECRET in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    event = Event.objects.get(kind="value.shown")
    assert event.run_id == root
    assert event.actor.endswith(role)
    assert event.payload["token"] == token
    assert event.payload["reason"] == WHY["reason"]
    assert "127.0.0.1" in str(event.payload["via"])
    assert SECRET not in str(list(Event.objects.values()))
    assert SECRET not in client.get(url(root)).content.decode()


@pytest.mark.parametrize("role", ["operator", "product_manager"])
def test_whoever_decides_goes_by_tokens(client_as: Any, run: tuple[UUID, str], role: str) -> None:
    root, token = run

    answer = client_as(role).post(url(root), {"token": token, **WHY})

    assert answer.status_code == 403
    assert SECRET not in answer.content.decode()
    assert not Event.objects.filter(kind="value.shown").exists()


@pytest.mark.parametrize("reason", ["", "  ", "short", "x" * 501])
def test_without_a_reason_nothing_is_shown(
    client_as: Any, run: tuple[UUID, str], reason: str
) -> None:
    root, token = run

    answer = client_as("auditor").post(url(root), {"token": token, "reason": reason})

    assert answer.status_code == 422
    assert "Say why you need to see it" in answer.content.decode()
    assert SECRET not in answer.content.decode()
    assert not Event.objects.filter(kind="value.shown").exists()


def test_a_token_is_shown_in_its_own_run_only(client_as: Any, run: tuple[UUID, str]) -> None:
    answer = client_as("admin").post(url(uuid4()), {"token": run[1], **WHY})

    assert answer.status_code == 404
    assert SECRET not in answer.content.decode()


def test_a_run_that_hides_nothing_says_so(client_as: Any) -> None:
    assert "Nothing is hidden" in client_as("admin").get(url(uuid4())).content.decode()
