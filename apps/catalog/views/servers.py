"""Tool servers of the catalog: where each is by whose word, and what it offers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.catalog import adapters, selectors
from apps.catalog.models import ToolServer
from apps.catalog.selectors import pages
from apps.catalog.selectors import servers as found
from apps.catalog.services.kinds import SERVERS
from apps.documents import selectors as documents


@require_GET
@requires("catalog.view")
def servers(request: HttpRequest) -> HttpResponse:
    """Every tool server that is known, whoever says where it is."""
    rows = found.rows()
    context = {
        "rows": [(standing, rows.get(standing.slug)) for standing in adapters.standings()],
        "counts": pages.counts(),
        "begun": documents.begun(SERVERS),
    }
    return render(request, "catalog/servers.html", context)


@require_GET
@requires("catalog.view")
def server(request: HttpRequest, slug: str) -> HttpResponse:
    """A tool server: where it is and who says so, whether its key is there, what it offers, and the
    versions of its document."""
    subject = found.get_server(slug)
    version, draft = SERVERS.current(subject), documents.draft_of(SERVERS, subject)
    if version is None and found.is_only_begun(slug) and not adapters.is_configured(slug):
        return redirect("catalog:server_draft", slug=slug)  # its first draft is all there is
    tools = found.tools_of(subject)
    context = {
        "server": subject,
        "version": version,
        "versions": list(subject.versions.select_related("author", "approver")[:50]),
        "draft": draft,
        "standing": adapters.standing_of(slug),
        "tools": tools,
        "jobs": selectors.jobs_with_tools(tools),
        "domain": _domain(subject),
        **_document(version),
    }
    return render(request, "catalog/server.html", context)


def _document(version: Any) -> dict[str, Any]:
    if version is None:
        return {}
    terms = found.document_terms(version)
    return {"terms": terms, "trouble": adapters.trouble_of_server(terms)}


def _domain(server: ToolServer) -> str:
    """For which its tools are most likely read."""
    offered = server.domains.order_by("slug").first()
    return str((server.domain or offered or server).slug)
