"""What a call would mean to the people who must approve it, one module per company.

Each module offers ``facts(world, tool, args) -> dict``: amounts, owners and states that a policy
or an approver asks about, read from the system of record before the call is made. A fact is a
bool, a whole number, a text or a list of texts; what isn't known is left out, so that a rule can
tell "no" from "not known". Money is in whole cents. Tools that change nothing have no facts.
"""
