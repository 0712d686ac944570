"""Edit a held call: its question ends, and the step is proposed anew and judged as any proposal.

The edit, the end of the question with the votes that were given to it, and what the step proposes
are one transaction. Of two who edit at once the row lock lets one be first; the other is told who.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.errors import InvalidInputError
from apps.kernel.exactjson import check
from apps.kernel.statements import database_now
from apps.kernel.transactions import command
from apps.oversight.domain import editing, rules
from apps.oversight.models import Approval, Edit
from apps.oversight.registry import propose_anew
from apps.oversight.selectors import edits
from apps.oversight.services.deciding import error_of, require_able, standing_of
from apps.oversight.services.rows import fact, locked, make_void


@command
def edit(
    *, approval_id: UUID, user: User, arguments: Mapping[str, Any], reason: str, digest: str
) -> Edit:
    """Change what a held call would do. Whoever may decide it can; nothing runs by it: the policy
    and the preview are asked anew, and people after them. ConflictError says who was first;
    InvalidInputError names the argument that doesn't fit. The same edit again is the same one."""
    require_able(user)
    after = check(dict(arguments))
    approval = locked(approval_id)
    earlier = edits.edit_that_ended(approval)
    if earlier and earlier.by_id == user.pk and not editing.changed_names(earlier.after, after):
        return earlier  # the form came twice
    said = rules.ProposedVote(user.pk, user.role, approve=False, reason=reason, digest=digest)
    if refused := rules.why_no_edit(standing_of(approval, (), by=user), said, database_now()):
        raise error_of(refused, approval, digest)
    before = approval.arguments if isinstance(approval.arguments, dict) else {}
    names = editing.changed_names(before, after)
    if not names:
        raise InvalidInputError("Nothing was changed: approve it as it is, or change something.")
    after = propose_anew(approval, after)  # without what the contract hides
    edit = _kept(approval, user, before, after, reason.strip())
    make_void(Approval.objects.filter(pk=approval.pk))
    told = {"number": edit.number, "reason": edit.reason, "fields": names}
    told |= {"before_sha256": editing.arguments_digest(before)}
    told |= {"after_sha256": editing.arguments_digest(after)}
    audit.record_many([fact("edited", approval, user.actor, **told)])
    return edit


def _kept(approval: Approval, user: User, before: Any, after: Any, reason: str) -> Edit:
    # Two edits of one step can't have one number: the unique constraint decides.
    return Edit.objects.create(
        approval=approval,
        run_id=approval.run_id,
        step_id=approval.step_id,
        number=Edit.objects.filter(step_id=approval.step_id).count() + 1,
        by=user,
        reason=reason,
        before=before,
        after=after,
    )
