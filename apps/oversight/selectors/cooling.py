"""Requests for what was rejected just before: see ``domain.cooling``. One statement for any number
of them, each side of it by its own index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.conf import settings

from apps.kernel.statements import fetch
from apps.oversight.domain.cooling import votes_wanted
from apps.oversight.models import CALL_SQL, CHANGES_SQL, Approval

_CALL, _CHANGES = (
    f"{sql % {'expressions': f'r.{column}'}} = {sql % {'expressions': f'q.{column}'}}"
    for sql, column in ((CALL_SQL, "binding"), (CHANGES_SQL, "preview"))
)
# As in ``selectors.past``: only a preview that tells all, and that something would change.
_WHOLE = """
    AND r.domain_slug = q.domain_slug
    AND r.binding -> 'context' IS NOT DISTINCT FROM q.binding -> 'context'
    AND NOT r.preview ?| array['notes', 'said'] AND NOT q.preview ?| array['notes', 'said']
    AND jsonb_typeof(q.preview -> 'changes') = 'array' AND q.preview -> 'changes' <> '[]'
"""
# Rejected no longer before the question was asked than the time is, and before it was answered.
_SAME = """
    SELECT r.id, r.decided_at FROM approvals_approval r
    WHERE r.state = 'rejected' AND {same} AND r.id <> q.id
      AND r.decided_at > q.created_at - make_interval(secs => %s)
      AND r.decided_at <= coalesce(q.decided_at, 'infinity')
    ORDER BY r.decided_at DESC LIMIT 1
"""
_REJECTED = f"""
    SELECT q.id, rejected.id FROM approvals_approval q CROSS JOIN LATERAL (
        ({_SAME.format(same=_CALL)}) UNION ALL ({_SAME.format(same=_CHANGES + _WHOLE)})
    ) rejected WHERE q.id = ANY(%s) ORDER BY q.id, rejected.decided_at
"""  # noqa: S608  # constants, no input


def rejected_lately(ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Which of these questions people rejected the same of, no longer before they were asked than
    ``TOWER_COOL_DOWN_MINUTES``, or since: each with the latest rejection. One that was answered
    goes by what had been rejected until then."""
    if not ids:
        return {}
    window_s = settings.COOL_DOWN_MINUTES * 60.0
    return dict(fetch(_REJECTED, [window_s, window_s, list(ids)]))  # type: ignore[arg-type]  # pairs


def votes_wanted_of(approval: Approval) -> int:
    """How many people have to agree to it as things stand."""
    cooling = approval.pk in rejected_lately([approval.pk])
    return votes_wanted(approval.votes_required, is_cooling=cooling)


def add_rejections(rows: Sequence[Approval]) -> None:
    """``row.rejection``: the latest rejection of the same, with who and why, if there was one; and
    ``row.votes_wanted``."""
    found = rejected_lately([row.pk for row in rows])
    told = Approval.objects.filter(pk__in=found.values()).select_related("decided_by")
    by_id = told.only("state", "decided_by", "decided_at", "reason").in_bulk() if found else {}
    for row in rows:
        row.rejection = by_id.get(found.get(row.pk))  # type: ignore[attr-defined]  # for the page
        row.votes_wanted = votes_wanted(  # type: ignore[attr-defined]
            row.votes_required,
            is_cooling=row.pk in found,
        )
