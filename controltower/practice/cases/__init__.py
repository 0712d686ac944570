"""Cases: where the work of a newcomer's tower comes from.

A case is what a customer asked and what a scripted agent will say and propose about it. Reference
cases follow the published reference actions of a benchmark's task; recorded ones follow a recorded
episode; a live model gets the customer's request alone. All are labelled as such wherever a person
sees them. Labels that exist to score the
tower (scenario, ground truth, reward, gt) are never read here.
"""
