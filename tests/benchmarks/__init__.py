"""``make bench``: our engine beside its peers, on one PostgreSQL, in one run.

A command and not a test: it takes minutes, wants the machine for itself, and reports numbers
instead of passing. What is measured, and what is equal and unequal between the peers, is written
in ``docs/benchmarks.md``.
"""
