"""What an escalation changes on the pages: order, flag, filter, numbers, and the way by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.domain.ladder import BEYOND
from apps.oversight.models import Approval
from tests.factories.approvals import EACH_ITS_JOB, ApprovalFactory
from tests.oversight.test_escalating import HOUR, waiting
from tests.oversight.test_views import HTMX, post, sentences, text

pytestmark = pytest.mark.django_db
ClientAs = Callable[[str], Client]


def plain(page: str) -> str:
    """The words without tags, and each stretch of white space as one space."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page))


def by_hand(client: Client, approval: Approval, note: str = "Odd fare", rung: int = 0) -> Any:
    address = f"/approvals/{approval.pk}/escalate/"
    return client.post(address, {"note": note, "rung": rung}, headers=HTMX)


@pytest.fixture
def backlog(people: dict[str, User]) -> None:
    """In the order of their due times: C at both rungs, B at one, A at none."""
    for name, share in (("A", 0.2), ("B", 0.6), ("C", 0.9)):
        waiting(share, sentence=name)
    services.escalate_due()


@pytest.mark.usefixtures("backlog")
class TestTheList:
    def test_rows_say_to_whom_when_and_why(self, client_as: ClientAs) -> None:
        page = text(client_as("operator").get("/approvals/"))

        said = [plain(cell) for cell in re.findall(r"data-called>(.*?)</td>", page, re.DOTALL)]
        assert [re.sub(r" \d.*UTC", "", words) for words in said if words] == [
            "Escalated to the lead (80 % of the window)",
            "Escalated to operators (50 % of the window)",
        ]
        assert page.count("data-escalated") == 2

    def test_who_is_called_from_outside_sees_them_first(self, client_as: ClientAs) -> None:
        soon = timezone.now() + timedelta(minutes=1)
        ApprovalFactory.create(sentence="D", expires_at=soon)

        assert sentences(text(client_as("operator").get("/approvals/"))) == ["D", "C", "B", "A"]
        assert sentences(text(client_as("admin").get("/approvals/"))) == ["C", "D", "B", "A"]

    def test_a_call_by_hand_goes_to_the_top(self, client_as: ClientAs) -> None:
        approval = Approval.objects.get(sentence="A")

        by_hand(client_as("operator2"), approval)

        assert sentences(text(client_as("operator").get("/approvals/"))) == ["A", "C", "B"]

    @pytest.mark.parametrize(
        ("role", "query", "found"),
        [
            ("operator", "escalated=any", ["C", "B"]),
            ("operator", "escalated=me", ["C", "B"]),
            ("admin", "escalated=me", ["C"]),
            ("auditor", "escalated=me", []),
            ("auditor", "escalated=nonsense", ["C", "B", "A"]),
        ],
    )
    def test_the_filter(self, client_as: ClientAs, role: str, query: str, found: list[str]) -> None:
        assert sentences(text(client_as(role).get(f"/approvals/?{query}"))) == found

    @pytest.mark.parametrize(("role", "n"), [("operator", 2), ("admin", 1), ("auditor", 0)])
    def test_the_numbers_say_how_many_are_for_this_person(
        self, client_as: ClientAs, role: str, n: int
    ) -> None:
        client = client_as(role)

        for page in ("/approvals/counts/", "/approvals/count/", "/accounts/settings/"):
            said = re.findall(r"(\d+) escalated to you", text(client.get(page)))
            assert set(said) == ({str(n)} if n else set()), page

    def test_home_says_so_to_whom_it_concerns(self, client_as: ClientAs) -> None:
        told = plain(text(client_as("admin").get("/")))

        assert "1 approval is escalated to you" in told
        assert re.search(r"last escalated to the lead at \d\d:\d\d UTC \(80 % of", told)
        assert "2 approvals are escalated to you" in plain(text(client_as("operator").get("/")))
        assert "escalated to you" not in plain(text(client_as("auditor").get("/")))

    def test_a_drawn_list_hears_of_it(self, client_as: ClientAs) -> None:
        shown = Approval.objects.get(sentence="A")
        since = timezone.now()
        client = client_as("operator")
        by_hand(client_as("operator2"), shown)

        query = {"ids": str(shown.pk), "since": since.isoformat()}
        found = client.get("/approvals/changes/", query).json()

        assert (found["new"], found["called"]) == (0, 1)
        (row,) = found["rows"]
        assert row["calls"] == 1
        assert (row["escalated"]["to"], row["escalated"]["why"]) == ("operators", "by operator2")


