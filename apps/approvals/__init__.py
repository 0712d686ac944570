"""Approvals: the policy enforcement point and the people's queue.

Owns: Approval, Vote.
Hides: how an approval is bound, signed and used up.
Offers: gate.gate_batch (permit, hold or deny), services.decide, services.claim,
services.consume_batch (participant), selectors.waiting.
"""
