"""Ops: the pages by which people see and steer runs, and the state of the tower itself.

Owns: ObjectReference, the index of what steps and runs name, which a subscriber writes.
Hides: how rows of runs are read for a page: lists, timelines, comparisons, load, stops, health.
Offers: selectors.runs (lists and filters), selectors.detail (one run), selectors.health and
    selectors.troubles (the tower), selectors.objects (one thing of the
    world outside), the addresses below /runs/, /objects/, /stops/, /load/ and /audit/.
"""
