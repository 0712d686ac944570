from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.ops.selectors.runs import Cursor
from apps.oversight.models import Approval
from apps.runs.models import Run, RunResult
from apps.web.domain.quantities import DASH
from tests.factories.runs import DecisionFactory, RunFactory, StepFactory, eventful_run, step_done

pytestmark = pytest.mark.django_db


def text_of(response) -> str:
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def test_list_shows_what_a_run_waits_for(client_as):
    run = eventful_run()

    page = text_of(client_as("operator").get(reverse("runs:list")))

    assert str(run.id) in page
    assert "recorded gpt-4o" in page
    assert "a person: update_reservation_flights" in page


def test_list_without_runs_says_how_one_comes(client_as):
    page = text_of(client_as("auditor").get(reverse("runs:list")))

    assert "No runs yet" in page


def test_list_that_nothing_matches_offers_to_clear_the_filters(client_as):
    RunFactory.create(done=True)

    page = text_of(client_as("operator").get(reverse("runs:list"), {"outcome": "denied"}))

    assert "Nothing matches" in page
    assert "Clear all filters" in page


def test_columns_are_left_out_and_what_is_no_column_is_named(client_as):
    eventful_run()
    list_page = reverse("runs:list")

    page = text_of(client_as("operator").get(list_page, {"hide": ["cost", "retries"], "q": ""}))
    assert 'class="table cards runs live no-9 no-7"' in page

    page = text_of(client_as("operator").get(list_page, {"hide": ["state"]}))
    assert "Not understood and left out: hide" in page
    assert 'class="table cards runs live"' in page


@pytest.mark.parametrize(
    "query",
    [
        {"state": ["failed", "running"]},
        {"domain": "airline", "job": "x", "contract": "3", "agent": "a", "source": "desk"},
        {"tool": "cancel_reservation", "rule": "refund-above-limit", "error_class": "timeout"},
        {"needs": "1", "violation": "1", "problems": "1"},
        {"from": "2026-01-01T00:00", "to": "2026-02-01T00:00:00", "q": "sofia"},
        {"from": "yesterday", "contract": "three", "state": "sleeping", "before": "rubbish"},
        {"q": "' OR 1=1 --"},
        {"before": "99999999999999999.00000000-0000-0000-0000-000000000000"},
    ],
)
def test_list_takes_every_filter_and_survives_nonsense(client_as, query):
    eventful_run()

    text_of(client_as("operator").get(reverse("runs:list"), query))


def test_a_pasted_run_id_goes_to_its_run(client_as):
    run = RunFactory.create()

    response = client_as("operator").get(reverse("runs:list"), {"q": str(run.id)})

    assert response.headers["Location"] == reverse("runs:detail", args=[run.id])


def test_news_tells_rows_as_they_are_and_counts_new_ones(client_as):
    old = RunFactory.create(done=True, created_at=timezone.now() - timedelta(minutes=5))
    RunFactory.create_batch(2)
    query = {"ids": f"{old.id},rubbish", "newest": str(Cursor.at(old))}

    page = text_of(client_as("operator").get(reverse("runs:news"), query))

    assert 'data-fresh="2"' in page
    assert page.count("<tr ") == 1


def test_csv_has_every_run_and_no_formula(client_as):
    RunFactory.create(done=True, customer='=HYPERLINK("http://evil")')
    RunFactory.create(done=True, customer="@sum")
    RunFactory.create(state="failed", outcome="denied")

    response = client_as("auditor").get(reverse("runs:export_csv"), {"state": "succeeded"})

    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert [r["customer"] for r in rows] == ["'@sum", '\'=HYPERLINK("http://evil")']


def test_a_run_that_was_handed_over_says_so_and_no_claim_stands_as_a_fact(client_as):
    told = "Handed over to a person by ring. The agent's own words, unconfirmed: “Refunded.”"
    run = RunFactory.create(state="succeeded", outcome="handed_over", summary=told)
    other = RunFactory.create(state="succeeded", outcome="resolved", summary="Refunded.")
    client = client_as("auditor")

    page = text_of(client.get(reverse("runs:detail", args=[run.id])))
    rows = text_of(client.get(reverse("runs:list"), {"outcome": "handed_over"}))
    compared = text_of(client.get(reverse("runs:compare"), {"a": run.id, "b": other.id}))

    assert 'data-look="handed-over"' in page
    assert "The agent says" not in page
    assert "The agent says" in text_of(client.get(reverse("runs:detail", args=[other.id])))
    assert str(run.id) in rows
    assert str(other.id) not in rows
    assert 'data-look="handed-over"' in rows
    assert "Handed over" in compared
    assert "A is handed over and B is resolved" in compared


def test_a_run_that_ended_as_escalated_before_there_were_hand_overs_still_says_so(client_as):
    run = RunFactory.create(state="failed", outcome="escalated", error_class="escalated")

    page = text_of(client_as("auditor").get(reverse("runs:detail", args=[run.id])))

    assert "Escalated" in page


