"""The page on which a held call is edited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import ToolVersion
from apps.kernel import exactjson
from apps.oversight.models import Approval, Edit
from apps.runs.journal import claiming
from apps.runs.models import Run, Step
from tests.factories.approvals import ApprovalFactory
from tests.factories.catalog import PACK, toys_job
from tests.factories.runs import RunFactory, StepFactory
from tests.oversight.test_editing import edit_of

As = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
ARGUMENTS = {"order_id": "#A17", "cents": 9007199254740993}
PROPERTIES = {
    "order_id": {"type": "string", "maxLength": 6},
    "cents": {"type": "integer", "minimum": 1},
    "express": {"type": "boolean"},
}


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def held_refund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Approval:
    """A held refund of the toy shop, whose tool says what it takes."""
    schema = {"type": "object", "properties": PROPERTIES, "required": ["order_id", "cents"]}
    monkeypatch.setitem(PACK["tools"][1], "input_schema", schema)
    version = toys_job(tmp_path).versions.get()
    tool = ToolVersion.objects.get(tool__name="refund")
    run = RunFactory.create(contract_version=version, state="waiting_approval")
    step = StepFactory.create(
        run=run,
        tool_version=tool,
        tool_name="refund",
        arguments=ARGUMENTS,
        state="waiting_approval",
    )
    approval = ApprovalFactory.create(
        run_id=run.pk, step_id=step.pk, tool_name="refund", arguments=ARGUMENTS
    )
    Step.objects.filter(pk=step.pk).update(approval_id=approval.pk)
    return approval


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Approval:
    return held_refund(tmp_path, monkeypatch)


def form(approval: Approval, **changes: str) -> dict[str, str]:
    return {
        "digest": approval.digest,
        "v0": "9007199254740993",  # kept by the length of their names, then by them
        "v1": "#A17",
        "v2": "",
        "reason": "half of it was used",
        **changes,
    }


def test_the_form_is_made_of_the_tools_schema(client_as: As, held: Approval) -> None:
    page = text(client_as("operator").get(f"/approvals/{held.pk}/edit/"))

    assert 'name="v1" value="#A17"' in page
    assert 'name="v0" value="9007199254740993"' in page
    assert 'inputmode="decimal"' in page
    assert '<select id="v2" name="v2"' in page
    assert 'name="g2" id="g2">' in page, "what is left out is not given"
    assert "Nothing is carried out by this." in page
    assert "Where that is critical then, or takes more than one person, whoever edited" in page
    marked = page.split('aria-label="Pages"')[1].split('aria-current="page"')[0]
    there = marked.rsplit("href=", 1)[1]
    assert there.startswith('"/approvals/"'), "it belongs to the queue that it is reached from"


def test_an_edit_is_kept_and_the_step_is_queued_with_it(client_as: As, held: Approval) -> None:
    client = client_as("operator")
    key = Step.objects.get().idempotency_key

    answer = client.post(
        f"/approvals/{held.pk}/edit/",
        form(held, v0="9007199254740992", v2="true", g2="on"),
    )

    assert answer.status_code == 302
    assert answer["Location"] == f"/approvals/{held.pk}/?edited=1"
    after = {"order_id": "#A17", "cents": 9007199254740992, "express": True}
    step = Step.objects.get()
    assert (step.state, step.arguments) == ("queued", after)
    assert step.idempotency_key != key
    edit = Edit.objects.get()
    assert (edit.before, edit.after, edit.reason) == (ARGUMENTS, after, "half of it was used")
    assert Approval.objects.get().state == "void"


def test_an_engine_of_before_edits_takes_the_run_no_more(
    client_as: As, held: Approval, settings: Any
) -> None:
    settings.ENGINE_VERSION = 3

    client_as("operator").post(f"/approvals/{held.pk}/edit/", form(held, v0="5"))

    assert Run.objects.get().engine_version == 3
    with transaction.atomic():
        assert claiming.due("normal", limit=9, engine_version=2) == []
        assert len(claiming.due("normal", limit=9, engine_version=3)) == 1


def test_the_sheet_says_how_an_edited_step_ended_of_which_nobody_is_asked(
    client_as: As, held: Approval, people: People
) -> None:
    edit_of(held, people["operator2"])
    Step.objects.update(state="queued")
    after = f"/approvals/{held.pk}/after/"
    assert "Policy and the preview are asked" in text(client_as("operator").get(after))

    Step.objects.update(state="running")
    Step.objects.update(state="succeeded", disposition="deduplicated")

    said = text(client_as("operator").get(after))
    assert "Nobody is asked about the edited call. The step:" in said
    assert "hx-get" not in said
    assert "are asked about the edited call" not in said


def test_what_undoes_another_step_is_not_offered_to_be_edited(
    client_as: As, held: Approval
) -> None:
    step = Step.objects.get()
    done = StepFactory.create(run=step.run, seq=step.seq + 1, state="succeeded")
    Step.objects.filter(pk=step.pk).update(compensates_id=done.pk)

    page = text(client_as("operator").get(f"/approvals/{held.pk}/edit/"))

    assert "its arguments follow from what was done" in page
    assert "Ask anew with these arguments" not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"v0": "ten"}, "cents: it is no number (&#x27;ten&#x27;)"),
        ({"v0": "0"}, "cents: 0 is less than the minimum of 1"),
        ({"v0": "2.5"}, "cents: 2.5 is not of type &#x27;integer&#x27;"),
        ({"v1": "#A17-and-more"}, "order_id: &#x27;#A17-and-more&#x27; is too long"),
        ({"v2": "", "g2": "on"}, "express: it is no JSON"),
        ({}, "Nothing was changed"),
        ({"v0": "5", "reason": ""}, "Say why you change it"),
    ],
)
def test_an_error_names_the_field_and_what_was_typed_is_kept(
    client_as: As, held: Approval, changes: dict[str, str], said: str
) -> None:
    answer = client_as("operator").post(f"/approvals/{held.pk}/edit/", form(held, **changes))

    page = text(answer)
    assert answer.status_code == 422
    assert said in page
    for name in changes.keys() & {"v0", "v1"}:
        assert f'name="{name}" value="{changes[name]}"' in page
    assert not Edit.objects.exists()
    assert Step.objects.get().arguments == ARGUMENTS


def test_whoever_comes_second_keeps_what_they_typed(
    client_as: As, held: Approval, people: People
) -> None:
    edit_of(held, people["operator2"])

    answer = client_as("operator").post(f"/approvals/{held.pk}/edit/", form(held, v0="77"))

    page = text(answer)
    assert answer.status_code == 409
    assert "operator2 edited it meanwhile, so it is another request now." in page
    assert 'name="v0" value="77"' in page
    assert "half of it was used</textarea>" in page
    assert "Ask anew with these arguments" not in page
    assert "See what became of it" in page


def test_the_run_page_tells_proposed_edited_and_asked(
    client_as: As, held: Approval, people: People
) -> None:
    edit_of(held, people["operator2"], before=ARGUMENTS, after={**ARGUMENTS, "cents": 5})
    step = Step.objects.get()

    page = text(client_as("operator").get(f"/runs/{step.run_id}/steps/{step.seq}/"))

    assert "What the agent proposed" in page
    assert "Exactly what was asked after that" in page
    assert "edited by operator2" in page
    assert "9007199254740993</del>" in page


def test_the_exported_run_has_the_edits(client_as: As, held: Approval, people: People) -> None:
    edit_of(held, people["operator2"], before=ARGUMENTS, after={**ARGUMENTS, "cents": 5})

    answer = client_as("operator").get(f"/runs/{held.run_id}/export.json")

    [step] = exactjson.loads(answer.content)["steps"]
    [edit] = step["edits"]
    assert (edit["before"], edit["after"]["cents"]) == (ARGUMENTS, 5)
    assert (edit["number"], edit["by_id"]) == (1, people["operator2"].pk)


def test_an_argument_that_was_typed_says_by_whom(
    client_as: As, held: Approval, people: People
) -> None:
    edit_of(held, people["operator2"], before=ARGUMENTS, after={**ARGUMENTS, "cents": 512})
    again = ApprovalFactory.create(
        run_id=held.run_id, step_id=held.step_id, arguments={**ARGUMENTS, "cents": 512}
    )

    page = text(client_as("operator").get(f"/runs/held/{again.pk}/"))

    assert "typed by operator2, who edited it" in page
