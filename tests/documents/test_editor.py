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
    assert "line 1" in broken["why_no_json"]


def test_json_comes_into_the_text_whose_comments_stay(desk: Desk, client_as: As) -> None:
    text = f"# our words\n{desk.text}# the end\n"
    wanted = load(desk.stronger, exact=True).value
    body = {"text": text, "view": "json", "json": json.dumps(wanted), "revision": 0}

    said = ask(client_as("admin"), desk, "check", **body).json()
    ask(client_as("admin"), desk, "save", **body)

    assert (said["unread"], said["lost"], said["json"]) == ([], [], body["json"])
    assert load(said["text"], exact=True).value == wanted
    assert said["text"].startswith("# our words\n")
    assert said["text"].endswith("# the end\n")
    assert (desk.draft.text, desk.draft.unread_json) == (said["text"], "")


def test_comments_that_go_are_named(desk: Desk, client_as: As) -> None:
    text = f"{desk.text}# of gone\ngone: 1  # soon\n"
    wanted = json.dumps(load(desk.text, exact=True).value)

    said = ask(
        client_as("admin"), desk, "check", text=text, view="json", json=wanted, revision=0
    ).json()

    assert said["lost"] == ["# of gone", "# soon"]


BROKEN = '{"a": 1,\n  "a": 2}'


def test_json_that_cant_be_read_is_kept_and_refused_with_its_place(
    desk: Desk, client_as: As
) -> None:
    client = client_as("admin")
    ask(client, desk, "save", text=desk.stronger, revision=0)
    body = {"text": desk.text, "view": "json", "json": BROKEN, "revision": 1, "note": "x"}

    said = ask(client, desk, "check", **body).json()
    saved = ask(client, desk, "save", **body)
    refused = ask(client, desk, "submit", **{**body, "revision": 2})

    (problem,) = said["unread"]
    assert (problem["line"], problem["column"]) == (2, 3)
    assert said["problems"] == said["unread"]
    assert saved.status_code == 200
    assert refused.status_code == 422
    assert "What was typed as JSON is not in the text" in refused.json()["message"]
    assert refused.json()["problems"] == said["unread"]
    assert refused.json()["saved"] == 3
    assert (desk.draft.text, desk.draft.unread_json) == (desk.stronger, BROKEN)
    assert desk.draft.state == "draft"
    page = " ".join(client.get(url(desk, "draft")).content.decode().split())
    assert "What was typed as JSON is not in the text: line 2, column 3" in page
    assert "&quot;a&quot;: 2}" in page
    mended = {**body, "json": json.dumps(load(desk.stronger).value), "revision": 3}
    assert ask(client, desk, "submit", **mended).status_code == 200
    assert (desk.draft.state, desk.draft.unread_json) == ("in_review", "")


def test_emptied_json_is_kept_as_well(desk: Desk, client_as: As) -> None:
    body = {"text": desk.stronger, "view": "json", "json": "", "revision": 0, "note": "x"}

    assert ask(client_as("admin"), desk, "submit", **body).status_code == 422
    assert desk.draft.unread_json == "\n"


def test_unread_json_of_two_people_is_kept_and_shown(desk: Desk, client_as: As) -> None:
    body = {"text": desk.text, "view": "json", "json": BROKEN}
    ask(client_as("admin2"), desk, "save", **body, revision=0)

    first = ask(client_as("admin"), desk, "save", **{**body, "json": "[9"}, revision=0)
    over = ask(client_as("admin"), desk, "save", **{**body, "json": "[9"}, revision=1)

    assert (first.status_code, over.status_code) == (409, 200)
    assert "[9" in first.json()["theirs"]
    (kept,) = desk.draft.earlier
    assert (kept["name"], kept["text"], kept["unread_json"]) == ("admin2", desk.text, BROKEN)
    page = client_as("admin").get(url(desk, "draft")).content.decode()
    assert "Typed as JSON, and not in that text yet" in page


def test_json_over_a_text_that_cant_be_read_is_kept(desk: Desk, client_as: As) -> None:
    body = {"text": "a: [", "view": "json", "json": '{"a": 1}', "revision": 0}

    said = ask(client_as("admin"), desk, "save", **body)

    assert said.status_code == 200
    assert (desk.draft.text, desk.draft.unread_json) == ("a: [", '{"a": 1}')


def test_problems_have_the_places_of_the_view(desk: Desk, client_as: As) -> None:
    value = {**load(desk.text, exact=True).value, "odd": 1}
    as_json = json.dumps(value, indent=1)
    body = {"text": desk.text, "view": "json", "json": as_json, "revision": 0}

    said = ask(client_as("admin"), desk, "check", **body).json()

    lines = as_json.splitlines()
    assert '"odd"' in lines[said["problems"][0]["line"] - 1]


def test_without_a_script_the_views_are_shown_and_left(desk: Desk, client_as: As) -> None:
    client = client_as("admin")
    body = {"text": desk.stronger, "view": "text", "revision": 0}

    shown = client.post(url(desk, "draft_check"), {**body, "show": "json"}).content.decode()
    broken = {**body, "view": "json", "json": BROKEN}
    stays = client.post(url(desk, "draft_check"), {**broken, "show": "text"}).content.decode()
    client.post(url(desk, "draft_save"), broken)
    kept = desk.draft.unread_json
    client.post(url(desk, "draft_save"), {**broken, "revision": 1, "drop": "json"})

    assert 'name="view" value="json"' in shown
    assert 'name="view" value="json"' in stays
    assert kept == BROKEN
    assert (desk.draft.text, desk.draft.unread_json) == (desk.stronger, "")


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
