"""Tickets: each form of a person is given one, so that sent twice it is carried out once.

A double click, a reload of what was sent, a browser that tries again: the second insert of a ticket
waits for the first one's transaction at the primary key. It finds the ticket spent when that one
committed, and spends it itself when that one failed.
"""

from __future__ import annotations

from uuid import UUID

from apps.audit.domain.actors import Actor
from apps.kernel.errors import ConflictError
from apps.kernel.transactions import participant
from apps.runs.journal import execute, fetch


@participant
def spend(ticket: UUID | None, *, use: str, subject: UUID, actor: Actor) -> bool:
    """Whether the form with this ticket is to be carried out now; ``False`` when it was already.
    Without a ticket it always is: for callers that are no forms. Raises ``ConflictError`` for a
    ticket that another form was sent with."""
    if ticket is None:
        return True
    mine = (use, subject, actor)
    if execute(
        "INSERT INTO runs_ticket (id, use, subject, actor) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (id) DO NOTHING",
        [ticket, use, subject, actor.text],
    ):
        return True
    [spent] = fetch("SELECT use, subject, actor FROM runs_ticket WHERE id = %s", [ticket])
    if (*spent[:2], Actor.parse(spent[2])) != mine:
        raise ConflictError(
            "This form was sent for something else already. Reload the page and send it again.",
            code="ticket_spent",
        )
    return False
