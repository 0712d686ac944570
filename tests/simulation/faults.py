"""Faults to plant in the product's own pure functions, so that it is known that the simulation
would find them. Each: where, what it says, what it says with the fault, what doesn't hold then."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    at: str  # module:function
    says: str
    would_say: str
    found_by: str  # the invariant of ``watch``


CALLS, RUNS, OVERSIGHT = "apps.calls.domain", "apps.runs.domain", "apps.oversight.domain"
FAULTS: dict[str, Fault] = {
    "a lost call of a tool without keys is tried again": Fault(
        f"{CALLS}.retry:decide",
        "if may_have_happened and not repeat_safe:",
        "if may_have_happened and not mutates:",
        "I1",
    ),
    "a call that makes no sense is taken for one that did nothing": Fault(
        f"{CALLS}.retry:decide", "{Ending.LOST, Ending.BROKEN}", "{Ending.LOST}", "I3"
    ),
    "the attempts before are not regarded": Fault(
        f"{CALLS}.retry:depends_on_earlier", "attempt > 1", "attempt > 9", "I3"
    ),
    "a call that timed out is taken for one that did nothing": Fault(
        f"{CALLS}.retry:did_nothing", "error_class in NOTHING_CLASSES", "error_class", "I3"
    ),
    "a failed call is written down as done": Fault(
        f"{RUNS}.ends:of_attempt",
        "verdict is RetryVerdict.FAIL",
        "verdict is RetryVerdict.RETRY",
        "I3",
    ),
    "nobody is asked about a lost call": Fault(
        f"{RUNS}.ends:of_attempt", "State.CONFIRMATION_UNKNOWN", "State.FAILED", "I3"
    ),
    "people who said no are asked again": Fault(
        f"{RUNS}.ends:by_approval", "WITHOUT_CALL.get(state)", "None", "ask"
    ),
    "what was begun ends when its run is late": Fault(
        f"{RUNS}.ends:is_overdue", "not intent_open and now", "now", "I3"
    ),
    "a step that failed gives its change up at once": Fault(
        f"{RUNS}.ends:gives_up", "== Disposition.REFUSED_BY_TOOL", "!= Disposition.EXECUTED", "I1"
    ),
    "a change that another step made is taken for one's own": Fault(
        f"{RUNS}.forking:repeat",
        "return Repeat.DEDUPLICATED if executed else Repeat.CONFLICT",
        "return Repeat.OURS",
        "I5",
    ),
    "a lost call of a tool without keys goes back to the queue": Fault(
        f"{RUNS}.suspicion:fate", "(poison or not keyed)", "poison", "I1"
    ),
    "a poison step that may have happened has failed": Fault(
        f"{RUNS}.suspicion:fate", "if intent_open and", "if not poison and intent_open and", "I3"
    ),
    "nothing is ever poison": Fault(
        f"{RUNS}.suspicion:is_poison",
        "blame >= GUILTY or losses >= most_losses",
        "False",
        "poison",
    ),
    "equal calls with other arguments have one key": Fault(
        f"{CALLS}.keys:change_key", '"arguments": arguments', '"arguments": ""', "I3"
    ),
    "a call that may be repeated is answered with the last one's receipt": Fault(
        f"{CALLS}.keys:change_key", "if own_step is not None:", "if False:", "I3"
    ),
    "effects are undone from the first to the last": Fault(
        f"{RUNS}.undo:plan", "for s in reversed(own)", "for s in own", "undone"
    ),
    "an undoing ends before everything is undone": Fault(
        f"{RUNS}.undo:rest", "if found.next is None:", "if found.next is not None:", "undone"
    ),
    "an undoing begins while a call is under way": Fault(
        f"{RUNS}.undo:can_begin", "and not found.unsettled", "", "undone"
    ),
    "an undoing that waits for a person is forgotten": Fault(
        f"{RUNS}.undo:is_undoing", "COMPENSATING or waits", "COMPENSATING", "undone"
    ),
    "a job that wants a tool carried out succeeds without": Fault(
        f"{RUNS}.outcome:judge", "if not wanted_tools and answered:", "if answered:", "judged"
    ),
    "a run takes as many steps as it likes": Fault(
        f"{CALLS}.limits:reached", "steps >= limits.steps", "False", "limit"
    ),
    "a breaker lets any number probe": Fault(
        f"{CALLS}.breaker:room", "PROBES - out", "PROBES", "breaker"
    ),
    "an open breaker is probed at any time": Fault(
        f"{CALLS}.breaker:is_probed", "breaker.open_until <= now", "True", "breaker"
    ),
    "a cap holds one too many": Fault(
        f"{CALLS}.caps:Rooms._full", ">= cap.max_in_flight", "> cap.max_in_flight", "cap"
    ),
    "a budget is overdrawn": Fault(
        f"{CALLS}.budget:settle", "has = price <= left", "has = True", "budget"
    ),
    "a limiter sinks below one": Fault(
        f"{CALLS}.limiter:Limiter.released",
        "max(LEAST, limit * BACKOFF)",
        "limit * BACKOFF",
        "limit",
    ),
    "a doubt is not regarded": Fault(
        f"{OVERSIGHT}.rules:with_doubt", "doubtful and", "not doubtful and", "I2"
    ),
    "one vote is enough where two are wanted": Fault(
        f"{OVERSIGHT}.rules:is_enough", "max(1, *wanted)", "1", "I2"
    ),
    "a look-up that names another call proves it": Fault(
        f"{CALLS}.lookup:read_answer", "if same else", "if True else", "I3"
    ),
    "C0 is not taken in": Fault(
        "apps.calls.domain.admission:decide",
        "Class.C0:\n        return Accept()",
        "Class.C0:\n        return Shed('', 1.0)",
        "C0",
    ),
}
