"""Audit: what happened, in order, provably.

Owns: Event (append-only), its position in the hash chain; Subscription and DeadLetter;
DutyStanding (how each duty went) and DutyLease (which process does them); Checkpoint
(what the log held, signed) and Verification (how far it was verified).
Hides: how the chain is sealed, how events are delivered, how a screen hears of a change.
Offers: services.record (participant), services.seal, services.verify, services.deliver,
services.sweep, registry (subscribe, add_duties, add_streams), courier.Courier, runner.Runner,
fanout.tick, selectors.events_of, selectors.subscriptions.
"""
