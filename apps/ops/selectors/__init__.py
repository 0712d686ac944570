"""Reads of runs for their pages: lists, one run in detail, two compared, the load, the tower."""
