"""Oversight: the policy enforcement point and the people's queue.

Owns: Approval, Vote, Escalation, Reading (who was shown what), Reversal (answers taken back),
Edit (how people changed held calls), Table and TableRow (requests decided in one table),
AskingTurn (whose turn to ask it is), Absence (who is away, and who stands in), Delegation (who was
asked by name), Snooze (what a person put off),
Grant and GrantUse (requests approved before they are made).
Hides: how an approval is bound, signed and used up.
Offers: gate.gate_batch (permit, hold or deny), services.decide, services.edit, services.claim,
services.escalate, services.escalate_due,
services.consume_batch (participant), selectors.waiting.
"""
