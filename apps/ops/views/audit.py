"""The audit log: read, verify, take away."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST, require_safe

from apps.accounts.authn import requires
from apps.audit import selectors
from apps.audit.selectors.guarding import weaknesses
from apps.audit.services import bundling, reading, verifying
from apps.audit.services.standing import ChainStanding, standing
from apps.kernel import exactjson
from apps.kernel.errors import InvalidInputError, TowerError
from apps.kernel.moments import moment
from apps.kernel.streaming import download

WORD, LONGEST_NUMBER = 128, 18
FIELDS = ("kind", "actor", "subject_type", "subject_id", "run", "request", "from", "to")


@require_GET
@requires("audit.view")
def index(request: HttpRequest) -> HttpResponse:
    """The log, newest first."""
    wanted = _wanted(request)
    fields = _fields(request)
    # What is not understood is not left out silently: an auditor would take all for some.
    page = selectors.page(wanted, before=number(request, "before"))
    context = {"page": page if not fields["wrong"] else selectors.LogPage([], None), **fields}
    context |= {"wanted": wanted, "chain": selectors.chain_head(), "about": selectors.about()}
    context |= _chain()
    return render(request, "ops/audit.html", context)


@require_POST
@requires("audit.view")
def verify(request: HttpRequest) -> HttpResponse:
    """Have the whole chain walked in the background, and say how far that is."""
    verifying.ask_for_all(request.user.actor)
    return _verified(request)


@require_safe
@requires("audit.view")
def verified(request: HttpRequest) -> HttpResponse:
    """How far the chain is verified: asked again by the page while a walk is under way."""
    return _verified(request)


def _verified(request: HttpRequest) -> HttpResponse:
    return render(request, "ops/_verified.html", {"chain": selectors.chain_head(), **_chain()})


def _chain() -> dict[str, Any]:
    trouble = ""
    try:
        found: ChainStanding | None = standing()
    except TowerError as error:  # the file of checkpoints, which is told with its name
        found, trouble = None, str(error)
    return {"standing": found, "standing_trouble": trouble, "weaknesses": weaknesses()}


@require_GET
@requires("audit.view")
def export(request: HttpRequest) -> HttpResponseBase:
    """The log as NDJSON, with the same filters: one event a line, position and hash included, and
    an end that says whether there are more."""
    asked = {name: value[:WORD] for name, value in request.GET.items() if name in FIELDS}
    reading.taken(request.user.actor, "audit_log", "events", what=asked)
    lines = (exactjson.dumps(row) + "\n" for row in selectors.export(_wanted(request)))
    name = f"audit-{timezone.now():%Y%m%dT%H%M%SZ}.ndjson"
    return download(request, lines, content_type="application/x-ndjson", filename=name)


@require_POST
@requires("audit.view")
def bundle(request: HttpRequest) -> HttpResponseBase:
    """The log with all that proves it, from a place on; verified with ``verifier`` and nothing of
    the tower."""
    after = _place(request.POST.get("after", ""))
    by = request.user.actor
    reading.taken(by, "audit_log", "bundle", what={"after": after})
    name = f"audit-{timezone.now():%Y%m%dT%H%M%SZ}-after-{after}.bundle"
    lines = (line.decode() for line in bundling.Bundle(after, by).lines())
    return download(request, lines, content_type="application/x-ndjson", filename=name)


@require_GET
@requires("audit.view")
def verifier(request: HttpRequest) -> HttpResponse:
    """The program that verifies a bundle: one file."""
    text = (settings.BASE_DIR / "deploy" / "verify.py").read_bytes()
    response = HttpResponse(text, content_type="text/x-python; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="verify.py"'
    return response


def _place(text: str) -> int:
    """A place in the log. Raises ``InvalidInputError`` for anything else."""
    text = text.strip().replace(",", "") or "0"
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise InvalidInputError("“After” is the number of an event, or 0 for the whole log.")
    return int(text)


def _wanted(request: HttpRequest) -> selectors.LogFilter:
    asked = {
        name: request.GET.get(name, "").strip()[:WORD]
        for name in ("kind", "actor", "subject_type", "subject_id", "request")
    }
    return selectors.LogFilter(
        **asked,
        run_id=_uuid(request.GET.get("run", "")),
        since=moment(request.GET.get("from", "")),
        until=moment(request.GET.get("to", "")),
    )


def _fields(request: HttpRequest) -> dict[str, Any]:
    readers = {"run": _uuid, "from": moment, "to": moment}
    wrong = [n for n, read in readers.items() if request.GET.get(n) and not read(request.GET[n])]
    is_filtered = any(request.GET.get(n) for n in FIELDS)
    is_first_page = number(request, "before") is None
    return {"is_filtered": is_filtered, "is_first_page": is_first_page, "wrong": wrong}


def number(request: HttpRequest, name: str) -> int | None:
    """A whole number of the address; ``None`` for anything else."""
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
