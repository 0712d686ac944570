"""Oversight: the policy enforcement point and the people's queue.

Owns: Approval, Vote, Escalation.
Hides: how an approval is bound, signed and used up.
Offers: gate.gate_batch (permit, hold or deny), services.decide, services.claim,
services.escalate, services.escalate_due,
services.consume_batch (participant), selectors.waiting.
"""
