from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.catalog import services
from apps.catalog.domain.contract import parse
from apps.catalog.models import ContractDraft, ContractVersion, Job
from tests.factories.catalog import CONTRACT, apply_toys, toys_job

As = Callable[[str], Client]
WEAKER = CONTRACT.replace("votes: 2", "votes: 1")
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def job(tmp_path: Path, db: None) -> Job:
    return toys_job(tmp_path)


def url(name: str, *args: Any) -> str:
    return reverse(f"catalog:{name}", args=args)


def text_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("index", [], "Refund a toy"),
        ("job", ["toys-refund"], "A receipt of"),
        ("version", ["toys-refund", 1], "The text"),
        ("tools", [], "Refund an order"),
        ("tool", ["toys", "refund"], "Sent again|sent again with the same idempotency key"),
        ("agents", [], "Published reference actions"),
        ("prompts", [], "toys-agent"),
        ("prompt", ["toys-agent"], "You work at the desk"),
        ("draft", ["toys-refund"], "You can read this draft"),
    ],
)
@pytest.mark.parametrize("role", ["operator", "product_manager", "auditor"])
def test_everybody_reads_the_catalog(
    job: Job, client_as: As, role: str, name: str, args: list[Any], says: str
) -> None:
    response = client_as(role).get(url(name, *args))

    assert response.status_code == 200
    assert any(s in text_of(response) for s in says.split("|"))


@pytest.mark.parametrize(
    "name", ["save", "check", "submit", "publish", "withdraw", "discard", "rebase"]
)
def test_only_admins_write(job: Job, client_as: As, name: str) -> None:
    address = url(f"draft_{name}", job.slug)

    for role in ("operator", "product_manager", "auditor"):
        assert client_as(role).post(address, {"text": WEAKER}).status_code == 403
    assert client_as("admin").get(address).status_code == 405
    assert not ContractDraft.objects.exists()


def test_the_list_is_searched_and_filtered(job: Job, client_as: As) -> None:
    client = client_as("operator")

    assert "Refund a toy" in text_of(client.get(url("index"), {"q": "toy ida"}))
    assert "Nothing matches" in text_of(client.get(url("index"), {"q": "flight"}))
    assert "Refund a toy" in text_of(client.get(url("index"), {"criticality": "high"}))
    assert "Nothing matches" in text_of(client.get(url("index"), {"draft": "1"}))
    assert client.get(url("index"), {"size": "7", "after": "x'"}).status_code == 200


def test_an_empty_catalog_says_how_to_fill_it(client_as: As) -> None:
    assert "manage.py catalog apply" in text_of(client_as("admin").get(url("index")))


@pytest.mark.parametrize(
    ("changes", "told", "not_told"),
    [
        ({}, ["else rejected", "50 % of the time (30 m 00 s), operators are called"], ["overdue"]),
        (
            {"on_timeout: reject": "on_timeout: escalate", "to: operators": "to: lead"},
            ["stays open and overdue", "the lead (every admin) is", "When the time has passed"],
            ["it is rejected"],
        ),
        (
            {"on_timeout: reject": "on_timeout: escalate", "window_s: 3600": "window_s: 14400"},
            ["deadline comes no later than that", "else rejected"],
            ["When the time has passed", "stays open"],
        ),
    ],
)
def test_the_page_of_a_job_says_what_becomes_of_a_question(
    tmp_path: Path,
    db: None,
    client_as: As,
    changes: dict[str, str],
    told: list[str],
    not_told: list[str],
) -> None:
    contract = CONTRACT
    for old, new in changes.items():
        contract = contract.replace(old, new)
    apply_toys(tmp_path, contract=contract)

    page = text_of(client_as("operator").get(url("job", "toys-refund")))

    assert [words for words in told if words not in page] == []
    assert [words for words in not_told if words in page] == []