@pytest.mark.parametrize(
    "tab",
    ["timeline", "conversation", "steps", "decisions", "receipts", "approvals", "audit", "raw"],
)
def test_every_tab_of_an_eventful_run(client_as, tab):
    run = eventful_run()

    page = text_of(client_as("auditor").get(reverse("runs:detail", args=[run.id]), {"tab": tab}))

    assert "recorded gpt-4o" in page
    assert "isn&#x27;t known whether step 6" in page or "isn't known whether step 6" in page


def test_a_run_says_that_its_question_was_escalated(client_as):
    run = eventful_run()
    step = run.steps.get(state="waiting_approval")
    asked = Approval.objects.get(step_id=step.id)
    asked.escalations.create(rung=0, to="lead", role="admin", share=0.8)
    client, address = client_as("auditor"), reverse("runs:detail", args=[run.id])

    pages = [{}, {"tab": "approvals"}, {"step": step.seq}]
    found = [text_of(client.get(address, query)).count("Escalated to the lead") for query in pages]
    export = client.get(reverse("runs:export_json", args=[run.id])).json()

    assert found == [1, 2, 2]  # in the head of each, and in its place
    assert export["steps"][-1]["approvals"][0]["escalations"][0]["to"] == "lead"


def test_timeline_bars_say_what_happened(client_as):
    run = eventful_run()

    page = text_of(client_as("operator").get(reverse("runs:detail", args=[run.id])))

    for name in [
        "Step 2 get_reservation_details, attempt 1 of 3, will retry, 50 ms, HTTP 503",
        "Step 2 get_reservation_details, attempt 2 of 3, timed out, 300 ms, timeout",
        "Step 3 cancel_reservation, waiting for a person 30 m 00 s, Approved",
        "Step 6 book_reservation, not known whether it happened, for",
    ]:
        assert name in page


def test_text_of_the_conversation_is_never_markup(client_as):
    run = eventful_run()

    page = text_of(client_as("operator").get(reverse("runs:conversation", args=[run.id])))

    assert "<b onclick" not in page
    assert "&lt;b onclick" in page
    assert "U+202E" in page


def test_conversation_until_a_step_ends_with_it(client_as):
    run = eventful_run()

    url = reverse("runs:conversation", args=[run.id])
    page = text_of(client_as("operator").get(url, {"upto": "2"}))

    assert "get_reservation_details" in page
    assert "cancel_reservation" not in page
    assert "Yes please" not in page


def test_step_drawer_names_the_receipt_that_answered_a_repeat(client_as):
    run = eventful_run()

    page = text_of(client_as("operator").get(reverse("runs:step", args=[run.id, 4])))

    assert "answered with the receipt of" in page
    assert "step 3" in page


def test_step_drawer_shows_numbers_exactly(client_as):
    run = eventful_run()

    page = text_of(client_as("operator").get(reverse("runs:step", args=[run.id, 5])))

    assert "9007199254740991" in page


def test_what_was_not_known_stands_on_the_step_and_in_the_export(client_as):
    run = RunFactory.create()
    gap = {"name": "gigabytes", "wanted": "a whole number", "came": "the text “<50>”"}
    rule = {"id": "facts-unknown", "reason": "It could not say.", "unknown": [gap]}
    step = StepFactory.create(run=run, seq=1, preview={"unavailable": "no answer in 10 s"})
    DecisionFactory.create(run_id=run.id, step_id=step.id, answer="hold", rules=[rule])
    client = client_as("auditor")

    page = text_of(client.get(reverse("runs:step", args=[run.id, 1])))
    export = json.loads(client.get(reverse("runs:export_json", args=[run.id])).content)

    assert "not known" in page
    assert "the text “&lt;50&gt;”" in page
    assert "no answer in 10 s" in page
    assert export["steps"][0]["decisions"][0]["rules"][0]["unknown"] == [gap]
    assert export["steps"][0]["preview"] == {"unavailable": "no answer in 10 s"}


def test_unknown_run_and_step_are_not_found(client_as):
    client, run = client_as("operator"), RunFactory.create()

    assert client.get(reverse("runs:detail", args=[uuid4()])).status_code == 404
    assert client.get(reverse("runs:step", args=[run.id, 9])).status_code == 404


def test_export_has_everything(client_as):
    run = eventful_run()

    response = client_as("auditor").get(reverse("runs:export_json", args=[run.id]))

    document = json.loads(response.content)
    assert [len(document["steps"]), len(document["messages"])] == [7, 3]
    assert document["steps"][1]["attempts"][0]["http_status"] == 503


def test_cancel_needs_a_reason(client_as):
    run = RunFactory.create()

    response = client_as("operator").post(reverse("runs:cancel", args=[run.id]), {"reason": " "})

    assert response.status_code == 422
    assert Run.objects.get().state == "running"


