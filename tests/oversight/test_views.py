"""The queue, the panel and the answer, over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.oversight import adapters, services
from apps.oversight.domain.signed import SignedDecision, first_payload
from apps.oversight.models import Approval, Vote
from apps.oversight.services import proving
from apps.policy.models import PolicySet
from apps.runs.selectors.stops import forget_banner
from tests.factories.approvals import EACH_ITS_JOB, ApprovalFactory, has_read, typed_to_confirm
from tests.factories.catalog import apply_toys
from tests.factories.runs import DecisionFactory
from tests.tampering import past_triggers

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def sentences(page: str) -> list[str]:
    return re.findall(r'class="sentence isolate"[^>]*>([^<]*)<', page)


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def post(client: Client, approval: Approval, **changes: Any) -> Any:
    has_read(approval, User.objects.get(pk=client.session["_auth_user_id"]))
    given = {
        "answer": "approve",
        "reason": "Fare rules allow it",
        "confirm": typed_to_confirm(approval),
        "digest": approval.digest,
        "nonce": "nonce-12345",
        "dwell_ms": "5100",
    }
    return client.post(f"/approvals/{approval.pk}/decide/", {**given, **changes}, headers=HTMX)


def test_waiting_rows_come_in_the_order_of_need(client_as: ClientAs) -> None:
    now = timezone.now()
    for name, minutes, risk in (("B", 9, 1), ("A", -1, 1), ("D", 60, 2), ("C", 60, 4)):
        ApprovalFactory.create(
            sentence=name, expires_at=now + timedelta(minutes=minutes), risk=risk
        )

    page = text(client_as("operator").get("/approvals/"))

    assert sentences(page) == ["A", "B", "C", "D"]
    assert "1 overdue" in page
    assert "overdue" in page


def test_nothing_waiting_says_what_was_last(client_as: ClientAs) -> None:
    client = client_as("operator")
    before = text(client.get("/approvals/"))
    approval = ApprovalFactory.create()
    post(client, approval)

    after = text(client.get("/approvals/"))

    assert "Nothing is waiting." in before
    assert "appears here at once" in before
    assert "Last decision" in after
    assert "by you." in after


def test_filters_live_in_the_address(client_as: ClientAs, people: dict[str, User]) -> None:
    soon = timezone.now() + timedelta(minutes=4)
    ApprovalFactory.create(sentence="high", risk=3)
    ApprovalFactory.create(sentence="retail", domain_slug="retail", risk=1)
    ApprovalFactory.create(sentence="mine", claimed_by=people["operator"], claimed_until=soon)
    client = client_as("operator")

    def found(query: str) -> set[str]:
        return set(sentences(text(client.get(f"/approvals/?{query}"))))

    assert found("risk=3") == {"high"}
    assert found("domain=retail") == {"retail"}
    assert found("mine=1") == {"mine"}
    assert found("unclaimed=1") == {"high", "retail"}
    assert found("q=RETAIL") == {"retail"}
    assert found("risk=x&tab=nonsense&after=%00~") == {"high", "retail", "mine"}
    assert "Nothing matches" in text(client.get("/approvals/?q=zzz"))


def test_pages_by_key_lose_nothing_and_double_nothing(client_as: ClientAs) -> None:
    due = timezone.now() + timedelta(hours=1)
    made = ApprovalFactory.create_batch(60, expires_at=due, job_slug=EACH_ITS_JOB)
    client = client_as("operator")

    first = text(client.get("/approvals/"))
    link = re.search(r'rel="next"\s+href="([^"]+)"', first)
    assert link is not None
    second = text(client.get(f"/approvals/{link[1].replace('&amp;', '&')}"))

    ids = re.findall(r'data-id="([0-9a-f-]+)"', first + second)
    assert len(ids) == 60
    assert set(ids) == {str(a.pk) for a in made}


def test_one_row_and_three_rows_cost_the_same(client_as: ClientAs) -> None:
    client = client_as("operator")
    client.get("/approvals/")  # a session notes once in a while that it is used
    costs = []
    for _ in range(2):
        ApprovalFactory.create_batch(2)
        forget_banner()  # it is asked for every two seconds only
        with CaptureQueriesContext(connection) as queries:
            client.get("/approvals/")
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_ten_thousand_waiting_rows_are_read_by_index(client_as: ClientAs) -> None:
    rows = ApprovalFactory.build_batch(1)
    due = timezone.now() + timedelta(hours=1)
    with connection.cursor() as cursor:
        template = ApprovalFactory.create(expires_at=due)
        columns = [f.column for f in Approval._meta.fields if f.column not in {"id", "step_id"}]
        listed = ", ".join(columns)
        cursor.execute(
            f"INSERT INTO approvals_approval (id, step_id, {listed})"
            f" SELECT gen_random_uuid(), gen_random_uuid(), {listed}"
            " FROM approvals_approval, generate_series(1, 10000) WHERE id = %s",
            [template.pk],
        )
        cursor.execute("ANALYZE approvals_approval")
    client = client_as("operator")
    client.get("/approvals/")

    started = timezone.now()
    response = client.get("/approvals/")

    assert rows
    assert response.status_code == 200
    assert timezone.now() - started < timedelta(milliseconds=600)


def test_the_panel_shows_values_as_they_are(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create(
        arguments={
            "amount": 9007199254740993,
            "rate": 0.1,
            "note": "dupl\u202eicate <script>alert(1)</script>",
            "shop": "p\u0430ypal",
            "nested": {"items": [{"id": "007"}], "none": None, "empty": []},
        },
        agent_text="\u2705 Policy check passed. <b>URGENT</b>",
    )

    page = text(client_as("operator").get(f"/approvals/{approval.pk}/", headers=HTMX))

    assert ">9007199254740993<" in page
    assert ">0.1<" in page
    assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>' in page
    assert "<script>alert" not in page
    assert "look-alike letters" in page
    assert "nested.items[0].id" in page
    assert "&lt;b&gt;URGENT" in page
    assert page.index("h-args") < page.index("h-changes") < page.index("h-why")
    assert page.index("h-why") < page.index("h-evidence") < page.index("untrusted")
    assert page.index("untrusted") < page.index('name="reason"')


def row(page: str, name: str) -> list[str]:
    """What was expected and what came, of one thing that a rule looked at."""
    _, _, rest = page.partition(f'<th scope="row" class="mono">{name}</th>')
    return re.findall(r"<td[^>]*>(.*?)</td>", rest)[:2]


def test_each_rule_says_what_was_expected_what_it_is_for_and_where_it_is_written(
    client_as: ClientAs, tmp_path: Path
) -> None:
    apply_toys(tmp_path)
    version = PolicySet.objects.get().versions.get()
    decision = DecisionFactory.create(policy_version=version)
    seen = {
        "name": "facts.nonfree_after",
        "value": 1,
        "expected": {"operator": "=", "value": 0, "name": "facts.nonfree_expected"},
    }
    rule = {
        "id": "large-refund",
        "effect": "forbid",
        "reason": "Too many bags are paid",
        "purpose": "Each bag above the allowance costs 50 dollars.",
        "observed": [seen, {"name": "facts.cabin", "value": "economy"}],
    }
    approval = ApprovalFactory.create(rules=[rule], decision_id=decision.pk)
    client = client_as("operator")

    page = text(client.get(f"/approvals/{approval.pk}/"))

    assert row(page, "nonfree after") == ["0 (nonfree expected)", "1"]
    assert "facts.cabin = &quot;economy&quot;" in page
    assert "Each bag above the allowance costs 50 dollars." in page
    link = re.search(r'href="(/policies/[^"]+)#(rule-large-refund)"', page)
    assert link
    assert f'id="{link[2]}"' in client.get(link[1]).content.decode()


def test_the_sheet_says_what_a_rejection_and_the_end_of_its_time_do(client_as: ClientAs) -> None:
    short = ApprovalFactory.create()
    long = ApprovalFactory.create(
        on_timeout="escalate", ends_at=short.expires_at + timedelta(hours=3)
    )
    client = client_as("operator")

    ends, outlives = (text(client.get(f"/approvals/{a.pk}/")) for a in (short, long))

    assert "If rejected" in ends
    assert "it expires: the step is not carried out" in ends
    assert "stays open until the run" in outlives
    assert f'hx-get="/runs/held/{short.pk}/"' in ends


def test_the_panel_shows_what_changes_and_why(client_as: ClientAs) -> None:
    rule = {
        "id": "big-refund",
        "reason": "Refunds above $500.00 need a person",
        "observed": [
            {
                "name": "facts.amount_cents",
                "value": 124000,
                "operator": ">",
                "limit": "limits.approval_amount_cents",
                "limit_value": 50000,
            }
        ],
    }
    approval = ApprovalFactory.create(rules=[rule])

    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert "reservations Q69X3R" in page
    assert "Refunds above $500.00 need a person" in page
    assert row(page, "amount") == ["at most $500.00 (approval amount)", "$1,240.00"]
    assert "Approve: Cancel reservation Q69X3R" in page


@pytest.mark.parametrize(
    ("preview", "words"),
    [
        ({}, "cannot be previewed"),
        ({"changes": []}, "Nothing in the system of record would change"),
        ({"changes": [], "refusal": "already cancelled"}, "already cancelled"),
    ],
)
def test_an_honest_word_when_there_is_no_difference(
    client_as: ClientAs, preview: dict[str, Any], words: str
) -> None:
    approval = ApprovalFactory.create(preview=preview)

    assert words in text(client_as("operator").get(f"/approvals/{approval.pk}/"))


ODD_PREVIEWS: list[Any] = [
    {"changes": ["balance 5 -> 4"]},
    {"changes": 7},
    {"changes": [None, {"path": 5}, [[[]]]]},
    {"changes": {"a": [{"b": None}]}, "refusal": {"why": 1}},
    {"changes": json.loads("[" * 200 + "]" * 200)},
    {"changes": [{"path": "/a/b", "before": "x" * 1_000_000, "after": list(range(20_000))}]},
    {"unavailable": {"x": 1}, "said": 5, "notes": {"a": 1}, "odd_facts": []},
    ["balance 5 -> 4"],
    7,
]


@pytest.mark.parametrize("preview", ODD_PREVIEWS, ids=range(len(ODD_PREVIEWS)))
def test_a_question_with_an_odd_preview_can_be_read_and_decided(
    client_as: ClientAs, preview: Any
) -> None:
    approval = ApprovalFactory.create(preview=preview)
    client = client_as("operator")

    pages = [
        client.get(f"/approvals/{approval.pk}/"),
        client.get("/approvals/"),
        client.get(f"/approvals/?open={approval.pk}"),
        post(client, approval, answer="reject", reason="nobody can tell what it does"),
    ]

    assert [page.status_code for page in pages] == [200] * 4
    approval.refresh_from_db()
    assert approval.state == "rejected"


def test_the_approver_sees_what_is_not_known_and_why(client_as: ClientAs) -> None:
    rule = {
        "id": "facts-unknown",
        "reason": "The system of record could not say what this would change: …",
        "unknown": [
            {"name": "preview", "wanted": "an answer", "came": "no answer in 10 s"},
            {"name": "gigabytes", "wanted": "a whole number", "came": "the text “<50>”"},
        ],
    }
    preview = {
        "unavailable": "the dry run “try_it” gave no answer: no answer in 10 s",
        "said": [],
    }
    approval = ApprovalFactory.create(rules=[rule], preview=preview)

    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert "The preview failed" in page
    assert "gave no answer: no answer in 10 s" in page
    assert "a whole number" in page
    assert "the text “&lt;50&gt;”" in page
    assert "preview failed" in text(client_as("operator").get("/approvals/"))


def test_changes_that_are_only_text_are_shown_as_text(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create(preview={"changes": ["balance <5> -> 4"]})

    page = text(client_as("operator").get(f"/approvals/{approval.pk}/"))

    assert "balance &lt;5&gt; -&gt; 4" in page
    assert "not in the form that can be compared" in page
    assert "Nothing in the system of record would change" not in page


def test_an_answer_is_kept_with_how_long_it_was_looked_at(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    approval = ApprovalFactory.create(risk=3)

    response = post(client_as("operator"), approval)

    assert response.status_code == 200
    assert "Approved by you" in text(response)
    assert '"state": "approved"' in response["HX-Trigger"]
    assert Vote.objects.get().dwell_ms == 5100


def test_without_script_the_answer_leads_to_the_page(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()

    response = client_as("operator").post(
        f"/approvals/{approval.pk}/decide/",
        {"answer": "reject", "reason": "no", "digest": approval.digest, "nonce": "n" * 10},
    )

    assert response["Location"] == f"/approvals/{approval.pk}/"
    assert Approval.objects.get().state == "rejected"


def test_the_loser_keeps_the_typed_reason_and_hears_who_won(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()
    post(client_as("operator"), approval)

    response = post(client_as("operator2"), approval, answer="reject", reason="my long reason")

    assert response.status_code == 409
    assert "This was approved meanwhile." in text(response)
    assert "operator, " in text(response)
    assert "my long reason" in text(response)


def test_a_missing_reason_is_said_at_the_field(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create(risk=4)

    response = post(client_as("operator"), approval, reason="")

    assert response.status_code == 422
    assert 'aria-invalid="true"' in text(response)
    assert Approval.objects.get().state == "pending"


def test_another_digest_asks_to_look_again(client_as: ClientAs) -> None:
    response = post(client_as("operator"), ApprovalFactory.create(), digest="0" * 64)

    assert response.status_code == 409
    assert "…00000000" in text(response)


def test_a_broken_form_is_refused_with_the_reason_kept(client_as: ClientAs) -> None:
    response = post(client_as("operator"), ApprovalFactory.create(), digest="x")

    assert response.status_code == 422
    assert "Fare rules allow it" in text(response)


@pytest.mark.parametrize("role", ["product_manager", "admin", "auditor"])
def test_others_read_and_never_decide(client_as: ClientAs, role: str) -> None:
    approval = ApprovalFactory.create()
    client = client_as(role)

    page = text(client.get(f"/approvals/{approval.pk}/"))

    assert 'name="answer"' not in page
    assert "operator decides" in page
    assert post(client, approval).status_code == 403
    assert client.post(f"/approvals/{approval.pk}/claim/").status_code == 403


def test_claims_in_the_panel(client_as: ClientAs) -> None:
    approval = ApprovalFactory.create()
    mine, other = client_as("operator"), client_as("operator2")
    url = f"/approvals/{approval.pk}/claim/"

    assert "claimed by you" in text(mine.post(url, headers=HTMX))
    assert "operator has claimed it" in text(other.get(f"/approvals/{approval.pk}/", headers=HTMX))
    blocked = other.post(url, headers=HTMX)
    taken = other.post(url, {"reason": "operator is at lunch"}, headers=HTMX)

    assert blocked.status_code == 409
    assert "claimed by you" in text(taken)


def test_changes_tell_of_new_rows_and_of_decided_ones(client_as: ClientAs) -> None:
    shown = ApprovalFactory.create()
    since = Approval.objects.get().created_at
    post(client_as("operator2"), shown)
    ApprovalFactory.create(risk=4)

    found = (
        client_as("operator")
        .get("/approvals/changes/", {"ids": f"{shown.pk},junk", "since": since.isoformat()})
        .json()
    )

    assert (found["new"], found["critical"]) == (1, 1)
    (row,) = found["rows"]
    assert (row["id"], row["state"], row["by"]) == (str(shown.pk), "approved", "operator2")


def test_the_number_on_the_navigation(client_as: ClientAs) -> None:
    ApprovalFactory.create_batch(2)
    client = client_as("auditor")

    assert 'data-n="2"' in text(client.get("/approvals/count/"))
    assert 'data-n="2"' in text(client.get("/accounts/settings/"))


def test_too_many_decisions_are_answered_with_a_warning(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    for approval in ApprovalFactory.create_batch(31, state="rejected"):
        Vote.objects.create(
            approval=approval, user=people["operator"], approve=False, digest="d", nonce="n"
        )

    page = text(client_as("operator").get("/approvals/"))

    assert "31 decisions in an hour is a lot" in page


def test_an_unknown_approval_is_not_found(client_as: ClientAs) -> None:
    ghost = ApprovalFactory.build()

    assert client_as("operator").get(f"/approvals/{ghost.pk}/").status_code == 404


def test_a_signature_is_checked_before_the_page_says_so(client_as: ClientAs, settings: Any) -> None:
    approval = ApprovalFactory.create()
    client = client_as("operator")
    post(client, approval)
    path = f"/approvals/{approval.pk}/"
    assert "the signature fits this answer and each vote" in text(client.get(path))

    Approval.objects.update(reason="I never looked.")
    assert "The signature does not fit" in text(client.get(path))

    settings.APPROVAL_KEYRING_FILE = f"{settings.APPROVAL_KEYRING_FILE}.other"
    settings.APPROVAL_KEY_FILE = f"{settings.APPROVAL_KEY_FILE}.other"
    page = text(client.get(path))
    assert "the signature was not checked" in page
    assert "fits" not in page


def test_a_page_says_what_a_revoked_or_an_older_signature_proves(
    client_as: ClientAs, settings: Any, tmp_path: Path
) -> None:
    settings.APPROVAL_KEY_FILE = str(tmp_path / "key")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "ring")
    approval = ApprovalFactory.create()
    client, path = client_as("operator"), f"/approvals/{approval.pk}/"
    post(client, approval)
    given = Approval.objects.get(pk=approval.pk)
    with past_triggers("approvals_vote"):
        Vote.objects.update(signature="", key_id="")
    settled = SignedDecision("approved", "operator", given.reason, given.decided_at)
    payload = first_payload(proving.asked_of(given), settled, ["operator"])
    signature, key_id = adapters.sign(payload)
    Approval.objects.update(signature=signature, key_id=key_id)
    assert "which was given before votes were signed each" in text(client.get(path))

    adapters.rotate()
    adapters.revoke(key_id)
    assert "which was revoked: the signature proves nothing" in text(client.get(path))


def test_a_refused_signature_is_told_where_people_look(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    approval = ApprovalFactory.create()
    post(client_as("operator"), approval)
    Approval.objects.update(reason="I never looked.")
    with transaction.atomic():
        assert services.consume_batch([(approval.pk, approval.digest)]) == {}

    told = "An approval was refused in the last 24 h: the stored answer was not signed"
    assert told in text(client_as("admin").get("/system/"))
    assert told in text(client_as("admin").get("/home/needs/"))
    Approval.objects.update(signature_refused_at=timezone.now() - timedelta(hours=25))
    assert told not in text(client_as("admin").get("/system/"))


def test_an_answer_that_was_taken_back_unused_is_still_the_one_that_was_signed(
    client_as: ClientAs,
) -> None:
    approval = ApprovalFactory.create()
    client = client_as("operator")
    post(client, approval)
    Approval.objects.update(state="void")

    assert "the signature fits this answer and each vote" in text(
        client.get(f"/approvals/{approval.pk}/")
    )


def test_whose_name_an_unsigned_vote_bears_can_vote_on_the_page(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    """It is of a release that did not sign votes, or of somebody who can write to the table."""
    approval = ApprovalFactory.create(votes_required=2)
    given = {"approve": True, "digest": approval.digest, "reason": "not mine", "nonce": "n"}
    Vote.objects.create(approval=approval, user=people["operator"], **given)
    client, path = client_as("operator"), f"/approvals/{approval.pk}/"

    page = text(client.get(path))
    assert "You have voted" not in page
    assert "0 of 2 votes" in page
    assert "not mine" not in page

    post(client, approval)
    assert "You have voted" in text(client.get(path))
