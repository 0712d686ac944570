"""The packs' tool services: two companies' systems of record, each behind MCP.

Owns: the companies' tools and worlds, their databases under ``var/world``, faults for tests.
Hides: where the published data lies, the benchmarks' two dialects, layers and storage.
Offers: ``tools.call_tool`` (the pure library), ``loading`` (data), ``records.SystemOfRecord`` (the
durable service without a network), ``python -m controltower.practice.world`` (the service).

Nothing here knows the rest of the product, on purpose: the product reaches these services over
HTTP like any other company's, and the ledger they keep is an independent witness in tests.

Facts about the published data that others build on:

- Both companies' clocks stand still (the airline's at 2024-05-15 15:00), and every recorded episode
  starts from the pristine data. A task is ``{"id", "description", "user_scenario":
  {"instructions"}, "evaluation_criteria": {"actions": [{"name", "arguments"}], ...}}``; some
  reference actions are refused by the company, on purpose.
- A live service speaks ``tau2``. Under it, changing several items of a pending order gives all of
  them the last one's price, and an airline accepts a certificate without giving change: the
  published rules have these traits and recordings depend on them. Under ``tau1``, changing flights
  never notes the new cabin. Seats are taken by bookings only, and no cancellation frees them.
- The airline has ids for three new reservations in a world and three new certificates for a
  customer, then refuses; give every replay a world of its own.
"""
