"""Ask people, take their answers, and let each answer serve once.

The database's clock decides what is in time. Every change of state is a guarded update, so that of
any two who act at once exactly one succeeds and the other is told who and when.
"""

from __future__ import annotations

from apps.oversight.selectors import bindings_of, decided_among, states_of
from apps.oversight.selectors.edits import edited_from, edits_told
from apps.oversight.services.asking import (
    ApprovalRequest,
    Used,
    consume,
    consume_batch,
    request_batch,
    use_batch,
)
from apps.oversight.services.away import end_absence, set_absence
from apps.oversight.services.claiming import claim, release
from apps.oversight.services.covering import cover
from apps.oversight.services.deciding import PageAnswer, challenge_of, decide
from apps.oversight.services.delegating import delegate, give_back
from apps.oversight.services.editing import edit
from apps.oversight.services.ending import (
    UNENDABLE,
    expire_due,
    void_after_restore,
    void_for_job,
    void_for_run,
    void_for_tool,
)
from apps.oversight.services.escalating import call_about_undecidable, escalate, escalate_due
from apps.oversight.services.granting import (
    UNENDABLE_GRANTS,
    GrantPlan,
    confirm_grant,
    decline_grant,
    end_grants_due,
    propose_grant,
    revoke_grant,
    why_no_grant,
)
from apps.oversight.services.parties import parties_for
from apps.oversight.services.proving import Seal, is_signed, seal_of, votes_that_count
from apps.oversight.services.reading import open_sheet, read_of, see
from apps.oversight.services.second_look import look_again
from apps.oversight.services.snoozing import snooze, wake
from apps.oversight.services.turns import Asker, give_turns
from apps.oversight.services.undoing import UNRELEASED, release_due, undo

__all__ = [
    "UNENDABLE",
    "UNENDABLE_GRANTS",
    "UNRELEASED",
    "ApprovalRequest",
    "Asker",
    "GrantPlan",
    "PageAnswer",
    "Seal",
    "Used",
    "bindings_of",
    "call_about_undecidable",
    "challenge_of",
    "claim",
    "confirm_grant",
    "consume",
    "consume_batch",
    "cover",
    "decide",
    "decided_among",
    "decline_grant",
    "delegate",
    "edit",
    "edited_from",
    "edits_told",
    "end_absence",
    "end_grants_due",
    "escalate",
    "escalate_due",
    "expire_due",
    "give_back",
    "give_turns",
    "is_signed",
    "look_again",
    "open_sheet",
    "parties_for",
    "propose_grant",
    "read_of",
    "release",
    "release_due",
    "request_batch",
    "revoke_grant",
    "seal_of",
    "see",
    "set_absence",
    "snooze",
    "states_of",
    "undo",
    "use_batch",
    "void_after_restore",
    "void_for_job",
    "void_for_run",
    "void_for_tool",
    "votes_that_count",
    "wake",
    "why_no_grant",
]
