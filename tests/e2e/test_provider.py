"""Log-in at an identity provider, in a browser: there and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from tests.accounts.providing import CLIENT, PROOF, ROLES, known, real_provider
from tests.e2e.conftest import PageAs, site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]
WIDE = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture
def issuer() -> Iterator[str]:
    with real_provider() as found:
        yield found


@pytest.fixture
def tower(issuer: str, transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """A site that knows the provider."""
    told = {
        "TOWER_OIDC_ISSUER": issuer,
        "TOWER_OIDC_CLIENT": CLIENT,
        "TOWER_OIDC_SECRET": PROOF,
        "TOWER_OIDC_NAME": "Example ID",
        "TOWER_OIDC_ROLES": json.dumps(ROLES),
    }
    with site(tmp_path, **told) as url:
        yield url


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_somebody_logs_in_at_the_provider_and_comes_back_to_their_page(
    page_as: PageAs,
    tower: str,
    issuer: str,
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    known(issuer, "s-1", preferred_username="nora", name="Nora Beck", roles=["ops"])
    page = page_as(None, phone=phone, theme=theme)
    page.goto(f"{tower}/accounts/settings/")
    log_in = page.get_by_role("button", name="Log in with Example ID")
    expect(log_in).to_be_visible()
    assert page.evaluate(WIDE)
    no_serious_violations(page)

    log_in.click()
    page.get_by_placeholder("sub").fill("s-1")
    page.get_by_role("button", name="Authorize").click()

    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    assert page.url == f"{tower}/accounts/settings/"
    expect(page.get_by_role("button", name="You: Nora Beck")).to_be_visible()
    assert User.objects.get(username="nora").role == "operator"

    page.context.clear_cookies()
    page.goto(f"{tower}/accounts/login/")
    page.get_by_role("button", name="Log in with Example ID").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Deny").click()

    expect(page.get_by_role("alert")).to_contain_text("was cancelled")
    assert page.evaluate(WIDE)
    no_serious_violations(page)
    page.get_by_role("button", name="Try again with Example ID").click()
    expect(page.get_by_role("button", name="Authorize")).to_be_visible()
