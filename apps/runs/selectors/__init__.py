"""Reads of runs: lists, one run in detail, health of the machinery, outcomes."""
