"""What the measures of the outcome page mean, in the words of the page: a paragraph an item."""

from __future__ import annotations

from collections.abc import Mapping

KPIS: Mapping[str, tuple[str, ...]] = {
    "success": (
        "Succeeded runs ÷ finished runs, of the runs that started in the range. Finished are "
        "succeeded, failed, undone and shed (turned away under load); open runs, those a person "
        "cancelled, those the agent properly handed over "
        "to a person and forks made to try something don't count.",
        "A run succeeds when it reaches the outcome that its contract counts: for most jobs a "
        "receipt of one of the contract's tools. The bar is the 95 % score interval (Wilson "
        "1927); below 20 finished runs the share is not shown.",
        "Target: the shares the contracts promise, weighted by finished runs.",
    ),
    "handed_over": (
        "Runs of the range in which the agent gave the case to a person by a tool that the "
        "contract names for it (outcome.hand_over), and in which nothing else went wrong. They "
        "are neither a success nor a failure of the job, so the success share leaves them out; "
        "beside them stands their share of the runs that have ended, the cancelled ones left "
        "out.",
    ),
    "time": (
        "From the moment a case is accepted until it has its outcome, waiting for people "
        "included: the time 95 % of the succeeded and failed runs stay under (and 50 %, the "
        "median), by linear interpolation (PostgreSQL's percentile_cont; Hyndman & Fan 1996, "
        "type 7). Shed runs never began, an undone run ends whenever a person undoes it, and "
        "whoever was handed over waits on: none of them says how long customers wait.",
        "Target: the smallest latency_p95_s of the contracts. The budget, latency_budget_s, is "
        "the longest a customer should ever wait.",
    ),
    "cost": (
        "What the models of all runs in the range cost ÷ succeeded runs: failed and handed over "
        "runs are paid for by those that succeed.",
        "Only runs whose price is known count; reference and recorded agents call no model, so "
        "they have none.",
    ),
    "human": (
        "Seconds for which a request was visible to the person who answered it, summed over all "
        "answers ÷ runs in the range, also those that asked nobody.",
        "Dwell is measured in the browser and only while the page is visible; answers without "
        "it count as zero, so this is a lower bound.",
    ),
    "waiting": (
        "Runs that wait for a person's approval at this moment, whatever the range, and how "
        "long ago the oldest of them started.",
    ),
    "violations": (
        "Runs in which a hard rule of policy denied at least one proposed action. The action "
        "was not carried out: this counts attempts that were stopped.",
    ),
    "unknown": (
        "Runs whose last call may or may not have taken effect, at this moment, whatever the "
        "range: the answer was lost and the tool couldn't be asked. A person has to look.",
    ),
}
