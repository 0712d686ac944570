"""Write down that somebody read evidence, or took it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.audit.domain.actors import Actor
from apps.audit.services.recording import record
from apps.kernel.statements import fetch
from apps.kernel.transactions import command

SAME_S = 600  # a page that is read again, or polled, within this is one reading

_KNOWN = """
    SELECT 1 FROM audit_event WHERE subject_type = %s AND subject_id = %s AND kind = 'evidence.read'
    AND actor = %s AND at > clock_timestamp() - make_interval(secs => %s) LIMIT 1
"""


@command
def read(by: Actor, subject_type: str, subject_id: object, *, run_id: UUID | None = None) -> None:
    """Somebody was shown the evidence on a thing: an event, once in ten minutes. Two pages that
    open at the same moment may make two, which tell the same."""
    if not fetch(_KNOWN, [subject_type, str(subject_id), by.text, SAME_S]):
        _record("evidence.read", by, subject_type, subject_id, run_id, {})


@command
def taken(
    by: Actor,
    subject_type: str,
    subject_id: object,
    *,
    run_id: UUID | None = None,
    what: Mapping[str, Any] | None = None,
) -> None:
    """Somebody took a file of it away; ``what`` says which part."""
    _record("evidence.exported", by, subject_type, subject_id, run_id, what or {})


def _record(
    kind: str,
    by: Actor,
    subject_type: str,
    subject_id: object,
    run_id: UUID | None,
    payload: Mapping[str, Any],
) -> None:
    record(
        kind=kind,
        actor=by,
        subject_type=subject_type,
        subject_id=subject_id,
        run_id=run_id,
        payload=payload,
    )
