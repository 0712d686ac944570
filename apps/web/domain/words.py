"""The words, icons and shapes in which pages speak of states, risks and effects.

One table: what it lacks can't be shown, and a test compares it with every state that code knows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How one value is shown: a word, an icon of the sprite and a look that the CSS defines."""

    word: str
    icon: str
    look: str


STATES: dict[str, Look] = {
    # Runs and steps.
    "accepted": Look("Accepted", "st-accepted", "accepted"),
    "queued": Look("Queued", "st-queued", "queued"),
    "running": Look("Running", "st-running", "running"),
    "waiting_approval": Look("Waiting approval", "st-waiting", "waiting"),
    "succeeded": Look("Succeeded", "st-succeeded", "succeeded"),
    "failed": Look("Failed", "st-failed", "failed"),
    "confirmation_unknown": Look("Confirmation unknown", "st-unknown", "unknown"),
    "compensating": Look("Undoing", "st-compensating", "compensating"),
    "compensated": Look("Undone", "st-compensated", "compensated"),
    "cancelled": Look("Cancelled", "st-cancelled", "cancelled"),
    "shed": Look("Shed", "st-shed", "shed"),
    # Approvals.
    "pending": Look("Waiting", "st-waiting", "waiting"),
    "granted": Look("Approved, can be undone", "clock", "succeeded"),
    "approved": Look("Approved", "st-approved", "succeeded"),
    "rejected": Look("Rejected", "st-rejected", "refused"),
    "expired": Look("Expired", "st-expired", "shed"),
    "void": Look("Void", "st-void", "cancelled"),
    # What became of a step, and what the gate said.
    "executed": Look("Executed", "st-succeeded", "succeeded"),
    "deduplicated": Look("Deduplicated", "st-duplicate", "compensated"),
    "inherited": Look("Inherited", "st-duplicate", "compensated"),
    "denied": Look("Denied", "st-denied", "refused"),
    "refused_by_tool": Look("Refused by the tool", "st-refused", "refused"),
    "unknown": Look("Unknown", "st-unknown", "unknown"),
    "permit": Look("Permit", "st-succeeded", "succeeded"),
    "hold": Look("Hold", "st-waiting", "warn"),
    "deny": Look("Deny", "st-denied", "refused"),
    # How a run ended for the customer.
    "resolved": Look("Resolved", "st-succeeded", "succeeded"),
    "handed_over": Look("Handed over", "st-handed-over", "handed-over"),
    "escalated": Look("Escalated", "st-escalated", "warn"),  # as runs ended before hand-overs
    "tool_refused": Look("Refused by the tool", "st-refused", "refused"),
    "not_resolved": Look("Not resolved", "st-unresolved", "cancelled"),
    "timed_out": Look("Timed out", "st-expired", "shed"),
    "approval_expired": Look("Nobody decided", "st-expired", "shed"),
    "partly_compensated": Look("Partly undone", "st-compensated", "warn"),
    "error": Look("Error", "st-failed", "failed"),
    # Attempts.
    "ok": Look("OK", "st-succeeded", "succeeded"),
    "tool_error": Look("Refused by the tool", "st-refused", "refused"),
    "retryable": Look("Will retry", "st-running", "warn"),
    "timeout": Look("Timed out", "st-expired", "shed"),
    "lease_lost": Look("Lease lost", "st-void", "cancelled"),
    "released": Look("Given back", "st-void", "cancelled"),
    # Breakers, documents, people.
    "closed": Look("Closed", "st-succeeded", "succeeded"),
    "open": Look("Open", "st-failed", "failed"),
    "half_open": Look("Half open", "st-compensating", "warn"),
    "draft": Look("Draft", "st-draft", "accepted"),
    "in_review": Look("In review", "st-review", "warn"),
    "scheduled": Look("Scheduled", "st-review", "accepted"),
    "published": Look("Published", "st-succeeded", "succeeded"),
    "superseded": Look("Superseded", "st-void", "cancelled"),
    "active": Look("Active", "st-succeeded", "succeeded"),
    "invited": Look("Not enrolled yet", "st-draft", "accepted"),
    "unconfirmed": Look("To be confirmed", "st-waiting", "waiting"),
    "disabled": Look("Disabled", "st-cancelled", "cancelled"),
    "revoked": Look("Revoked", "st-cancelled", "cancelled"),
}

RISKS: dict[int, str] = {1: "Low", 2: "Medium", 3: "High", 4: "Critical"}

EFFECTS: dict[str, Look] = {
    "read": Look("Read", "eff-read", ""),
    "draft": Look("Draft", "eff-draft", ""),
    "write": Look("Write", "eff-write", "warn"),
    "irreversible": Look("Irreversible", "eff-irreversible", "bad"),
}


def state_look(state: str) -> Look:
    """The look of ``state``; an unknown one is shown as it is, plainly, rather than hidden."""
    key = str(state).lower().replace("-", "_").replace(" ", "_")
    fallback = Look(str(state).replace("_", " ").capitalize(), "st-accepted", "accepted")
    return STATES.get(key, fallback)
