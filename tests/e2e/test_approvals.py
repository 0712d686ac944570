"""An operator's day at the queue, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.models import Approval, Escalation, Vote
from tests.e2e.answering import approve_by_key, show_all
from tests.e2e.conftest import PageAs
from tests.factories.approvals import USUAL_LADDER, ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]
SLOW_QUESTIONS = """() => {
  const ajax = htmx.ajax;
  htmx.ajax = async (...asked) => {
    await new Promise((done) => setTimeout(done, 700));
    return ajax.apply(htmx, asked);
  };
}"""


LATE = """id => {
  const { open, send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, ...more) {
    this.isLate = url.includes(id);
    return open.call(this, method, url, ...more);
  };
  XMLHttpRequest.prototype.send = function (body) {
    window.isAsked ||= this.isLate;
    setTimeout(() => send.call(this, body), this.isLate ? 1200 : 0);
  };
}"""


@pytest.fixture
def three(site_people: dict[str, User]) -> list[Approval]:
    """Three questions in the order in which they stand in the list."""
    now = timezone.now()
    return [
        ApprovalFactory.create(
            sentence=f"Cancel reservation {code} and refund ${refund}.00",
            risk=risk,
            expires_at=now + timedelta(minutes=minutes),
            ladder=USUAL_LADDER,
        )
        for code, refund, risk, minutes in (
            ("Q69X3R", 1240, 2, 9),
            ("ZFA04Y", 310, 3, 30),
            ("EHGLP3", 95, 1, 90),
        )
    ]


def test_approve_and_reject_with_the_keyboard_only(page_as: PageAs, three: list[Approval]) -> None:
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#grid tbody tr").first).to_be_focused()

    page.keyboard.press("a")
    expect(page.locator("#reason")).to_be_focused()
    approve_by_key(page)
    expect(page.locator("#grid tbody tr").nth(1)).to_be_focused()
    expect(page.locator("#panel")).to_contain_text("Approved by you")
    expect(page.locator("#grid tbody tr").first).to_contain_text("approved by you")
    expect(page.locator("#grid tbody tr").first.locator("[data-votes]")).to_have_text("1/1")

    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page.locator("#reason")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#decide-hint")).to_have_text("Say why you reject.")
    page.keyboard.type("Fare rules forbid it")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel")).to_contain_text("Rejected by you")

    states = [Approval.objects.get(pk=a.pk).state for a in three]
    assert states == ["approved", "pending", "rejected"]
    assert Approval.objects.get(pk=three[2].pk).reason == "Fare rules forbid it"
    assert all(v.dwell_ms is not None and v.dwell_ms > 0 for v in Vote.objects.all())


def test_the_question_opens_beside_the_list_however_many_filters_there_are(
    page_as: PageAs, three: list[Approval]
) -> None:
    for n, approval in enumerate(three):
        changes = {
            "domain_slug": f"domain-{n}",
            "job_slug": f"{'long-' * 6}{n}",
            "agent_slug": f"a-{n}",
        }
        Approval.objects.filter(pk=approval.pk).update(agent_label=f"{'long ' * 6}{n}", **changes)
    page = page_as("operator")
    page.set_viewport_size({"width": 1300, "height": 800})
    page.goto("/approvals/")
    expect(page.locator("#grid tbody tr").first).to_be_focused()
    page.keyboard.press("j")

    expect(page.locator(f"#review #panel[data-id='{three[1].pk}']")).to_be_visible()
    assert "/approvals/?open=" in page.url


def test_the_keys_act_on_a_question_that_stands_alone(
    page_as: PageAs, three: list[Approval]
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{three[0].pk}/")
    expect(page.locator("#panel-title")).to_be_focused()

    page.keyboard.press("a")
    expect(page.locator("#reason")).to_be_focused()
    approve_by_key(page)

    expect(page.locator("#panel")).to_contain_text("Approved by you")


def test_a_key_acts_on_the_row_that_has_the_focus_however_late_its_question_comes(
    page_as: PageAs, three: list[Approval]
) -> None:
    """The question of the row before is still on its way; it never gets what was meant for this."""
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator(f"#panel[data-id='{three[0].pk}']")).to_be_visible()

    page.evaluate(LATE, str(three[1].pk))
    page.keyboard.press("j")
    page.wait_for_function("() => window.isAsked")
    page.keyboard.press("j")
    page.keyboard.press("r")

    expect(page.locator(f"#panel[data-id='{three[2].pk}'] #reason")).to_be_focused()
    page.wait_for_timeout(1_500)  # what was asked for before comes, and is not shown
    expect(page.locator(f"#panel[data-id='{three[2].pk}'] #reason")).to_be_focused()
    page.keyboard.type("For the third")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel")).to_contain_text("Rejected by you")
    states = [Approval.objects.get(pk=a.pk).state for a in three]
    assert states == ["pending", "pending", "rejected"]


def test_letters_typed_into_the_reason_decide_nothing(
    page_as: PageAs, three: list[Approval]
) -> None:
    page = page_as("operator")
    page.goto("/approvals/")
    page.keyboard.press("a")
    page.locator("#reason").focus()

    page.keyboard.type("approve all racjk")

    expect(page.locator("#reason")).to_have_value("approve all racjk")
    assert Vote.objects.count() == 0


def test_a_note_that_no_field_takes_approves_nothing(
    page_as: PageAs, three: list[Approval], site_people: dict[str, User]
) -> None:
    """Everybody was called, so ! opens no note; what is typed then is text, and no key."""
    critical = ApprovalFactory.create(risk=4, expires_at=timezone.now() + timedelta(minutes=1))
    for number, (to, role) in enumerate([("operators", "operator"), ("admins", "admin")]):
        rung = 901 if to == "admins" else number
        Escalation.objects.create(
            approval=critical, rung=rung, to=to, role=role, by=site_people["operator"], note="?"
        )
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#panel")).to_have_attribute("data-id", str(critical.pk))

    page.keyboard.press("!")
    expect(page.locator("#refusal")).to_be_visible()
    expect(page.locator("#refusal")).to_contain_text("no note opened")
    page.keyboard.type("Admins, call a rep. Ask! Reject", delay=60)
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")

    expect(page.locator("#decide")).to_have_attribute("data-step", "")
    expect(page.locator("#claim")).to_contain_text("unclaimed")
    assert page.url.split("?")[0].endswith("/approvals/"), "G and a letter went nowhere"
    assert Vote.objects.count() == 0
    page.wait_for_timeout(1600)
    page.keyboard.press("a")
    expect(page.locator("#reason")).to_be_focused()


def test_what_is_typed_while_a_question_loads_belongs_to_its_field(
    page_as: PageAs, three: list[Approval]
) -> None:
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#panel")).to_have_attribute("data-id", str(three[0].pk))
    page.evaluate(SLOW_QUESTIONS)
    page.keyboard.press("End")

    page.keyboard.press("r")
    page.keyboard.type("acja", delay=50)

    expect(page.locator("#panel")).to_have_attribute("data-id", str(three[2].pk))
    expect(page.locator("#decide")).to_have_attribute("data-step", "reject")
    expect(page.locator("#reason")).to_be_focused()


def test_opening_a_note_with_the_mouse_takes_the_letters(
    page_as: PageAs, three: list[Approval]
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{three[0].pk}/")
    page.locator("details.escalate summary").click()

    page.keyboard.type("Ask a rep")

    expect(page.locator("#note")).to_have_value("Ask a rep")
    expect(page.locator("#decide")).to_have_attribute("data-step", "")


def test_a_critical_approval_is_typed_anew_and_its_enter_is_not_the_answer(
    page_as: PageAs, site_people: dict[str, User]
) -> None:
    approval = ApprovalFactory.create(risk=4)
    page = page_as("operator")
    page.goto(f"/approvals/{approval.pk}/")
    page.keyboard.press("a")
    page.keyboard.type("The fare rules allow it")
    show_all(page)
    approve = page.locator("[data-answer=approve]")

    expect(page.locator("#decide-hint")).to_contain_text("Type to confirm: the amount.")
    page.locator("#confirm").fill("1204")
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=15_000)
    page.locator("#confirm").press("Enter")
    expect(approve).to_be_focused()
    assert Vote.objects.count() == 0
    page.keyboard.press("Enter")
    expect(page.locator("#decide-error")).to_contain_text("is not the amount")
    page.locator("#confirm").fill("1,240.00")
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=15_000)
    approve.click()

    expect(page.locator("#panel")).to_contain_text("Approved by you")


def test_z_takes_the_last_approval_back_also_from_the_next_row(
    page_as: PageAs, site_people: dict[str, User], no_serious_violations: Check
) -> None:
    first, second = (
        ApprovalFactory.create(
            sentence=sentence,
            undo_s=300,
            reasons={"approve": ["The fare rules allow it"], "reject": ["Flown already"]},
            expires_at=timezone.now() + timedelta(minutes=minutes),
        )
        for sentence, minutes in (("Cancel A", 5), ("Cancel B", 9))
    )
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#panel")).to_have_attribute("data-id", str(first.pk))
    page.keyboard.press("z")
    expect(page.locator("#refusal")).to_contain_text("no approval here")
    page.wait_for_timeout(1600)
    page.get_by_role("button", name="The fare rules allow it").click()
    expect(page.locator("#reason")).to_have_value("The fare rules allow it")
    expect(page.locator("#decide")).to_have_attribute("data-step", "approve")
    approve_by_key(page)
    expect(page.locator("#after")).to_contain_text("Nothing is carried out yet")
    expect(page.locator("#after time")).to_contain_text(re.compile(r"^2\d\d s$"))
    expect(page.locator("#grid tbody tr").nth(1)).to_be_focused()
    no_serious_violations(page)
    assert Approval.objects.get(pk=first.pk).state == "granted"
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_have_attribute("data-id", str(second.pk))

    page.keyboard.press("z")

    expect(page.locator("#panel")).to_have_attribute("data-id", str(first.pk))
    expect(page.locator("#panel")).to_contain_text("operator took an approval back")
    expect(page.locator("#grid tbody tr").first).not_to_contain_text("approved by")
    assert Approval.objects.get(pk=first.pk).state == "pending"


def test_single_letters_can_be_turned_off(
    page_as: PageAs, three: list[Approval], site_people: dict[str, User]
) -> None:
    User.objects.filter(username="operator").update(preferences={"single_keys": False})
    page = page_as("operator")
    page.goto("/approvals/")
    page.locator("#grid tbody tr").first.focus()

    page.keyboard.press("a")
    page.keyboard.press("ArrowDown")

    expect(page.locator("#grid tbody tr").nth(1)).to_be_focused()
    expect(page.locator("#panel")).to_have_count(1)
    expect(page.locator("#decide")).to_have_attribute("data-step", "")


def test_a_high_risk_needs_a_reason_and_a_moment(page_as: PageAs, three: list[Approval]) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/?open={three[1].pk}")
    approve = page.locator("[data-answer=approve]")

    expect(approve).to_have_attribute("aria-disabled", "true")
    show_all(page)
    expect(page.locator("#decide-hint")).to_contain_text("the risk asks for a reason")
    page.locator("#reason").fill("Checked the fare")
    expect(page.locator("#decide-hint")).to_contain_text("you can approve in")
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=10_000)
    approve.click()

    expect(page.locator("#panel")).to_contain_text("Approved by you")
    vote = Vote.objects.get()
    assert vote.shown_ms is not None
    assert vote.shown_ms >= 4000


def test_padding_can_not_hide_a_value(page_as: PageAs, site_people: dict[str, User]) -> None:
    arguments = {f"field_{n:03}": f"value {n}" for n in range(200)} | {"long": "\n" * 5000 + "end"}
    approval = ApprovalFactory.create(arguments=arguments)
    page = page_as("operator")
    page.goto(f"/approvals/?open={approval.pk}")

    expect(page.locator("[data-answer=approve]")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#decide-hint")).to_contain_text("values not yet shown")
    page.locator("[data-answer=approve]").click(force=True)

    expect(page.locator("#decide-hint")).to_contain_text("values not yet shown")
    assert Vote.objects.count() == 0
    show_all(page)
    approve = page.locator("[data-answer=approve]")
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=10_000)


def test_who_is_second_keeps_the_reason_and_sees_who_was_first(
    page_as: PageAs, three: list[Approval], site_people: dict[str, User]
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{three[0].pk}/")
    page.locator("#reason").fill("My carefully typed reason")
    expect(page.locator("#claim")).to_contain_text("claimed by you")
    show_all(page)
    approve = page.locator("[data-answer=approve]")
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=10_000)
    services.claim(approval_id=three[0].pk, user=site_people["operator2"], reason="race")
    services.decide(
        approval_id=three[0].pk,
        user=site_people["operator2"],
        approve=False,
        reason="no",
        digest=three[0].digest,
        nonce="other",
    )

    page.locator("[data-answer=approve]").click()

    expect(page.locator("#decide-error")).to_contain_text("This was rejected meanwhile.")
    expect(page.locator("#decide-error")).to_contain_text("operator2")
    expect(page.locator("#kept")).to_have_value("My carefully typed reason")


def test_nothing_leads_away_from_what_was_typed_unasked(
    page_as: PageAs, three: list[Approval]
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{three[0].pk}/")
    page.locator("#reason").fill("My carefully typed reason")
    page.keyboard.press("Escape")

    for key in "ebb":
        stays_when_asked(page, lambda key=key: page.keyboard.press(key))  # type: ignore[misc]

    expect(page.locator("#reason")).to_have_value("My carefully typed reason")
    page.locator("#reason").fill("")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.locator("#table-reason").fill("Another one")
    stays_when_asked(page, page.get_by_role("link", name="Q69X3R").click)
    page.locator("#reject-table").click()
    expect(page.locator("#done")).to_contain_text("Another one")


def stays_when_asked(page: Page, act: Callable[[], None]) -> None:
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog") as asked:
        act()
    assert asked.value.type == "beforeunload"


def test_new_rows_wait_for_the_reader_and_decided_ones_are_struck(
    page_as: PageAs, three: list[Approval], site_people: dict[str, User]
) -> None:
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#conn-text")).to_have_text("Live")
    ApprovalFactory.create(sentence="Brand new", risk=4)
    services.decide(
        approval_id=three[2].pk,
        user=site_people["operator2"],
        approve=True,
        reason="",
        digest=three[2].digest,
        nonce="other",
    )

    expect(page.locator("#news-text")).to_contain_text("1 new, 1 critical")
    expect(page.locator("#grid tbody tr").nth(2)).to_contain_text("approved by operator2")
    expect(page.locator("#grid")).not_to_contain_text("Brand new")
    page.keyboard.press(".")

    expect(page.locator("#grid")).to_contain_text("Brand new")
    expect(page.locator("#grid tbody tr")).to_have_count(3)
    expect(page.locator("#nav-waiting")).to_contain_text("3")


def test_no_row_is_skipped_when_rows_come_and_go(
    page_as: PageAs, three: list[Approval], site_people: dict[str, User]
) -> None:
    """New ones move nothing under the reader; once they are shown, the keys go on where they
    were, though the row that had the focus is gone."""
    more = [
        ApprovalFactory.create(expires_at=timezone.now() + timedelta(hours=hours), job_slug=f"j{n}")
        for n, hours in enumerate((2, 3))
    ]
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#conn-text")).to_have_text("Live")
    rows = page.locator("#grid tbody tr")
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    ApprovalFactory.create(
        sentence="Sooner", job_slug="sooner", expires_at=timezone.now() + timedelta(minutes=1)
    )
    services.decide(
        approval_id=three[1].pk,
        user=site_people["operator2"],
        approve=False,
        reason="No ground for it",
        digest=three[1].digest,
        nonce="other",
    )
    expect(page.locator("#news-text")).to_contain_text("1 new")
    expect(rows.nth(1)).to_contain_text("rejected by operator2")
    order = [str(a.pk) for a in (*three, *more)]
    shown = "els => els.map(e => e.dataset.id)"
    assert rows.evaluate_all(shown) == order, "nothing moved"
    expect(rows.nth(1)).to_be_focused()

    page.keyboard.press(".")

    expect(rows.first).to_contain_text("Sooner")
    visited = []
    for _ in range(3):
        visited.append(page.evaluate("document.activeElement.dataset.id"))
        page.keyboard.press("j")
    assert visited == order[2:]
    assert rows.evaluate_all(shown)[1:] == [order[0], *order[2:]]


def test_a_key_opens_the_note_and_another_list_hears_of_it(
    page_as: PageAs, three: list[Approval], no_serious_violations: Check
) -> None:
    page, other = page_as("operator"), page_as("operator2")
    for each in (page, other):
        each.goto("/approvals/")
        expect(each.locator("#conn-text")).to_have_text("Live")
    page.locator("#grid tbody tr").nth(2).click()
    expect(page.locator("#panel")).to_have_attribute("data-id", str(three[2].pk))

    page.keyboard.press("!")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("A j k r! Odd fare")
    page.keyboard.press("Control+Enter")

    expect(page.locator("#escalation")).to_contain_text("Escalated to operators")
    expect(page.locator("#escalation")).to_contain_text("“A j k r! Odd fare”")
    expect(page.locator("#grid tbody tr").nth(2)).to_be_focused()
    expect(other.locator("#grid tbody tr").nth(2)).to_contain_text("(by operator)")
    expect(other.locator("#news-text")).to_contain_text("1 escalated to you")
    expect(other.locator("#counts")).to_contain_text("1 escalated to you")
    other.locator("#grid tbody tr").nth(2).focus()
    other.keyboard.press(".")
    expect(other.locator("#grid tbody tr").first).to_contain_text("(by operator)")
    no_serious_violations(page)
    no_serious_violations(other)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_no_serious_accessibility_violation(
    page_as: PageAs,
    three: list[Approval],
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    page = page_as("operator", phone=phone, theme=theme)
    page.goto("/approvals/")
    no_serious_violations(page)
    page.goto(f"/approvals/{three[1].pk}/" if phone else f"/approvals/?open={three[1].pk}")
    page.locator("#reason").fill("Checked the fare")
    no_serious_violations(page)


def test_on_a_phone_a_row_opens_a_page_and_nothing_scrolls_sideways(
    page_as: PageAs, three: list[Approval]
) -> None:
    page = page_as("operator", phone=True)
    page.goto("/approvals/")
    page.locator("#grid .sentence").first.click()

    expect(page).to_have_url(re.compile(f"/approvals/{three[0].pk}/$"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    show_all(page)
    approve = page.locator("[data-answer=approve]")
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=10_000)
    approve.click()
    expect(page.locator("#panel")).to_contain_text("Approved by you")
