"""What the policy app does for others: decide, publish, and say what another text would do."""

from __future__ import annotations

from apps.policy.services.backtesting import begin_backtest
from apps.policy.services.comparing import compare_texts
from apps.policy.services.deciding import Decided, PolicyQuery, decide_batch, judge_batch
from apps.policy.services.drafting import (
    POLICIES,
    begin,
    check_text,
    discard,
    publish_draft,
    rebase,
    roll_back,
    save_draft,
    submit_draft,
    withdraw,
)
from apps.policy.services.proving import assess
from apps.policy.services.publishing import (
    apply_policy,
    deciding_roles,
    follow_schema,
    publish,
    tested,
    validate,
)
from apps.policy.services.reading import RuleRow, exemptions, rules, why_no_rules
from apps.policy.services.simulating import (
    ChangedAnswer,
    LimitPoint,
    Simulation,
    rejudge,
    simulate,
    simulate_limits,
)

__all__ = [
    "POLICIES",
    "ChangedAnswer",
    "Decided",
    "LimitPoint",
    "PolicyQuery",
    "RuleRow",
    "Simulation",
    "apply_policy",
    "assess",
    "begin",
    "begin_backtest",
    "check_text",
    "compare_texts",
    "decide_batch",
    "deciding_roles",
    "discard",
    "exemptions",
    "follow_schema",
    "judge_batch",
    "publish",
    "publish_draft",
    "rebase",
    "rejudge",
    "roll_back",
    "rules",
    "save_draft",
    "simulate",
    "simulate_limits",
    "submit_draft",
    "tested",
    "validate",
    "why_no_rules",
    "withdraw",
]
