"""Runs: the engine. A run is a row, a step is a row, an attempt is one try and its trace span.

Owns: Run, RunScript, Message, Step, Attempt, Intent, Receipt, Finding, Breaker,
Worker, Desk.
Hides: leases, fencing, batches, bells, how a tool is reached.
Offers: services.start_run, services.cancel_run, services.set_desk, reconcile.resolve, selectors,
domain.states.
"""
