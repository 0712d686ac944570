"""Web: what the pages of every app are made of.

Owns: nothing in the database.
Hides: which words, icons and shapes a state, a risk or a moment is shown with; what may hide in a
    text from outside.
Offers: domain.words, domain.quantities, domain.untrusted, templatetags.tower (in every template).
"""
