"""Audit: what happened, in order, provably.

Owns: Event (append-only), its position in the hash chain.
Hides: how the chain is sealed, how a screen hears of a change.
Offers: services.record (participant), services.seal, services.verify, fanout.tick,
selectors.events_of.
"""
