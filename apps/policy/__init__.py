"""Policy: the policy decision point. Pure, and replayable over what was decided before.

Owns: PolicySet, PolicyVersion, PolicyDraft, Decision, PolicyProof, Backtest.
Hides: Cedar, how a schema is made, how an error is located and how a solver is asked.
Offers: services.decide_batch, services.judge_batch, services.apply_policy, services.publish
(participants); services.validate, services.simulate, services.rules; services.assess (what is
proved of a text), services.tested, services.begin_backtest; drafts (save_draft … publish_draft,
roll_back: commands); selectors.published, selectors.current_digest; domain types.
"""
