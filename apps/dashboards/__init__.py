"""Dashboards: the home page and the outcome pages, read-only.

Owns: nothing in the database.
Hides: how a series becomes a Plotly figure.
Offers: pages.
"""
