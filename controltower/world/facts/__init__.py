"""What a call would mean to the people who must approve it, one module per company.

Each module offers ``facts(world, tool, args) -> dict``: amounts, owners and states that a policy
or an approver asks about, read from the system of record before the call is made.
"""
