"""API: the doors for machines and for sockets: REST, live ticks, health.

Owns: Idempotency.
Hides: how a request that comes twice is answered once; how one Redis subscription is fanned out to
many sockets.
Offers: rest (the API of companies' systems), live.consumers, health views.
"""
