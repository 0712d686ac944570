"""What the panels of the outcome page mean, in the words of the page: a paragraph an item."""

from __future__ import annotations

from collections.abc import Mapping

PANELS: Mapping[str, tuple[str, ...]] = {
    "states": (
        "Runs by the moment at which they started and by the state they are in now; what was "
        "handed over to a person stands apart from what succeeded. A bucket that is still "
        "filling is hatched. A dotted line is a published contract or policy.",
    ),
    "errors": (
        "Finished runs that did not succeed, by the outcome they had instead and the class of "
        "error. A run has one outcome: the gravest thing that kept it from what its contract "
        "counts. Runs that were properly handed over to a person did not fail, so they are not "
        "among them.",
    ),
    "rules": (
        "Runs in which a rule of policy held a step for a person, or denied it. A run counts "
        "once for each rule and answer, however often; in a denial only hard rules count. A "
        "denial without a rule means that nothing permitted the step.",
    ),
    "approvals": (
        "Questions that the runs of this range asked people, and how they were answered. "
        "Waiting time runs from the question to the decision, for approved and rejected ones. "
        "Dwell is how long the request was visible to the person who answered; seconds of dwell "
        "on risky requests are a sign of habit.",
    ),
    "usage": (
        "Tokens as the model's provider counted them, prompt and answer, of all runs in the "
        "range. Cost is what the provider charges for them where its price is known. Reference "
        "and recorded agents call no model and so use none.",
    ),
}
