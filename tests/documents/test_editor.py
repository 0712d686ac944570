"""The editor's answers to its script, and files of drafts and versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.documents.selectors import draft_of
from apps.kernel.documents import load
from tests.documents.conftest import Desk

As = Callable[[str], Client]
JSON = {"HTTP_ACCEPT": "application/json"}
NAMES = {
    "agent": ("catalog:agent_", "catalog:agent"),
    "contract": ("catalog:", "catalog:job"),
    "policy": ("policy:", "policy:detail"),
    "tool": ("catalog:tool_", "catalog:tool"),
}
pytestmark = pytest.mark.django_db


def url(desk: Desk, name: str, *args: Any) -> str:
    before, done = NAMES[desk.kind.name]
    which = [desk.subject.domain.slug, desk.subject.name] if before == "catalog:tool_" else None
    address = done if name == "done" else f"{before}{name}"
    return reverse(address, args=[*(which or [desk.subject.slug]), *args])


def ask(client: Client, desk: Desk, step: str, **body: Any) -> Any:
    return client.post(url(desk, f"draft_{step}"), body, **JSON)


def test_submitting_by_the_script_says_where_to_go(desk: Desk, client_as: As) -> None:
    said = ask(client_as("admin"), desk, "submit", text=desk.stronger, revision=0, note="safer")

    assert said.json() == {"to": url(desk, "draft")}
    assert desk.draft.state == "in_review"


def test_submitting_over_somebody_keeps_both_texts(desk: Desk, client_as: As) -> None:
    ask(client_as("admin2"), desk, "save", text="theirs\n", revision=0)

    said = ask(client_as("admin"), desk, "submit", text=desk.stronger, revision=0, note="x")

    told = said.json()
    assert (said.status_code, told["who"], told["revision"]) == (409, "admin2", 1)
    assert "theirs" in told["theirs"]
    assert "Yours" in told["theirs"]
    assert draft_of(desk.kind, desk.subject).text == "theirs\n"


def test_submitting_what_is_wrong_saves_it_and_says_why(desk: Desk, client_as: As) -> None:
    said = ask(client_as("admin"), desk, "submit", text="a: [", revision=0, note="x")

    told = said.json()
    assert (said.status_code, told["saved"]) == (422, 1)
    assert told["problems"][0]["line"] >= 1
    assert desk.draft.text == "a: ["


def test_a_check_says_the_same_as_json(desk: Desk, client_as: As) -> None:
    said = ask(client_as("admin"), desk, "check", text=desk.stronger, revision=0).json()

    assert json.loads(said["json"]) == load(desk.stronger).value
    broken = ask(client_as("admin"), desk, "check", text="a: [", revision=0).json()
    assert broken["json"] == ""


@pytest.mark.parametrize("text", ['a: "\\ud800"\n', "a: .nan\n", "- 1\n", "", "a: " + "[" * 200])
def test_the_page_renders_whatever_was_saved(desk: Desk, client_as: As, text: str) -> None:
    ask(client_as("admin"), desk, "save", text=text, revision=0)

    assert client_as("admin").get(url(desk, "draft")).status_code == 200
    assert client_as("admin").get(url(desk, "draft_download")).status_code == 200
    assert client_as("admin").get(url(desk, "draft_download") + "?as=json").status_code in {
        200,
        422,
    }


def test_two_approvals_on_the_page(desk: Desk, client_as: As) -> None:
    ask(client_as("admin"), desk, "submit", text=desk.weaker, revision=0, note="faster")
    revision = desk.draft.revision

    page = client_as("admin2").get(url(desk, "draft")).content.decode()
    assert "2 people besides its author approve it" in page
    assert "Approve v2" in page
    said = ask(client_as("admin2"), desk, "publish", revision=revision, note="fine")
    assert said.json() == {"to": url(desk, "draft")}
    page = client_as("admin2").get(url(desk, "draft")).content.decode()
    assert "You approved it. Somebody else has to as well." in page
    page = client_as("admin3").get(url(desk, "draft")).content.decode()
    assert "Approved by admin2: “fine”" in page
    assert "Publish as v2" in page
    said = ask(client_as("admin3"), desk, "publish", revision=revision, note="ok")
    assert said.json()["to"] == url(desk, "done")
    page = client_as("operator").get(url(desk, "version", 2)).content.decode()
    assert "Written by admin: “faster”" in page
    assert "Approved by admin2: “fine”" in page


def test_a_time_is_given_and_shown(desk: Desk, client_as: As) -> None:
    ask(client_as("admin"), desk, "submit", text=desk.stronger, revision=0, note="safer")
    body = {"revision": desk.draft.revision, "note": "fine"}

    wrong = ask(client_as("admin2"), desk, "publish", at="soon", **body)
    past = ask(client_as("admin2"), desk, "publish", at="2020-01-01T00:00", **body)
    done = ask(client_as("admin2"), desk, "publish", at="2999-01-01T09:30", **body)

    assert (wrong.status_code, past.status_code, done.status_code) == (422, 422, 200)
    page = client_as("admin").get(url(desk, "draft")).content.decode()
    assert "Approved: published" in page
    assert "2999-01-01T09:30" in page


def test_drafts_and_versions_are_downloaded(desk: Desk, client_as: As) -> None:
    name = desk.subject.slug.replace("/", "-")
    client = client_as("operator")
    ask(client_as("admin"), desk, "save", text=desk.stronger, revision=0)

    draft = client.get(url(desk, "draft_download"))
    version = client.get(url(desk, "download", 1))
    as_json = client.get(url(desk, "download", 1) + "?as=json")

    assert draft.content.decode() == desk.stronger
    assert f"{name}-draft.yaml" in draft["Content-Disposition"]
    assert version.content.decode() == desk.text
    assert f"{name}-v1.yaml" in version["Content-Disposition"]
    assert json.loads(as_json.content) == load(desk.text).value
    assert as_json["Content-Type"].startswith("application/json")
    assert client.get(url(desk, "download", 9)).status_code == 404
