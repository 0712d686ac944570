"""The editors and versions of tools, tool servers, models, agents and prompts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET

from apps.accounts.authn import requires
from apps.catalog import adapters, selectors
from apps.catalog.models import Tool
from apps.catalog.selectors import pages, pinned
from apps.catalog.selectors.servers import get_server
from apps.catalog.services.kinds import AGENTS, MODELS, PROMPTS, SERVERS, TOOLS
from apps.documents import selectors as documents
from apps.documents.domain.changes import Kind
from apps.documents.views.editor import Editor
from apps.documents.views.routes import Get, routes
from apps.kernel.errors import NotFoundError
from apps.kernel.textdiff import side_by_side

VIEW, EDIT = "catalog.view", "catalog.edit"
PAGE = "catalog/entry_draft.html"


def _of_tool(tool: Tool) -> list[str]:
    return [tool.domain.slug, tool.name]


TOOL = Editor(TOOLS, "catalog:tool_draft", "catalog:tool", "catalog:tools", PAGE, _of_tool)
AGENT = Editor(AGENTS, "catalog:agent_draft", "catalog:agent", "catalog:agents", PAGE)
MODEL = Editor(MODELS, "catalog:model_draft", "catalog:model", "catalog:models", PAGE)
SERVER = Editor(SERVERS, "catalog:server_draft", "catalog:server", "catalog:servers", PAGE)
PROMPT = Editor(PROMPTS, "catalog:prompt_draft", "catalog:prompt", "catalog:prompts", PAGE)


def _version(stem: str, editor: Editor, get: Get) -> Get:
    """The page of one version: what it changed, what was said, its text, and the way back to it."""

    @require_GET
    @requires(VIEW)
    def version(request: HttpRequest, number: int, **which: Any) -> HttpResponse:
        subject = get(**which)
        shown = editor.kind.version(subject, number)
        if shown is None:
            raise NotFoundError(f"“{subject.slug}” has no v{number}.")
        older = editor.kind.version(subject, number - 1)
        changes = editor.kind.changes(subject, older, shown.text) if older else ()
        context = {
            "subject": subject,
            "what": editor.kind.name,
            "is_prose": editor.kind.format == "text",
            "version": shown,
            "older": older,
            "changes": changes,
            "rows": side_by_side(older.text, shown.text) if older else [],
            "draft": documents.draft_of(editor.kind, subject),
            "weaker": Kind.WEAKER,
            "urls": _urls(stem, editor, subject, number),
        }
        return render(request, "catalog/entry_version.html", context)

    return version


def _urls(stem: str, editor: Editor, subject: Any, number: int) -> dict[str, str]:
    args = editor.args(subject)
    return {
        "index": reverse(editor.index_url),
        "subject": reverse(editor.done_url, args=args),
        "draft": reverse(editor.draft_url, args=args),
        "roll_back": reverse(f"catalog:{stem}roll_back", args=[*args, number]),
        "download": reverse(f"catalog:{stem}download", args=[*args, number]),
    }


@require_GET
@requires(VIEW)
def agent(request: HttpRequest, slug: str) -> HttpResponse:
    """An agent: which models it asks with which prompt, who uses it, and its versions."""
    found = selectors.get_agent(slug)
    version = AGENTS.current(found)
    if version is None:  # its first draft is all there is
        return redirect("catalog:agent_draft", slug=slug)
    context = {
        "agent": found,
        "version": version,
        "document": version.document,
        "versions": list(found.versions.select_related("author", "approver")[:50]),
        "jobs": selectors.jobs_with_agents([slug]),
        "draft": documents.draft_of(AGENTS, found),
        "known": pinned.models_of(version.document),
    }
    return render(request, "catalog/agent.html", context)


@require_GET
@requires(VIEW)
def models(request: HttpRequest) -> HttpResponse:
    """The models of the catalog, each with whether it can be asked, and the installation's own."""
    use = pages.model_use()
    rows = [(standing, use[standing.terms.slug]) for standing in adapters.model_standings()]
    context = {
        "rows": rows,
        "counts": pages.counts(),
        "begun": documents.begun(MODELS),
        "default": settings.MODEL if settings.MODEL_URL else "",
    }
    return render(request, "catalog/models.html", context)


@require_GET
@requires(VIEW)
def model(request: HttpRequest, slug: str) -> HttpResponse:
    """A model: where it is asked, whether its key is there, what it costs, and who uses it."""
    found = selectors.get_model(slug)
    version = MODELS.current(found)
    if version is None:  # its first draft is all there is
        return redirect("catalog:model_draft", slug=slug)
    terms = pinned.model_terms(version.pk)
    agents = selectors.agents_with_model(slug)
    context = {
        "model": found,
        "version": version,
        "terms": terms,
        "trouble": adapters.trouble_of(terms),
        "versions": list(found.versions.select_related("author", "approver")[:50]),
        "agents": agents,
        "jobs": selectors.jobs_with_agents([row.agent.slug for row in agents]),
        "draft": documents.draft_of(MODELS, found),
    }
    return render(request, "catalog/model.html", context)


def _all(prefix: str, stem: str, editor: Editor, get: Get) -> list[URLPattern]:
    version = _version(stem, editor, get)
    return [
        path(f"{prefix}versions/<int:number>/", version, name=f"{stem}version"),
        *routes(prefix, stem, editor, get, view=VIEW, edit=EDIT),
    ]


def _tool(domain: str, name: str) -> Tool:
    return selectors.get_tool(domain, name)


urlpatterns = [
    *_all("tools/<slug:domain>/<str:name>/", "tool_", TOOL, _tool),
    *_all("agents/<slug:slug>/", "agent_", AGENT, selectors.get_agent),
    *_all("models/<slug:slug>/", "model_", MODEL, selectors.get_model),
    *_all("servers/<slug:slug>/", "server_", SERVER, get_server),
    *_all("prompts/<slug:slug>/", "prompt_", PROMPT, selectors.get_prompt),
]
