"""Calls: the doors to tools and models, and what is made of their answers.

Owns: nothing in the database.
Hides: MCP and its revisions, HTTP, providers of models, how hostile an answer may be.
Offers: executor.ToolClient (one call of a tool), executor.slots (how many at once), agents.think
    (one turn of a model), domain.retry (whether and when again), and what else a call goes by, as
    pure decisions: domain.admission (whether a new case is taken in), domain.breaker, domain.budget
    and domain.caps (whether a call may begin now),
    domain.fallback (which model), domain.script and domain.plan (what a scripted agent proposes,
    and what that would make impossible), domain.context, domain.lookup.
"""
