"""Say outside the database, signed, what the log holds: a duty, each few minutes or thousand
events."""

from __future__ import annotations

from django.conf import settings

from apps.audit import selectors as log
from apps.audit.adapters import files
from apps.audit.domain.checkpoint import SignedHead, is_due
from apps.audit.services.signing import signed
from apps.audit.services.standing import last_mark
from apps.kernel.errors import ConflictError
from apps.kernel.statements import database_now, execute


def checkpoint() -> int:
    """Sign what the log holds, if it has grown enough since the last time: first into the file,
    then into the database. Returns how many were made. Raises ``ConflictError`` where the log
    lacks what was signed before: nothing is signed over a log that was rewritten."""
    last = last_mark()
    count, head = log.end_of_chain()
    if last is not None and log.hash_at(last.count) != last.head:
        raise ConflictError(
            f"The log doesn't hold what the checkpoint of its {last.count:,} events says: see Audit"
        )
    now = database_now()
    if not is_due(last.count if last else 0, last.at if last else log.first_at(now), count, now):
        return 0
    mark = signed(SignedHead(count, head, now))
    # The file first: what only the database knew, whoever can write there could take back.
    files.append(settings.AUDIT_CHECKPOINTS, mark)
    # Two sweepers at once, one of which had been frozen: one count is kept once.
    execute(
        "INSERT INTO audit_checkpoint (count, head, at, key_id, signature)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [mark.count, mark.head, mark.at, mark.key_id, mark.signature],
    )
    return 1
