"""Who does the duties: one process at a time, whichever machine it runs on.

A row says who holds them, until when by the database's clock, and under which token. Taking and
renewing are one guarded statement each, so a pooler in transaction mode may stand between. A holder
that was frozen and comes back sees by its own clock that its time is over, and whatever it still
writes about duties is refused by its token.
"""

from __future__ import annotations

import time

from apps.audit.domain.duty import LEASE_S, MARGIN_S, Term
from apps.kernel.statements import execute, fetch

# Looked at first without a lock: most who ask find that another one holds it. Of two who find it
# free, the row's lock lets the second one see that it is taken. Should the row be lost or an older
# one come back, tokens go on from those that duties were written down under. A lease that ends
# later than any lasts was taken before the database's clock was put back.
_TAKE = """
    INSERT INTO audit_dutylease AS l (name, holder, token, since, until)
    SELECT 'duties', %(holder)s,
        (SELECT coalesce(max(token), 0) + 1 FROM audit_dutystanding),
        clock_timestamp(), clock_timestamp() + %(lease_s)s * interval '1 s'
    WHERE NOT EXISTS (SELECT FROM audit_dutylease WHERE name = 'duties'
        AND until > clock_timestamp() AND until <= clock_timestamp() + interval '1 min')
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
        token = greatest(l.token + 1, excluded.token),
        since = clock_timestamp(), until = clock_timestamp() + %(lease_s)s * interval '1 s'
    WHERE l.until <= clock_timestamp() OR l.until > clock_timestamp() + interval '1 min'
    RETURNING token
"""


def take(holder: str, *, lease_s: float = LEASE_S) -> Term | None:
    """Become the holder, unless there is one."""
    asked = time.monotonic()
    rows = fetch(_TAKE, {"holder": holder[:128], "lease_s": lease_s})
    return _term(rows[0][0], asked, lease_s) if rows else None


def renew(term: Term, *, lease_s: float = LEASE_S) -> Term | None:
    """Hold on for another while; ``None`` if another one has taken over. One whose time had run out
    goes on if nobody has."""
    asked = time.monotonic()
    renewed = execute(
        "UPDATE audit_dutylease SET until = clock_timestamp() + %s * interval '1 s'"
        " WHERE name = 'duties' AND token = %s",
        [lease_s, term.token],
    )
    return _term(term.token, asked, lease_s) if renewed else None


def let_go(term: Term) -> None:
    """Let another one take over at once."""
    execute(
        "UPDATE audit_dutylease SET until = least(until, clock_timestamp())"
        " WHERE name = 'duties' AND token = %s",
        [term.token],
    )


def _term(token: int, asked: float, lease_s: float) -> Term:
    # Counted from before the question: the database's time began later and ends later.
    return Term(token, asked + lease_s - MARGIN_S)
