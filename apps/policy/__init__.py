"""Policy: the policy decision point. Pure, and replayable over what was decided before.

Owns: PolicySet, PolicyVersion, PolicyDraft, Decision.
Hides: Cedar, how a schema is made and how an error is located.
Offers: services.decide_batch, services.judge_batch, services.apply_policy, services.publish
(participants); services.validate, services.simulate, services.rules; drafts (save_draft …
publish_draft, roll_back: commands); selectors.published, selectors.current_digest; domain types.
"""
