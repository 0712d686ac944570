"""Through the engine: what the policy wants signed runs once it was."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.domain.passkey import challenge_of
from apps.oversight.models import Approval, Vote
from apps.runs.models import Run, Step
from tests.engine import shop
from tests.engine.conftest import Tower
from tests.engine.test_drain import RETURN, drain, held, ledger
from tests.factories.accounts import UserFactory
from tests.factories.approvals import decide
from tests.factories.passkeys import Device

RULES = """
@id("bank") @require_approval("operator") @passkey("required")
@reason("Returns are signed") @purpose("Shows a passkey")
forbid(principal, action == Action::"return_delivered_order_items", resource)
  unless { context.approvals.contains("operator") };
"""


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "POLICY", shop.POLICY + RULES)


def approve(asked: Approval, user: User, device: Device | None) -> None:
    about: dict[str, Any] = {"approval_id": str(asked.pk), "asked": asked.digest}
    signed = challenge_of(**about, user_id=user.pk, nonce="n-of-the-sheet")
    page = services.PageAnswer(passkey=device and device.shown(signed))
    decide(asked, user, nonce="n-of-the-sheet", page=page)
    Approval.objects.filter(pk=asked.pk, state="granted").update(state="approved")


def test_without_the_passkey_that_the_policy_asks_for_nothing_runs(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vote was taken by a site process of a release that knows no passkeys."""
    asked, user = held(tower), UserFactory.create(role="operator")
    assert asked.wants_passkey
    with monkeypatch.context() as before:
        before.setattr(services.deciding, "signed_with_passkey", lambda *_, **__: None)
        approve(asked, user, None)
    drain()

    assert ledger(tower, Run.objects.get()) == []
    again = Approval.objects.get(state="pending")
    assert again.pk != asked.pk
    assert again.wants_passkey
    assert not Vote.objects.filter(approval=again).exists()


def test_what_was_signed_runs(tower: Tower) -> None:
    asked, user = held(tower), UserFactory.create(role="operator")
    approve(asked, user, Device(user))
    drain()

    assert Step.objects.get().arguments == RETURN
    assert len(ledger(tower, Run.objects.get())) == 1
