"""Outcomes: what came of a cohort of runs, counted one way for every page, list and API.

Owns: nothing in the database.
Hides: how runs are grouped, summed and timed in SQL.
Offers: kpis.KPIS (each number defined once), selectors.outcomes (cohorts and series),
    domain.counting (what a run counts as), domain.tally.
"""
