"""What servers say of their tools, kept and compared: asked every few seconds
(``TOWER_SERVER_CHECK_SECONDS``), and when a pack is applied.

A tool that its server describes in another way than when it was published isn't what people
approved: questions about it are taken back and asked anew, and everybody can see what changed until
it is published again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from apps.audit.domain.actors import WATCH
from apps.audit.services import Fact, record_many
from apps.catalog import adapters
from apps.catalog.domain.checks import findings
from apps.catalog.domain.drift import GONE, changes, served_digest
from apps.catalog.domain.served import ServedTools
from apps.catalog.models import ServerCheck, Tool, ToolServer, ToolVersion
from apps.catalog.selectors.servers import known
from apps.kernel.errors import UnavailableError
from apps.kernel.transactions import command, participant
from apps.oversight import services as approvals

logger = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
MOST_LISTED = 50

Answer = ServedTools | UnavailableError


def watch_servers(*, every: timedelta | None = None) -> int:
    """Ask each server what it offers, at most once in ``every`` (the setting's time); returns how
    many were asked. The network is waited for outside any transaction, and one server's trouble
    stays its own."""
    pace = timedelta(seconds=settings.SERVER_CHECK_SECONDS) if every is None else every
    due = [slug for slug in _take_due(pace) if not adapters.module_of(slug)]
    answers = asyncio.run(_ask_all(due)) if due else []
    for slug, answer in answers:
        try:
            _note(slug, answer)
        except (OperationalError, InterfaceError):  # the database is away: that is everybody's
            raise
        except Exception as error:
            logger.exception("what the tool server %s says can't be kept", slug)
            _note(slug, UnavailableError(f"What “{slug}” says can't be kept: {_named(error)}."))
    return len(answers)


@command
def _take_due(every: timedelta) -> list[str]:
    servers = known().filter(check_row=None).values_list("pk", flat=True)
    ServerCheck.objects.bulk_create([ServerCheck(server_id=pk) for pk in servers])
    due = ServerCheck.objects.filter(Q(checked_at=None) | Q(checked_at__lt=Now() - every))
    # Of two sweeps each asks the servers that the other doesn't: what is locked is being taken.
    rows = list(due.order_by("pk").select_for_update(skip_locked=True).select_related("server"))
    ServerCheck.objects.filter(pk__in=[row.pk for row in rows]).update(checked_at=Now())
    return [row.server.slug for row in rows]


async def _ask_all(slugs: Sequence[str]) -> list[tuple[str, Answer]]:
    answers = await asyncio.gather(*(_ask(slug) for slug in slugs))
    return list(zip(slugs, answers, strict=True))


async def _ask(slug: str) -> Answer:
    try:
        return await adapters.ask_now(adapters.resolve(slug), timeout_s=LOOK_SECONDS)
    except UnavailableError as error:
        return error
    except Exception as error:  # of whatever makes it: the other servers are asked all the same
        logger.exception("the tool server %s can't be asked", slug)
        return UnavailableError(f"“{slug}” can't be asked: {_named(error)}.")


def _named(error: Exception) -> str:
    return type(error).__name__


@command
def _note(slug: str, answer: Answer) -> None:
    server = ToolServer.objects.filter(slug=slug).first()
    if server is None:
        return
    row = ServerCheck.objects.filter(server=server)
    if isinstance(answer, UnavailableError):
        row.update(is_answering=False, error=str(answer)[:600], checked_at=Now())
        return
    tools = list(Tool.objects.filter(server=server).select_related("domain").order_by("pk"))
    current = _current(tools)
    said = findings([v.document for v in current.values()], answer)
    names = {tool.name for tool in tools}
    helpers = {v.document.get(key) for v in current.values() for key in ("preview", "lookup")}
    unused = sorted(set(answer.tools) - names - helpers)
    row.update(
        is_answering=True,
        error="",
        checked_at=Now(),
        answered_at=Now(),
        latency_ms=answer.latency_ms,
        protocol=answer.protocol[:40],
        software=answer.server[:200],
        unused=unused[:MOST_LISTED],
        findings=[f"{f.message} {f.fix}".strip()[:600] for f in said][:MOST_LISTED],
    )
    for tool in tools:
        found = answer.tools.get(tool.name)
        _compare(tool, current.get(tool.pk), found.document() if found else dict(GONE))


def _current(tools: Sequence[Tool]) -> dict[int, ToolVersion]:
    wanted = Q(pk=None)
    for tool in tools:
        wanted |= Q(tool_id=tool.pk, number=tool.current_number)
    return {v.tool_id: v for v in ToolVersion.objects.filter(wanted).order_by("tool_id")}


@participant
def _compare(tool: Tool, version: ToolVersion | None, live: Mapping[str, Any]) -> None:
    if version is None:
        return
    if not live.get("gone"):
        keep_baseline(version, live)
    if keep_live(tool, live):
        said = changes(version.served, live) if version.served else []
        kind = "tool.changed_at_server" if said else "tool.as_published"
        subject = f"{tool.domain.slug}/{tool.name}"
        record_many([Fact(kind, WATCH, "tool", subject, None, {"changes": said})])


@participant
def keep_baseline(version: ToolVersion, served: Mapping[str, Any] | None) -> None:
    """Let a version that was published while its server couldn't be asked be compared from now
    on."""
    if served is None or served.get("problem") or version.served_digest:
        return
    version.served, version.served_digest = dict(served), served_digest(served)
    # Guarded: of two who compare at once the first says what it was published against.
    ToolVersion.objects.filter(pk=version.pk, served_digest="").update(
        served=version.served, served_digest=version.served_digest
    )


@participant
def keep_live(tool: Tool, live: Mapping[str, Any] | None) -> bool:
    """Keep what the server says of a tool now; whether that is something else than before.
    Questions and unused answers about the tool as it was are taken back then."""
    if live is None or tool.live_digest == (mark := served_digest(live)):
        return False
    before = tool.live_digest
    # Guarded by what was read: of two sweeps that see the same change one takes approvals back.
    changed = Tool.objects.filter(pk=tool.pk, live_digest=before).update(
        live=dict(live), live_digest=mark, live_since=Now()
    )
    if not changed or not before:
        return False
    approvals.void_for_tool(tool.domain.slug, tool.name)
    return True
