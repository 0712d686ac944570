"""What the catalog knows of tool servers, and what they say otherwise than was published."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from apps.catalog.domain.drift import changes
from apps.catalog.models import ContractVersion, ServerCheck, ToolServer, ToolVersion


def urls() -> dict[str, str]:
    """The address that each server's pack states; servers without one are left out."""
    return dict(ToolServer.objects.exclude(url="").values_list("slug", "url"))


def checks() -> dict[str, ServerCheck | None]:
    """Every server of the catalog with how it last answered; None if it was never asked."""
    rows = ToolServer.objects.select_related("check_row").order_by("slug")
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
