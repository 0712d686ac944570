"""How much a person may send: forms and what their scripts send beside, by a token bucket."""

from __future__ import annotations

import math

from django.conf import settings

from apps.accounts.domain.buckets import filled
from apps.accounts.models import User
from apps.kernel.statements import fetch

_FILLED = filled(
    "s.allowance",
    "s.filled_at",
    a_second="%(a_minute)s::float8 / 60",
    most="%(most)s::float8",
)
# As for tokens: one guarded statement, so that requests at once can't overspend the bucket, and
# nobody waits for the disk.
_SPEND = f"""
INSERT INTO accounts_sending AS s (user_id, allowance, filled_at)
SELECT %(user)s::bigint, %(most)s::float8 - %(cost)s::float8, clock_timestamp()
FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (user_id) DO UPDATE
SET allowance = {_FILLED} - %(cost)s::float8, filled_at = clock_timestamp()
WHERE {_FILLED} >= %(cost)s::float8 RETURNING s.user_id
"""  # noqa: S608  # constants only
_WAIT = f"""
SELECT (%(cost)s::float8 - {_FILLED}) * 60 / %(a_minute)s::float8
FROM accounts_sending s WHERE s.user_id = %(user)s::bigint
"""  # noqa: S608  # constants only


def spend(user: User, cost: float) -> int:
    """Take what a request costs from the bucket of whoever sent it: ``TOWER_FORMS_PER_MINUTE``,
    half of them at once. Returns 0, or in how many seconds it will be there."""
    a_minute = settings.FORMS_PER_MINUTE
    values = {"user": user.pk, "cost": cost, "a_minute": a_minute, "most": max(1, a_minute // 2)}
    if fetch(_SPEND, values):
        return 0
    wait_s = next((row[0] for row in fetch(_WAIT, values)), 0.0)
    return max(1, math.ceil(wait_s))
