"""What runs hide (see ``apps.redaction``), by the names of the contract version that each pins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar
from uuid import UUID

from apps.calls.domain.context import MOST_CHARACTERS
from apps.calls.domain.keys import arguments_digest
from apps.calls.domain.turn import Thought
from apps.calls.executor.result import CallResult
from apps.catalog.selectors import contract
from apps.catalog.selectors.contracts import stated_to_hide
from apps.kernel.ids import new_id
from apps.kernel.schemas import Schema, compiled
from apps.kernel.transactions import participant
from apps.redaction import services
from apps.redaction.domain.hidden import Hidden, UnknownTokenError
from apps.redaction.domain.items import items

MOST_CUSTOMER, MOST_CASE_REF = 120, 200  # characters that rows have room for
DOUBT, RULE = (
    "{what} of this call stands where nothing is hidden, but is a value that the contract hides"
    " elsewhere, so that no rule could see what it is. Look at it before you decide.",
    "hidden_value",
)


class Pinned(Protocol):
    """A run, as far as what it hides goes."""

    id: UUID
    root_id: UUID | None
    contract_version_id: int


Case = TypeVar("Case")


def of_runs(runs: Iterable[Pinned]) -> dict[UUID, Hidden]:
    """What each of these runs hides by its own names: branches share values and nothing that one of
    them learns while others are worked on. Those that hide nothing are left out, and cost no query:
    a branch is asked about too, since what its root hid is a token in it as well."""
    found = {run.id: (run, names_of(run)) for run in runs}
    roots = {i: run.root_id for i, (run, _) in found.items() if run.root_id not in (None, i)}
    wanted = {i: names for i, (_, names) in found.items() if names or i in roots}
    return services.opened(wanted, roots)


def of_run(run: Pinned) -> Hidden | None:
    """The same of one."""
    return of_runs([run]).get(run.id)


def names_of(run: Pinned) -> tuple[str, ...]:
    """What the contract of a run hides; of one that nobody can read, what its text names."""
    try:
        return contract(run.contract_version_id).data.redact
    except (LookupError, TypeError, ValueError, AttributeError):
        return stated_to_hide(run.contract_version_id)


@participant
def taken_in(cases: Sequence[Case]) -> list[Case]:
    """Cases (``runs.services.NewRun``) as they are kept: without the values that their contracts
    hide, which are kept sealed in the same transaction."""
    found: list[Any] = [_with_id(case) if names_of(case) else case for case in cases]
    known = services.opened({case.id: names for case in found if (names := names_of(case))})
    kept = [_taken_in(case, known[case.id]) if case.id in known else case for case in found]
    services.keep(known.values())
    return kept


def _with_id(case: Any) -> Any:
    return replace(case, id=case.id or new_id())


def _taken_in(case: Any, hidden: Hidden) -> Any:
    hidden.learn({"customer": case.customer, "request": case.request})
    hidden.learn(dict(case.context))
    hidden.learn(dict(case.input))
    script = items(hidden, case.items)
    return replace(
        case,
        items=script,
        input=hidden.proposed(dict(case.input)),
        context=_context(hidden, case.context),
        customer=_line(hidden, "customer", case.customer, MOST_CUSTOMER),
        request=hidden.message(hidden.proposed({"request": case.request})["request"]),
        case_ref=hidden.short(case.case_ref, "case_ref", MOST_CASE_REF),
    )


def _context(hidden: Hidden, context: Mapping[str, str]) -> dict[str, str]:
    masked: Mapping[str, str] = hidden.proposed(dict(context))
    return {
        name: text
        if len(text) <= MOST_CHARACTERS
        else hidden.short(context[name], name, MOST_CHARACTERS)
        for name, text in masked.items()
    }


def _line(hidden: Hidden, name: str, text: str, most: int) -> str:
    return hidden.short(hidden.proposed({name: text})[name], name, most)


def turn(
    hidden: Hidden | None, result: CallResult, thought: Thought | None
) -> tuple[CallResult, Thought | None]:
    """A live agent's turn without hidden values."""
    if hidden is None:
        return result, thought
    if thought is not None:
        thought = replace(thought, items=items(hidden, thought.items))
    return replace(result, error=hidden.message(result.error)), thought


def misfit(hidden: Hidden | None, schema: Schema, arguments: Any) -> str:
    """What is wrong with arguments by the tool's schema, judged by the real values and said without
    them; also that one isn't known."""
    if hidden is None:
        return schema.misfit(arguments)
    try:
        real = hidden.real(arguments)
    except UnknownTokenError as error:
        return str(error)
    if not schema.misfit(real):
        return ""
    return hidden.message(schema.misfit(real, quoted=hidden.mask(arguments)))


@participant
def edited(
    run: Pinned, schema: Any, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], str, str]:
    """Arguments that a person typed, as they are kept, what they are known by, and what is wrong
    with them by the tool's schema (nothing, where it states none)."""
    hidden, stated = of_run(run), None if schema in (None, {}) else compiled(schema)
    if hidden is not None:
        hidden.learn(arguments)
    wrong = misfit(hidden, stated, arguments) if stated else ""
    if hidden is None or wrong:
        return dict(arguments), arguments_digest(arguments), wrong
    kept = hidden.proposed(arguments)
    services.keep([hidden])
    return kept, arguments_digest(kept, hidden), ""


@participant
def branched(run: Pinned, script: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a branch has still to do, without what its own contract version hides."""
    if (hidden := of_run(run)) is None:
        return list(script)
    kept = items(hidden, script)
    services.keep([hidden])
    return kept


def unseen(hidden: Hidden | None, *documents: Any) -> str:
    """Why a person has to look at a change whose arguments or facts these are; empty if none."""
    tokens = hidden.named_elsewhere(*documents) if hidden else []
    return DOUBT.format(what=tokens[0]) if tokens else ""
