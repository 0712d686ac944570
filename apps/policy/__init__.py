"""Policy: the policy decision point. Pure, and replayable over what was decided before.

Owns: PolicySet, PolicyVersion, PolicyDraft, Decision.
Hides: Cedar, how a schema is made and how an error is located.
Offers: services.decide_batch (participant), services.validate, services.publish,
selectors.published, domain types.
"""
