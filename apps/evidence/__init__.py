"""Evidence: what a conversation says about a proposed action.

Owns: nothing in the database.
Hides: languages, dates and names as people say them, what counts as a yes.
Offers: domain.evidence; domain.readers, by which others say how their people speak.
"""
