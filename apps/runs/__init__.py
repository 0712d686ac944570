"""Runs: the engine. A run is a row, a step is a row, an attempt is one try and its trace span.

Owns: Run, RunScript, RunResult, Message, Step, AnswerBody, Attempt, Intent, Receipt, Finding,
LookUp; Worker, Ticket; and what bounds them: Stop, Breaker, Cap, Rate, Budget, LaneMark,
LoadSample.
Hides: leases, fencing, batches, bells.
Offers: services.start_run, services.cancel_run, reconcile.resolve, selectors, domain.states.
"""