@pytest.mark.django_db(transaction=True)
def test_cancel_stops_a_run_once(client_as):
    run = RunFactory.create()
    client, url = client_as("operator"), reverse("runs:cancel", args=[run.id])

    first = client.post(url, {"reason": "The customer called"})
    second = client.post(url, {"reason": "Again"})

    assert [first.status_code, second.status_code] == [302, 409]
    assert Run.objects.get().state == "cancelled"
    page = client.get(reverse("runs:detail", args=[run.id])).content.decode()
    assert "Cancelled by operator" in page
    assert "The customer called" in page


def test_cancel_is_not_for_readers(client_as):
    run = RunFactory.create()

    response = client_as("auditor").post(reverse("runs:cancel", args=[run.id]), {"reason": "x"})

    assert response.status_code == 403


def test_numbers_of_practice_are_told_as_such_and_left_out_beside_real_ones(client_as):
    client = client_as("product_manager")
    practice = RunFactory.create(done=True, origin="practice")
    url, slugs = reverse("runs:job_stats"), {"slugs": practice.job_slug}

    alone = client.get(url, slugs)
    RunFactory.create(done=True, job_slug="another")
    beside = client.get(url, slugs)

    assert alone.headers["Runs-Origin"] == "practice"
    assert alone.json()[practice.job_slug]["runs"] == 1
    assert beside.headers["Runs-Origin"] == "real"
    assert beside.json()[practice.job_slug]["runs"] == 0


def test_parts_for_other_pages(client_as):
    client = client_as("product_manager")
    run = RunFactory.create(done=True)
    step_done(run, 1, at=timezone.now())
    StepFactory.create(run=run, seq=2)

    answer = client.get(reverse("runs:job_stats"), {"slugs": f"{run.job_slug},other"})
    stats = answer.json()

    assert answer.headers["Runs-Origin"] == "real"
    links = [stats[job].pop("links") for job in stats]
    few = {"handed_over": 0, "verdict": "too few", "verdict_words": "Too few runs", "waiting": 0}
    one, none = {"success": 1.0, "words": "too few"}, {"success": None, "words": DASH}
    assert stats == {
        run.job_slug: {"runs": 1, "finished": 1, "succeeded": 1, **one, **few},
        "other": {"runs": 0, "finished": 0, "succeeded": 0, **none, **few},
    }
    for one_job in links:
        assert set(one_job) == {"finished", "handed_over"}
    assert str(run.id) in text_of(client.get(links[0]["finished"]))
    assert str(run.id) not in text_of(client.get(links[0]["handed_over"]))
    assert str(run.id) in text_of(client.get(reverse("runs:for_job", args=[run.job_slug])))
    health = reverse("runs:tool_health", args=["airline", "cancel_reservation"])
    assert "0 of 1" in text_of(client.get(health))
    assert run.agent_label in text_of(client.get(reverse("runs:state", args=[run.id])))


def test_a_form_that_was_refused_leads_back_to_itself(client_as):
    run = RunFactory.create()

    page = client_as("operator").post(reverse("runs:pause", args=[run.id]), {"reason": ""})

    html = page.content.decode()
    assert page.status_code == 422
    assert "data-back" in html
    assert "Try again" not in html  # it would be asked for as a page, and there is none


def test_a_result_is_shown_as_the_agents_claim_and_exported(client_as):
    run = RunFactory.create(done=True)
    path = reverse("runs:detail", args=[run.id])
    client = client_as("auditor")
    assert "Result</h2>" not in text_of(client.get(path))
    RunResult.objects.create(run_id=run.id, value={"total": 10**30, "note": "<b>\u202e paid"})

    page = text_of(client.get(path))
    export = json.loads(client.get(reverse("runs:export_json", args=[run.id])).content)

    assert "The agent&rsquo;s claim" in page
    assert "its claim, not evidence" in page
    assert str(10**30) in page
    assert "<b>" not in page.split("The agent&rsquo;s claim")[1].split("</section>")[0]
    assert export["result"]["value"] == {"total": 10**30, "note": "<b>\u202e paid"}


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1.0}}, ["Both gave the same result."]),
        ({"a": {"b": 1}}, {"a": {"b": "x"}}, ["What differs in the results", "a.b"]),
        (7, None, [">7<", "No result."]),
        (7, 8, ["What differs in the results", "result"]),
    ],
)
def test_results_are_compared(client_as, one, other, words):
    runs = [RunFactory.create(done=True), RunFactory.create(done=True)]
    for run, value in zip(runs, (one, other), strict=True):
        if value is not None:
            RunResult.objects.create(run_id=run.id, value=value)

    path = reverse("runs:compare")
    page = text_of(client_as("auditor").get(path, {"a": runs[0].id, "b": runs[1].id}))

    assert all(word in page for word in words)