def test_pages_by_key_lose_nothing_where_both_parts_meet(client_as: ClientAs) -> None:
    due = timezone.now() + HOUR
    made = ApprovalFactory.create_batch(110, expires_at=due, job_slug=EACH_ITS_JOB)
    for approval in made[::2]:
        approval.escalations.create(rung=0, to="lead", role="admin", share=0.5, comes_first=True)
    client, link, ids = client_as("admin"), "/approvals/", []
    while link:
        page = text(client.get(link))
        ids += re.findall(r'data-id="([0-9a-f-]+)"', page)
        following = re.search(r'rel="next"\s+href="([^"]+)"', page)
        link = f"/approvals/{following[1].replace('&amp;', '&')}" if following else ""

    assert len(ids) == 110
    assert set(ids[:55]) == {str(a.pk) for a in made[::2]}
    assert set(ids) == {str(a.pk) for a in made}


def test_the_panel_offers_the_next_rung_and_says_what_was_done(client_as: ClientAs) -> None:
    approval, client = waiting(0.1), client_as("operator")
    before = text(client.get(f"/approvals/{approval.pk}/", headers=HTMX))

    after = text(by_hand(client, approval, note="<b>odd</b>"))

    assert "Escalate to operators" in before
    assert "by operator" in after
    assert "&lt;b&gt;odd" in after
    assert "Escalate to the lead" in after


def test_nobody_left_is_said(client_as: ClientAs) -> None:
    approval, client = waiting(0.1, ladder=[]), client_as("operator")

    said = text(by_hand(client, approval, rung=BEYOND))

    assert "Everybody who can be called was called" in said


def test_whoever_comes_too_late_hears_who_decided_and_keeps_the_note(client_as: ClientAs) -> None:
    approval = waiting(0.1)
    post(client_as("operator2"), approval)

    response = by_hand(client_as("operator"), approval)

    assert response.status_code == 409
    assert "This was approved" in text(response)
    assert "operator2" in text(response)


def test_a_second_call_to_the_same_rung_keeps_the_note(client_as: ClientAs) -> None:
    approval = waiting(0.1)
    by_hand(client_as("operator2"), approval)

    response = by_hand(client_as("operator"), approval, note="my long note")

    assert response.status_code == 409
    assert "escalated to operators meanwhile" in text(response)
    assert "my long note" in text(response)


@pytest.mark.parametrize(("note", "rung", "status"), [("", 0, 422), ("x", "", 422)])
def test_an_incomplete_form_is_refused(
    client_as: ClientAs, note: str, rung: Any, status: int
) -> None:
    approval = waiting(0.1)

    assert by_hand(client_as("operator"), approval, note, rung).status_code == status
    assert approval.escalations.count() == 0


def test_without_script_the_note_leads_to_the_page(client_as: ClientAs) -> None:
    approval = waiting(0.1)

    address = f"/approvals/{approval.pk}/escalate/"
    response = client_as("operator").post(address, {"note": "n", "rung": 0})

    assert response["Location"] == f"/approvals/{approval.pk}/"


def test_who_does_not_decide_does_not_escalate(client_as: ClientAs) -> None:
    approval, client = waiting(0.1), client_as("admin")

    assert 'name="note"' not in text(client.get(f"/approvals/{approval.pk}/"))
    assert by_hand(client, approval).status_code == 403


@pytest.mark.parametrize(
    ("role", "told"), [("admin", "pause or cancel the run"), ("auditor", None), ("operator", None)]
)
def test_who_is_called_and_does_not_decide_reads_what_to_do(
    client_as: ClientAs, role: str, told: str | None
) -> None:
    approval = waiting(0.9)
    services.escalate_due()

    page = text(client_as(role).get(f"/approvals/{approval.pk}/"))

    assert ("You were called because nobody has" in page) == (told is not None)
    assert told is None or told in page


def test_an_overdue_question_says_truly_what_will_become_of_it(client_as: ClientAs) -> None:
    approval = waiting(1.5, stays_open=True)
    services.escalate_due()
    client = client_as("operator")

    panel = plain(text(client.get(f"/approvals/{approval.pk}/")))
    row = plain(text(client.get("/approvals/")))

    assert "Overdue, and still open: unless somebody decides, the run" in panel
    assert panel.index("2 earlier") > panel.index("(the window has passed)")
    assert "(the window has passed), open until" in row
    assert "1 overdue" in row
    assert "Approve:" in panel


def test_what_ended_offers_no_escalation(client_as: ClientAs) -> None:
    approval = waiting(1.5)

    open_page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))
    services.expire_due()
    closed_page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert 'name="note"' not in open_page
    assert 'name="note"' not in closed_page
