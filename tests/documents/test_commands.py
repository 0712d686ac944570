"""The commands on drafts, the same for each kind of document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.audit.domain.actors import PACK
from apps.audit.models import Event
from apps.audit.services import sweep
from apps.documents import services
from apps.documents.domain.kinds import Edition
from apps.documents.selectors import all_kinds
from apps.kernel.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
)
from apps.kernel.statements import database_now
from tests.documents.conftest import Desk, desk_of
from tests.factories.accounts import PASSWORD
from tests.factories.catalog import CONTRACT, apply_toys

pytestmark = pytest.mark.django_db


def make_due(desk: Desk) -> None:
    desk.kind.drafts.objects.update(publish_at=database_now() - timedelta(seconds=1))


def kinds_of(desk: Desk) -> list[str]:
    found = Event.objects.filter(kind__startswith=f"{desk.kind.name}.").order_by("pk")
    return [kind.partition(".")[2] for kind in found.values_list("kind", flat=True)]


def test_every_kind_is_known() -> None:
    names = [kind.name for kind in all_kinds()]
    assert names == ["agent", "contract", "model", "policy", "prompt", "server", "tool"]


def test_one_other_person_publishes_what_weakens_nothing(desk: Desk) -> None:
    desk.submitted(desk.stronger, note="safer")

    version = desk.approve("admin2")

    assert (version.number, version.text, version.note) == (2, desk.stronger, "agreed")
    assert (version.author, version.approver) == (desk.people["admin"], desk.people["admin2"])
    assert desk.draft is None
    said = [(n["act"], n["who"], n["note"]) for n in version.notes]
    assert said == [("submitted", "admin", "safer"), ("approved", "admin2", "agreed")]


def anew(people: dict[str, User], name: str, *, by: str, confirmed_by: str) -> None:
    """One admin resets another, who enrols again and is confirmed by a third."""
    _, code = accounts.reset_access(actor=people[by], user_id=people[name].pk)
    accounts.enrol(code=code, password=PASSWORD)
    people[name] = accounts.confirm(actor=people[confirmed_by], user_id=people[name].pk)


def test_who_may_be_one_person_is_no_second_one(desk: Desk) -> None:
    """Whoever resets an admin and knows the link could approve their own draft in that name."""
    anew(desk.people, "admin2", by="admin", confirmed_by="admin3")
    desk.submitted(desk.stronger)

    with pytest.raises(NotPermittedError, match="who wrote this draft, made or reset lately"):
        desk.approve("admin2")
    assert desk.approve("admin3").number == 2


def test_nor_are_two_of_them_two_approvals(desk: Desk) -> None:
    anew(desk.people, "admin3", by="admin2", confirmed_by="admin")
    desk.submitted(desk.weaker)
    desk.approve("admin2")

    with pytest.raises(NotPermittedError, match="who approved it, made or reset lately"):
        desk.approve("admin3")
    assert desk.number == 1


def test_a_weaker_control_needs_two_who_did_not_write_it(desk: Desk) -> None:
    desk.submitted(desk.weaker)

    assert desk.approve("admin2", note="yes") is None

    assert (desk.number, desk.draft.state) == (1, "in_review")
    with pytest.raises(ConflictError, match="approved this draft already"):
        desk.approve("admin2")
    with pytest.raises(NotPermittedError, match="you wrote this draft yourself"):
        desk.approve("admin")
    version = desk.approve("admin3", note="yes, me too")
    assert (version.number, version.approver) == (2, desk.people["admin3"])
    assert [n["who"] for n in version.notes] == ["admin", "admin2", "admin3"]
    assert kinds_of(desk)[-5:] == [
        "draft_started",
        "submitted",
        "approved",
        "approved",
        "published",
    ]


@pytest.mark.parametrize("change", ["role", "is_active"])
def test_who_may_no_longer_approve_has_not_approved(desk: Desk, change: str) -> None:
    desk.submitted(desk.weaker)
    desk.approve("admin2")
    gone = desk.people["admin2"]
    setattr(gone, change, "operator" if change == "role" else False)
    gone.save()

    assert desk.approve("admin3") is None

    assert [a["name"] for a in desk.draft.approvals] == ["admin3"]


def test_a_rollback_that_weakens_needs_two_as_well(desk: Desk) -> None:
    desk.submitted(desk.stronger)
    desk.approve("admin2")

    desk.roll_back(number=1, actor=desk.people["admin"], note="too strict")

    assert desk.draft.note == "Roll back to v1: too strict"
    assert desk.approve("admin2") is None
    assert desk.approve("admin3").text == desk.text
    with pytest.raises(NotFoundError):
        desk.roll_back(number=9, actor=desk.people["admin"], note="x")


def test_it_is_published_at_its_time_by_the_sweep(desk: Desk) -> None:
    desk.submitted(desk.stronger)
    at = database_now() + timedelta(hours=1)

    assert desk.approve("admin2", at=at) is None

    assert (desk.draft.state, desk.draft.publish_at) == ("scheduled", at)
    assert sweep(waiting=False).scheduled_documents == 0
    make_due(desk)
    swept = sweep(waiting=False)
    assert (swept.scheduled_documents, swept.failed) == (1, {})
    version = desk.version()
    assert (version.number, version.text) == (2, desk.stronger)
    assert version.approver == desk.people["admin2"]
    assert Event.objects.filter(kind=f"{desk.kind.name}.published", actor="user:admin2").exists()
    assert services.publish_due() == 0


def test_a_time_that_has_passed_is_refused(desk: Desk) -> None:
    desk.submitted(desk.stronger)

    with pytest.raises(InvalidInputError, match="That time has passed"):
        desk.approve("admin2", at=database_now() - timedelta(seconds=1))


def test_what_can_no_longer_be_published_comes_back_with_the_reason(desk: Desk) -> None:
    desk.submitted(desk.stronger)
    desk.approve("admin2", at=database_now() + timedelta(hours=1))
    make_due(desk)
    desk.people["admin2"].is_active = False
    desk.people["admin2"].save()

    assert services.publish_due() == 0

    draft = desk.draft
    assert (draft.state, draft.approvals, draft.publish_at) == ("in_review", [], None)
    assert draft.trouble == "Somebody who approved it may no longer do so."
    assert kinds_of(desk)[-1] == "publication_failed"
    assert desk.approve("admin3").number == 2


def test_one_that_makes_trouble_leaves_the_others_to_be_published(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"contract", "policy"} - {desk.kind.name}
    others = [kind for kind in all_kinds() if kind.name in names]
    desk.submitted(desk.stronger)
    desk.approve("admin2", at=database_now() + timedelta(hours=1))
    make_due(desk)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(desk.kind), "publish", broken)
    other = _scheduled_of(others[0], desk)

    assert services.publish_due() == 1

    assert other.number == 2
    assert desk.draft.state == "in_review"
    assert desk.draft.trouble == "An error: ZeroDivisionError"


def _scheduled_of(kind: Any, desk: Desk) -> Desk:
    other = desk_of(kind.name, desk.people)
    other.submitted(other.stronger)
    other.approve("admin2", at=database_now() + timedelta(hours=1))
    make_due(other)
    return other


def test_taking_it_back_ends_the_waiting(desk: Desk) -> None:
    draft = desk.submitted(desk.stronger)
    desk.approve("admin2", at=database_now() + timedelta(hours=1))

    desk.withdraw(revision=draft.revision, actor=desk.people["admin"])

    assert (desk.draft.state, desk.draft.publish_at, desk.draft.approvals) == ("draft", None, [])
    make_due(desk)
    assert services.publish_due() == 0


def test_a_save_voids_what_was_approved(desk: Desk) -> None:
    draft = desk.submitted(desk.weaker)
    desk.approve("admin2")

    desk.save_draft(text=desk.text, revision=draft.revision, author=desk.people["admin2"])

    assert (desk.draft.state, desk.draft.approvals) == ("draft", [])
    assert desk.draft.author == desk.people["admin2"]


def test_a_text_written_over_is_kept(desk: Desk) -> None:
    desk.save_draft(text="theirs", revision=0, author=desk.people["admin"])

    with pytest.raises(ConflictError) as caught:
        desk.save_draft(text="mine", revision=0, author=desk.people["admin2"])
    seen = caught.value.detail
    desk.save_draft(text="mine", revision=seen["revision"], author=desk.people["admin2"])

    assert (seen["who"], seen["text"]) == ("admin", "theirs")
    assert desk.draft.text == "mine"
    assert [(k["name"], k["text"]) for k in desk.draft.earlier] == [("admin", "theirs")]


def test_only_the_last_texts_of_others_are_kept(desk: Desk) -> None:
    for n in range(9):
        desk.save_draft(text=f"t{n}", revision=n, author=desk.people[("admin", "admin2")[n % 2]])

    assert [k["text"] for k in desk.draft.earlier] == ["t3", "t4", "t5", "t6", "t7"]


@pytest.mark.parametrize("role", ["operator", "auditor", "product_manager"])
def test_nobody_else_does_any_of_it(desk: Desk, role: str) -> None:
    person = desk.people[role]
    draft = desk.submitted(desk.stronger)
    steps: list[Callable[[], Any]] = [
        lambda: desk.save_draft(text="x", revision=draft.revision, author=person),
        lambda: desk.submit_draft(revision=draft.revision, author=person, note=""),
        lambda: desk.withdraw(revision=draft.revision, actor=person),
        lambda: desk.rebase(revision=draft.revision, actor=person),
        lambda: desk.discard(revision=draft.revision, actor=person),
        lambda: desk.roll_back(number=1, actor=person, note="x"),
        lambda: desk.approve(role),
    ]

    for step in steps:
        with pytest.raises(NotPermittedError):
            step()

    assert (desk.draft.state, desk.draft.revision) == ("in_review", draft.revision)


def test_a_comment_alone_is_nothing_to_publish(desk: Desk) -> None:
    draft = desk.save_draft(text="# why\n" + desk.text, revision=0, author=desk.people["admin"])

    with pytest.raises(InvalidInputError, match="nothing to publish"):
        desk.submit_draft(revision=draft.revision, author=desk.people["admin"], note="x")


def test_a_draft_can_be_discarded_from_the_first_save_on(desk: Desk) -> None:
    draft = desk.save_draft(text="x", revision=0, author=desk.people["admin"])

    desk.discard(revision=draft.revision, actor=desk.people["admin2"])

    assert desk.draft is None
    with pytest.raises(ConflictError, match="published or discarded"):
        desk.discard(revision=draft.revision, actor=desk.people["admin"])


def test_a_contract_names_a_policy_of_its_own_domain(
    tmp_path: Path, people: dict[str, Any], client_as: Callable[[str], Client]
) -> None:
    apply_toys(tmp_path)
    desk = desk_of("contract", people)
    policies = desk_of("policy", people).subject
    type(policies).objects.create(slug="boats", name="Boats", domain_slug="boats", current_number=1)
    text = CONTRACT.replace("policy: toys", "policy: boats")

    said = desk.look(text).problems
    draft = desk.save_draft(text=text, revision=0, author=people["admin"])

    assert [str(p) for p in said] == [
        "line 20: decisions.policy: The policy set “boats” belongs to another domain, boats."
        " Name one of this domain: toys."
    ]
    with pytest.raises(InvalidInputError, match="another domain"):
        desk.submit_draft(revision=draft.revision, author=people["admin"], note="x")
    page = client_as("admin").get("/catalog/jobs/toys-refund/draft/").content.decode()
    assert "belongs to another domain, boats" in page


def test_the_home_page_says_what_waits_for_review_or_its_time(
    desk: Desk, client_as: Callable[[str], Client]
) -> None:
    desk.submitted(desk.stronger)
    assert "awaits review" in client_as("admin2").get("/").content.decode()

    desk.approve("admin2", at=database_now().replace(year=2999))

    assert "is approved, and published 2999-" in client_as("admin2").get("/").content.decode()


def test_what_was_published_meanwhile_is_taken_over(
    desk: Desk, client_as: Callable[[str], Client]
) -> None:
    """A colleague's change of one line and a pack's of another end up in one text."""
    mine = desk.text + "# mine\n"
    desk.save_draft(text=mine, revision=0, author=desk.people["admin"])
    with transaction.atomic():
        told = desk.people["admin2"].pk, desk.people["admin3"].pk
        edition = Edition(desk.stronger, "", (), PACK, *told)
        desk.kind.publish(desk.subject, edition)
    address = desk.page
    page = client_as("admin").get(f"{address}/draft/").content.decode()
    assert "Take over what v2 changed" in page

    done = client_as("admin").post(f"{address}/draft/rebase/", {"revision": 1, "take": "1"})

    assert done.status_code == 302
    draft = desk.draft
    assert (draft.text, draft.base_number) == (desk.stronger + "# mine\n", 2)
    assert [k["text"] for k in draft.earlier] == [mine]


def test_where_both_changed_a_line_the_drafts_stays_and_it_is_said(
    desk: Desk, client_as: Callable[[str], Client]
) -> None:
    desk.save_draft(text=desk.weaker, revision=0, author=desk.people["admin"])
    with transaction.atomic():
        told = desk.people["admin2"].pk, desk.people["admin3"].pk
        desk.kind.publish(desk.subject, Edition(desk.stronger, "", (), PACK, *told))
    address = desk.page

    page = client_as("admin").post(
        f"{address}/draft/rebase/", {"revision": 1, "take": "1"}, follow=True
    )

    assert "Both changed the text at line" in page.content.decode()
    assert (desk.draft.text, desk.draft.base_number) == (desk.weaker, 2)


def test_nothing_is_taken_over_while_json_waits_to_be_mended(desk: Desk) -> None:
    admin = desk.people["admin"]
    draft = desk.save_draft(text=desk.text, unread_json="{", revision=0, author=admin)

    with pytest.raises(InvalidInputError, match=r"mend it or drop it\. Line 1"):
        desk.take_over(revision=draft.revision, actor=admin)

    assert (desk.draft.revision, desk.draft.unread_json) == (draft.revision, "{")
