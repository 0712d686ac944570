"""Requests that a grant may cover, and grants as two people give them."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import User
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.domain import grant_typing
from apps.oversight.domain.grants import CoverableCall
from apps.oversight.models import Approval, Grant
from apps.oversight.services.grant_seals import bounds_of
from tests.factories.approvals import ApprovalFactory, bound

WHY = "Small refunds of delayed parcels, all looked up today"
RULE = {
    "id": "returns-need-a-person",
    "reason": "A return is looked at by a person",
    "effect": "forbid",
    "roles": ["operator"],
    "votes": 1,
    "risk": 2,
    "observed": [],
}


def coverable(reservation: str = "Q00001", **changes: Any) -> Approval:
    """A request that a grant may be proposed from."""
    run_id = new_id()
    arguments = changes.pop("arguments", {"reservation_id": reservation, "bags": 1})
    binding = {**bound(run_id, arguments, shop="main"), "server": "http://shop.example/mcp"}
    given = {
        "run_id": run_id,
        "arguments": arguments,
        "binding": {**binding, **changes.pop("bound_to", {})},
        "rules": [RULE],
        "amount_cents": 5_000,
        "preview": {
            "changes": [{"path": f"/r/{reservation}/bags", "before": 0, "after": 1}],
            "refusal": None,
        },
    }
    return ApprovalFactory.create(**{**given, **changes})


def plan(
    source: Approval, *, opened: dict[str, tuple[str, str]] | None = None, **more: Any
) -> services.GrantPlan:
    """Bounds from a request: everything as in it, but for what is ``opened`` (how, and to what)."""
    ways = opened or {}
    fields = [
        grant_typing.typed(name, value, *ways.get(name, ("equal", "")))
        for name, value in CoverableCall.of(source).fields.items()
    ]
    given = {"most_cents": 10_000, "count": 3, "hours": 4, "reason": WHY}
    return services.GrantPlan(fields, **{**given, **more})


def proposed(source: Approval, user: User, **more: Any) -> Grant:
    return services.propose_grant(approval_id=source.pk, user=user, plan=plan(source, **more))


def confirmed(grant: Grant, user: User) -> Grant:
    return services.confirm_grant(
        grant_id=grant.pk, user=user, digest=bounds_of(grant).digest, reason=WHY
    )


def given(source: Approval, first: User, second: User, **more: Any) -> Grant:
    """A grant that counts."""
    return confirmed(proposed(source, first, **more), second)
