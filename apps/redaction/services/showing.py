"""Show a hidden value to a person: with permission, for a reason, and in the audit log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.audit.services import Fact, record_many
from apps.kernel import exactjson
from apps.kernel.errors import InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.transactions import command
from apps.redaction.domain.tokens import label_in
from apps.redaction.models import HiddenValue
from apps.redaction.services.storing import unsealed

MOST_REASON, LEAST_REASON = 500, 8
PERMISSION = "values.unmask"


@command
def show(*, root_id: UUID, token: str, user: User, reason: str) -> str:
    """The value as text. The event is committed with it: who, which run, which token, why, and
    from where; never the value."""
    if not user.may(PERMISSION):
        raise NotPermittedError("Only admins and auditors may see hidden values.")
    reason = reason.strip()
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        said = f"Say why you need to see it, in {LEAST_REASON} to {MOST_REASON} characters."
        raise InvalidInputError(said, field="reason")
    row = HiddenValue.objects.filter(root_id=root_id, token=token).first()
    if row is None:
        raise NotFoundError("This run has no such hidden value.")
    value: Any = unsealed(root_id, token, row.sealed)
    payload = {"token": token, "field": label_in(token), "reason": reason}
    record_many([Fact("value.shown", user.actor, "run", str(root_id), root_id, payload)])
    return value if isinstance(value, str) else exactjson.dumps(value)
