"""Several alike requests, decided in one table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires, told_by_itself
from apps.accounts.models import User
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, TowerError
from apps.oversight import forms
from apps.oversight.domain import reading, rules, showing, together
from apps.oversight.models import Approval, Table
from apps.oversight.selectors import together as tables
from apps.oversight.services import together as services
from apps.oversight.services.reading import read_of
from apps.oversight.views.sheet import drawn


@require_POST
@requires("approvals.decide")
def begin(request: HttpRequest, approval_id: UUID) -> HttpResponse:
    """Give this person a table of the requests like this one."""
    try:
        table = services.give_table(approval_id=approval_id, user=cast(User, request.user))
    except ConflictError as refused:
        return drawn(request, approval_id, error=refused, status=refused.status)
    return redirect("approvals:table", table.pk)


@require_GET
@requires("approvals.decide")
def table(request: HttpRequest, table_id: UUID) -> HttpResponse:
    """The table: to be read and answered, or what became of each row."""
    return _page(request, _mine(request, table_id))


def _mine(request: HttpRequest, table_id: UUID) -> Table:
    found = tables.table_of(table_id, cast(User, request.user))
    if found is None:
        raise NotFoundError("There is no such table of yours.")
    return found


def _page(
    request: HttpRequest,
    found: Table,
    *,
    status: int = 200,
    chosen: Collection[str] | None = None,
    **more: Any,
) -> HttpResponse:
    """``chosen``: what was ticked where the page comes back; all that can be, to begin with."""
    lines = tables.lines_of(found)
    here = [line for line in lines if not line.row.singly]
    first = lines[0].approval
    least = together.least(line.approval.risk for line in here if line.is_open)
    rows = [_row(line, chosen) for line in here]
    ticked = [row["approval"] for row in rows if row["is_chosen"]]
    context = {
        "table": found,
        "first": first,
        "rows": rows,
        "singly": [line for line in lines if line.row.singly],
        "chosen_count": len(ticked),
        "chosen_cents": sum(approval.amount_cents or 0 for approval in ticked),
        "ready_at": found.opened_at + least,
        "least_s": round(least.total_seconds()),
        **_undoing([line.approval for line in here if _is_given(line)]),
        "drawn_at": timezone.now(),
        **more,
    }
    return render(request, "oversight/table.html", context, status=status)


def _undoing(granted: Collection[Approval]) -> dict[str, Any]:
    return {
        "undo_count": len(granted),
        "undo_left_s": max((row.undo_left_s for row in granted), default=0),
        "undo_until": max((row.not_before for row in granted if row.not_before), default=None),
    }


def _row(line: tables.TableLine, chosen: Collection[str] | None) -> dict[str, Any]:
    approval = line.approval
    return {
        "line": line,
        "approval": approval,
        "listing": showing.listing(approval.arguments),
        "preview": showing.preview(approval.preview),
        "is_seen": _is_seen(line),
        "is_chosen": line.is_open and (chosen is None or str(approval.pk) in chosen),
    }


def _is_seen(line: tables.TableLine) -> bool:
    return line.seen is not None and read_of(line.seen).seen >= reading.PARTS.keys()


def _is_given(line: tables.TableLine) -> bool:
    return line.row.result == Approval.State.GRANTED == line.approval.state


@require_POST
@requires("approvals.decide")
@told_by_itself
def seen(request: HttpRequest, table_id: UUID) -> HttpResponse:
    """Rows were on this person's screen. Without script it is said with a button."""
    form = forms.RowsForm(request.POST)
    if not form.is_valid():
        raise InvalidInputError("That names no rows of a table.", field="rows")
    found, user = _mine(request, table_id), cast(User, request.user)
    noted = services.see_rows(table=found, user=user, approvals=form.cleaned_data["rows"])
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"seen": [str(pk) for pk in noted]})
    return redirect("approvals:table", table_id)


@require_POST
@requires("approvals.decide")
def answer(request: HttpRequest, table_id: UUID) -> HttpResponse:
    """One answer for each chosen row. Whatever goes wrong, choice and reason come back."""
    found, form = _mine(request, table_id), forms.AnswerTableForm(request.POST)
    typed = request.POST.get("reason", "")[: rules.REASON_MOST]
    try:
        if not form.is_valid():
            raise InvalidInputError("Choose rows, then approve or reject them.", field="rows")
        given = form.cleaned_data
        services.answer_table(
            table_id=table_id,
            user=cast(User, request.user),
            approve=given["answer"] == "approve",
            reason=given["reason"],
            chosen=given["rows"],
        )
    except NotFoundError:
        raise
    except TowerError as refused:
        chosen = set(request.POST.getlist("rows"))
        more = {"error": refused, "typed": typed, "chosen": chosen}
        return _page(request, found, status=refused.status, **more)
    return redirect("approvals:table", table_id)


@require_POST
@requires("approvals.decide")
def undo(request: HttpRequest, table_id: UUID) -> HttpResponse:
    """Take back what of the table can be."""
    found = _mine(request, table_id)
    try:
        services.undo_table(table_id=table_id, user=cast(User, request.user))
    except NotFoundError:
        raise
    except TowerError as refused:
        return _page(request, found, status=refused.status, error=refused)
    return redirect("approvals:table", table_id)
