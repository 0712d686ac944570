"""Audit: what happened, in order, provably.

Owns: Event (append-only), its position in the hash chain; Subscription and DeadLetter.
Hides: how the chain is sealed, how events are delivered, how a screen hears of a change.
Offers: services.record (participant), services.seal, services.verify, services.deliver,
registry.subscribe, courier.Courier, fanout.tick, selectors.events_of, selectors.subscriptions.
"""
