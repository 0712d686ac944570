"""The packs' tool services: two companies' systems of record, each behind MCP.

Owns: the companies' tools and worlds, their databases under ``var/world``, faults for tests.
Hides: where the published data lies, the benchmarks' two dialects, layers and storage.
Offers: ``tools.call_tool`` (the pure library), ``loading`` (data), ``records.SystemOfRecord`` (the
durable service without a network), ``python -m controltower.world`` (the service).

Nothing here knows the rest of the product, on purpose: the product reaches these services over
HTTP like any other company's, and the ledger they keep is an independent witness in tests.
"""
