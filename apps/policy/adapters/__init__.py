"""The language of policies and the solver, behind functions of ours. The solver itself is imported
by its own process alone (``solving``)."""

from __future__ import annotations

from apps.policy.adapters.cedar import (
    Evaluator,
    check_policies,
    evaluator_of,
    known_evaluator,
    rules_of,
    unreadable,
)

__all__ = [
    "Evaluator",
    "check_policies",
    "evaluator_of",
    "known_evaluator",
    "rules_of",
    "unreadable",
]
