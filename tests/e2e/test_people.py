"""People in a browser: from the link that an admin hands over to somebody who is logged in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import Passkey, User
from apps.audit.models import Event
from tests.e2e.conftest import PageAs
from tests.factories.accounts import PASSWORD, with_password

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_an_admin_hands_a_link_over_and_its_person_enrols(
    page_as: PageAs,
    site_people: dict[str, User],
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    admin = page_as("admin", phone=phone, theme=theme)
    admin.goto("/accounts/users/")
    admin.get_by_label("User name").fill("nora")
    admin.get_by_label("Name", exact=True).fill("Nora Beck")
    admin.locator("#id_role").select_option("operator")
    admin.get_by_role("button", name="Make the account").click()
    link = admin.locator("#new-link").inner_text()
    expect(admin.get_by_role("alert")).to_contain_text("It works once, within 24 hours")
    no_serious_violations(admin)
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert admin.evaluate(wide)

    nora = page_as(None, phone=phone, theme=theme)
    nora.goto(link)
    expect(nora.get_by_label("Enrolment code")).to_have_value(link.partition("#")[2])
    assert "#" not in nora.url
    no_serious_violations(nora)
    nora.get_by_label("New password").fill(PASSWORD)
    nora.get_by_label("The same password again").fill(PASSWORD)
    nora.get_by_role("button", name="Set password").click()
    expect(nora.get_by_role("status").first).to_contain_text("Log in as nora")
    nora.get_by_label("User name").fill("nora")
    nora.get_by_label("Password").fill(PASSWORD)
    nora.get_by_role("button", name="Log in").click()
    expect(nora.get_by_role("heading", level=1).first).to_be_visible()
    expect(nora.get_by_role("button", name="You: Nora Beck")).to_be_visible()


def device(page: Page) -> None:
    """A virtual authenticator in the browser, whose owner is always verified."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def logs_in(page: Page, home: str) -> None:
    page.goto(f"{home}/accounts/login/?next=/accounts/security/")
    page.get_by_label("User name").fill("nora")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_a_passkey_is_added_and_logs_in_alone_and_as_the_second_step(
    page_as: PageAs,
    live_site: str,
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    nora = with_password("nora", first_name="Nora", last_name="Beck")
    home = live_site.replace("127.0.0.1", "localhost")
    page = page_as(None, phone=phone, theme=theme)
    logs_in(page, live_site)
    expect(page.get_by_text("Passkeys need an address with a name")).to_be_visible()

    logs_in(page, home)
    device(page)
    no_serious_violations(page)
    page.get_by_label("Name of the device").fill("Laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("Your passkey is added")
    assert len(page.locator("#recovery-codes").inner_text().split()) == 10
    no_serious_violations(page)
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_text("Laptop")).to_be_visible()
    no_serious_violations(page)
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(wide)
    kept = Passkey.objects.get(user=nora)
    assert kept.host == "localhost"

    page.context.clear_cookies()
    page.goto(f"{home}/accounts/login/?next=/accounts/settings/")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()

    page.context.clear_cookies()
    logs_in(page, home)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    no_serious_violations(page)
    page.get_by_role("button", name="Use my passkey").click()
    expect(page.get_by_role("heading", name="How you log in")).to_be_visible()
    ways = Event.objects.filter(kind="user.logged_in").order_by("id").values_list("payload")
    assert [p["how"] for (p,) in ways][-2:] == ["passkey", "password, passkey"]


def test_a_passkey_proves_nothing_for_another_question_or_a_second_time(
    page_as: PageAs, live_site: str
) -> None:
    """What the device signed is taken once, and for the challenge of this browser only."""
    with_password("nora")
    home = live_site.replace("127.0.0.1", "localhost")
    page = page_as(None)
    logs_in(page, home)
    device(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.context.clear_cookies()

    sent: list[str] = []
    page.on(
        "request", lambda r: sent.append(r.post_data or "") if "passkey/show" in r.url else None
    )
    page.goto(f"{home}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("button", name="You: nora")).to_be_visible()
    answer = parse_qs(sent[0])["answer"][0]

    for challenged in (False, True):
        page.context.clear_cookies()
        page.goto(f"{home}/accounts/login/")
        form = page.locator("form[data-passkey]")
        if challenged:  # another challenge is open: the old answer is not of it
            page.evaluate(ASK)
        form.locator("input[name=answer]").evaluate(
            "(field, value) => { field.value = value; }", answer
        )
        form.evaluate("form => form.submit()")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        said = "was not accepted" if challenged else "took too long"
        expect(page.locator("#toasts")).to_contain_text(said)


ASK = """async () => {
  const form = document.querySelector("form[data-passkey]");
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  await fetch(form.dataset.ask, { method: "POST", headers });
}"""
