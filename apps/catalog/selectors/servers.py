"""What the catalog knows of tool servers, and what they say otherwise than was published."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, FilteredRelation, Q, QuerySet

from apps.catalog.domain.drift import changes
from apps.catalog.domain.tool_servers import ServerTerms, terms_of
from apps.catalog.models import (
    ContractVersion,
    ServerCheck,
    Tool,
    ToolServer,
    ToolServerVersion,
    ToolVersion,
)
from apps.kernel.errors import NotFoundError


def stated() -> dict[str, ServerTerms | str]:
    """Where the catalog says that each server is: the version in force of its document, else the
    address that its pack states. Servers without either are left out, and so are drafts."""
    current = FilteredRelation("versions", condition=Q(versions__number=F("current_number")))
    rows = ToolServer.objects.annotate(current=current).filter(
        ~Q(url="") | Q(current__isnull=False)
    )
    found = rows.values_list("slug", "url", "current__number", "current__document")
    return {
        slug: url if number is None else terms_of(document, number)
        for slug, url, number, document in found
    }


def get_server(slug: str) -> ToolServer:
    """Raises NotFoundError."""
    found = ToolServer.objects.select_related("domain").filter(slug=slug).first()
    if found is None:
        raise NotFoundError(f"There is no tool server “{slug}”.", server=slug)
    return found


def known() -> QuerySet[ToolServer]:
    """Every server of the catalog but those that are begun and were never published: nobody says
    where these are, and nothing is asked of them."""
    is_begun = Q(draft__isnull=False, current_number=0, url="", domains=None, tools=None)
    return ToolServer.objects.exclude(pk__in=ToolServer.objects.filter(is_begun).values("pk"))


def is_only_begun(slug: str) -> bool:
    """Whether a server's first draft is all that there is of it."""
    there = ToolServer.objects.filter(slug=slug, current_number=0, url="")
    return there.filter(draft__isnull=False).exists()


def document_terms(version: ToolServerVersion) -> ServerTerms:
    """What a version of a server's document says."""
    return terms_of(version.document, version.number)


def documents() -> dict[str, tuple[ServerTerms, bool]]:
    """The published documents, each with whether people wrote it here rather than a pack."""
    rows = ToolServerVersion.objects.filter(number=F("server__current_number"))
    return {
        slug: (terms_of(document, number), author is not None)
        for slug, number, document, author in rows.values_list(
            "server__slug", "number", "document", "author_id"
        )
    }


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server of the catalog, and how many published tools it offers."""

    server: ToolServer
    tools: int


def rows() -> dict[str, ServerRow]:
    """The servers of the catalog by slug."""
    tools = Count("tools", filter=Q(tools__current_number__gt=0))
    return {row.slug: ServerRow(row, row.tool_count) for row in known().annotate(tool_count=tools)}


def tools_of(server: ToolServer) -> list[Tool]:
    """The published tools that a server offers, by domain and name."""
    found = Tool.objects.filter(server=server, current_number__gt=0).select_related("domain")
    return list(found.order_by("domain__slug", "name"))


def checks() -> dict[str, ServerCheck | None]:
    """Every server of the catalog with how it last answered; None if it was never asked."""
    rows = known().select_related("check_row").order_by("slug")
    return {row.slug: getattr(row, "check_row", None) for row in rows}


@dataclass(frozen=True, slots=True)
class Drift:
    """A published tool that its server describes otherwise now. ``changes`` are sentences, ``jobs``
    the current contracts that use it."""

    domain: str
    tool: str
    server: str
    number: int
    since: datetime | None
    changes: list[str]
    jobs: list[str]

    @property
    def sentence(self) -> str:
        """That it changed, without a word of the server's."""
        used = f" (used by {', '.join(self.jobs)})" if self.jobs else ""
        return (
            f"{self.domain}/{self.tool}{used} is described otherwise by its server than"
            f" v{self.number} was published: approvals given for it are void"
        )


def drifts() -> list[Drift]:
    """Tools in use that aren't at their server what was published: the current version, and what
    current contracts pin."""
    rows = (
        ToolVersion.objects.exclude(served_digest="")
        .exclude(tool__live_digest="")
        .exclude(served_digest=F("tool__live_digest"))
        .select_related("tool__domain", "tool__server")
        .order_by("tool__domain__slug", "tool__name", "-number")
    )
    found = list(rows)
    if not found:
        return []
    jobs = _jobs_by_version()
    return [
        Drift(
            domain=v.tool.domain.slug,
            tool=v.tool.name,
            server=v.tool.server.slug,
            number=v.number,
            since=v.tool.live_since,
            changes=changes(v.served, v.tool.live),
            jobs=jobs[v.pk],
        )
        for v in found
        if v.number == v.tool.current_number or jobs[v.pk]
    ]


def _jobs_by_version() -> defaultdict[int, list[str]]:
    rows = ContractVersion.objects.filter(
        number=F("job__current_number"), job__is_active=True
    ).values_list("job__slug", "resolved")
    found: defaultdict[int, list[str]] = defaultdict(list)
    for slug, resolved in rows.order_by("job__slug"):
        for version_id in resolved.get("tools", {}).values():
            found[version_id].append(slug)
    return found


def silent() -> list[tuple[str, str]]:
    """Servers that didn't answer when they were last asked, each with why."""
    rows = ServerCheck.objects.filter(is_answering=False).exclude(error="")
    return list(rows.order_by("server__slug").values_list("server__slug", "error"))
