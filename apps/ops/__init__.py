"""Ops: the pages by which people see and steer runs, and the state of the tower itself.

Owns: nothing in the database.
Hides: how rows of runs are read for a page: lists, timelines, comparisons, load, stops, health.
Offers: selectors.runs (lists and filters), selectors.detail (one run), selectors.health and
    selectors.troubles (the tower), the addresses below /runs/, /stops/, /load/ and /audit/.
"""
