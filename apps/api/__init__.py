"""API: the doors for machines and for sockets: live ticks, health.

Owns: nothing in the database yet.
Hides: how one Redis subscription is fanned out to many sockets.
Offers: live.consumers, health views.
"""