def more_jobs(directory: Path, count: int) -> None:
    files = [f"jobs/j{i}.yaml" for i in range(count)]
    pack = directory / "toys"
    for i, name in enumerate(files):
        (pack / name).write_text(CONTRACT.replace("job: toys-refund", f"job: toys-{i:02}"))
    yaml = (pack / "pack.yaml").read_text().replace("- jobs/refund.yaml", "- jobs/refund.yaml")
    lines = "".join(f"\n- {name}" for name in files)
    (pack / "pack.yaml").write_text(yaml.rstrip() + lines + "\n")
    services.apply_packs([pack])


def test_pages_follow_each_other_and_cost_the_same(
    job: Job, client_as: As, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    more_jobs(tmp_path, 24)
    client = client_as("operator")

    client.get(url("index"))
    with django_assert_max_num_queries(16):
        first = text_of(client.get(url("index")))
    with django_assert_max_num_queries(16):
        second = text_of(client.get(url("index"), {"after": "toys-19"}))

    assert "after=toys-19" in first
    assert "toys-refund" in second
    assert "toys-19" not in second.replace("after=toys-19", "")


@pytest.mark.parametrize(
    "args",
    [("job", "no-such"), ("version", "toys-refund", 9), ("tool", "toys", "x"), ("prompt", "x")],
)
def test_what_is_not_there_is_not_found(job: Job, client_as: As, args: tuple[Any, ...]) -> None:
    assert client_as("admin").get(url(*args)).status_code == 404


def save(client: Client, job: Job, text: str, revision: int = 0, **more: Any) -> Any:
    body = {"text": text, "revision": revision, **more.pop("body", {})}
    return client.post(url("draft_save", job.slug), body, **more)


def test_a_draft_is_saved_by_a_plain_form(job: Job, client_as: As) -> None:
    response = save(client_as("admin"), job, WEAKER.replace("\n", "\r\n"))

    assert response.status_code == 302
    assert ContractDraft.objects.get().text == WEAKER
    page = text_of(client_as("admin").get(url("draft", job.slug)))
    assert "Votes needed to approve: 2 → 1" in page
    assert "weaker control" in page


def test_a_form_field_is_written_into_the_text(job: Job, client_as: As) -> None:
    body = {"f:decisions.votes": "1", "i:decisions.votes": "2", "f:name": "X", "i:name": "X"}

    save(client_as("admin"), job, CONTRACT, body=body)

    assert ContractDraft.objects.get().text == WEAKER


def test_a_wrong_field_is_said_at_the_field_and_the_rest_is_kept(job: Job, client_as: As) -> None:
    body = {"f:decisions.votes": "many", "i:decisions.votes": "2"}

    response = save(client_as("admin"), job, WEAKER, body=body)

    assert response.status_code == 422
    assert "Write a whole number." in text_of(response)


def test_a_conflict_keeps_what_was_typed(job: Job, client_as: As) -> None:
    save(client_as("admin"), job, "first")

    plain = save(client_as("admin2"), job, "mine, typed for an hour")
    asked = save(client_as("admin2"), job, "mine", **JSON)

    assert plain.status_code == asked.status_code == 409
    assert "mine, typed for an hour" in text_of(plain)
    assert asked.json()["who"] == "admin"
    over = save(client_as("admin2"), job, "mine", body={"over": asked.json()["revision"]}, **JSON)
    assert over.json()["revision"] == 2


def test_a_check_answers_the_script(job: Job, client_as: As) -> None:
    text = CONTRACT.replace("votes: 2", "vots: 2")
    body = {"text": text, "revision": 0, "f:owner": "Ida", "i:owner": "Toy desk, Ida Holm"}

    said = client_as("admin").post(url("draft_check", job.slug), body, **JSON).json()

    assert "owner: Ida\n" in said["text"]
    assert said["fields"]["owner"] == "Ida"
    assert [p["line"] for p in said["problems"]] == [21]
    assert "Did you mean “votes”?" in said["html"]
    assert not ContractDraft.objects.exists()


def test_the_form_says_by_which_tools_a_case_is_handed_over(job: Job, client_as: As) -> None:
    client = client_as("admin")
    name = "outcome.hand_over"
    body = {"text": CONTRACT, "revision": 0, f"i:{name}": "", f"f:{name}": "find_order , "}

    said = client.post(url("draft_check", job.slug), body, **JSON).json()

    assert parse(said["text"]).contract.outcome.hand_over == ("find_order",)
    assert said["fields"][name] == "find_order"
    assert said["problems"] == []


def test_the_page_of_a_job_says_by_which_tools_a_case_is_handed_over(
    tmp_path: Path, db: None, client_as: As
) -> None:
    apply_toys(tmp_path, contract=CONTRACT.replace("target:", "hand_over: [find_order]\n  target:"))

    page = text_of(client_as("operator").get(url("job", "toys-refund")))

    assert "Handed over by" in page
    assert "<code>find_order</code>, which is neither a success nor a failure." in page


def test_a_check_by_a_plain_form_keeps_the_text(job: Job, client_as: As) -> None:
    body = {"text": "job: [", "revision": 0}

    response = client_as("admin").post(url("draft_check", job.slug), body)

    assert "job: [" in text_of(response)
    assert "YAML can&#x27;t be read" in text_of(response)


def test_two_admins_publish_through_the_pages(job: Job, client_as: As) -> None:
    first, second = client_as("admin"), client_as("admin2")
    text = CONTRACT.replace("votes: 2", "votes: 3")
    body = {"text": text, "revision": 0, "note": "safer"}

    assert first.post(url("draft_submit", job.slug), body).status_code == 302

    page = text_of(first.get(url("draft", job.slug)))
    assert "A second admin publishes it: you wrote it yourself." in page
    assert "Publish as v2" in text_of(second.get(url("draft", job.slug)))
    revision = ContractDraft.objects.get().revision
    note = {"revision": revision, "note": "Agreed"}
    refused = first.post(url("draft_publish", job.slug), note)
    assert refused.status_code == 403
    assert "you wrote this draft yourself" in text_of(refused)
    assert second.post(url("draft_publish", job.slug), note).status_code == 302
    assert ContractVersion.objects.filter(job=job, number=2).exists()
    assert "Agreed" in text_of(first.get(url("job", job.slug)))


def test_a_submit_with_problems_names_them_and_keeps_the_draft(job: Job, client_as: As) -> None:
    text = CONTRACT.replace("votes: 2", "vots: 2")

    response = client_as("admin").post(
        url("draft_submit", job.slug), {"text": text, "revision": 0, "note": ""}
    )

    assert response.status_code == 422
    assert "Did you mean “votes”?" in text_of(response)
    assert ContractDraft.objects.get().text == text


def test_withdraw_rebase_discard_and_roll_back(
    job: Job, client_as: As, people: dict[str, User], tmp_path: Path
) -> None:
    client = client_as("admin")
    apply_toys(tmp_path, contract=WEAKER)

    body = {"note": "it went wrong"}
    assert client.post(url("roll_back", job.slug, 1), body).status_code == 302
    draft = ContractDraft.objects.get()
    assert (draft.text, draft.state) == (CONTRACT, "in_review")
    seen = {"revision": draft.revision}
    assert client.post(url("draft_withdraw", job.slug), seen).status_code == 302
    assert client.post(url("draft_rebase", job.slug), seen).status_code == 302
    assert client.post(url("draft_discard", job.slug), seen).status_code == 409
    assert client.post(url("draft_discard", job.slug), {"revision": 2}).status_code == 302
    assert not ContractDraft.objects.exists()


def test_what_people_typed_is_never_markup(job: Job, client_as: As) -> None:
    save(client_as("admin"), job, "name: <script>alert(1)</script>\n<b>: 1")

    page = text_of(client_as("admin").get(url("draft", job.slug)))

    assert "<script>alert(1)" not in page
    assert "<b>:" not in page
