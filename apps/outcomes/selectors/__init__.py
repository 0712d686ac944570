"""Reads of cohorts of runs: what came of them, and how long they took."""
