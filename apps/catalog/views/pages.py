"""Pages that show what the catalog holds."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.authn import requires
from apps.catalog import adapters, selectors, services
from apps.catalog.domain import pack_terms
from apps.catalog.domain.contract_schema import CRITICALITIES
from apps.catalog.domain.diff import Kind
from apps.catalog.domain.fields import DATA, PROMISE, facts
from apps.catalog.forms import JobFilter
from apps.catalog.selectors import pages, pinned
from apps.catalog.services.drafts import CONTRACTS
from apps.catalog.services.kinds import AGENTS, PROMPTS, TOOLS
from apps.documents import selectors as documents
from apps.kernel import exactjson
from apps.kernel.errors import NotFoundError, UnavailableError
from apps.kernel.textdiff import side_by_side


@require_GET
@requires("catalog.view")
def index(request: HttpRequest) -> HttpResponse:
    form = JobFilter(request.GET)
    chosen = form.chosen
    rows, after = pages.jobs(**chosen)
    context = {
        "rows": rows,
        "after": after,
        "chosen": chosen,
        "sizes": JobFilter.SIZES,
        "choices": pages.filter_choices(),
        "criticalities": CRITICALITIES[::-1],
        "counts": pages.counts(),
        "begun": documents.begun(CONTRACTS),
        "is_filtered": any(chosen[k] for k in ("q", "domain", "owner", "criticality", "draft")),
    }
    return render(request, "catalog/index.html", context)


@require_GET
@requires("catalog.view")
def job(request: HttpRequest, slug: str) -> HttpResponse:
    found = selectors.get_job(slug)
    version = selectors.current_version(found)
    if version is None:  # its first draft is all there is
        return redirect("catalog:draft", slug=slug)
    contract = selectors.contract(version.pk)
    effects = selectors.tool_effects(found.domain_id)
    context = {
        "job": found,
        "version": version,
        "contract": contract,
        "tools": pages.tool_lines(version, contract),
        "waiting": pages.waiting(contract),
        "versions": pages.versions(found, effects, limit=10),
        "pins": selectors.pins(version),
        "draft": selectors.draft_of(found),
        "open_runs": selectors.open_runs(slug),
        "input_rows": pages.arguments(dict(contract.input)),
        "output_rows": pages.arguments(dict(contract.output)),
        "promises": list(facts(contract, PROMISE)),
        "data": list(facts(contract, DATA)),
    }
    return render(request, "catalog/job.html", context)


@require_GET
@requires("catalog.view")
def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    found = selectors.get_job(slug)
    rows = pages.versions(found, selectors.tool_effects(found.domain_id), limit=1000)
    row = next((r for r in rows if r.version.number == number), None)
    if row is None:
        raise NotFoundError(f"“{slug}” has no v{number}.")
    older = next((r.version for r in rows if r.version.number == number - 1), None)
    context = {
        "job": found,
        "version": row.version,
        "changes": row.changes,
        "rows": side_by_side(older.text, row.version.text) if older else [],
        "older": older,
        "pins": selectors.pins(row.version),
        "draft": selectors.draft_of(found),
        "weaker": Kind.WEAKER,
    }
    return render(request, "catalog/version.html", context)


@require_POST
@requires("catalog.edit")
def roll_back(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    found = selectors.get_job(slug)
    note = request.POST.get("note", "")
    services.roll_back(found, number=number, actor=request.user, note=note)
    return redirect("catalog:draft", slug=slug)


@require_GET
@requires("catalog.view")
def tools(request: HttpRequest) -> HttpResponse:
    use = pages.tool_use()
    domain = request.GET.get("domain", "")
    rows = [(v, use[(v.tool.domain.slug, v.tool.name)]) for v in pages.tools(domain)]
    context = {
        "rows": rows,
        "counts": pages.counts(),
        "domain": domain,
        "choices": pages.filter_choices(),
        "begun": documents.begun(TOOLS),
    }
    return render(request, "catalog/tools.html", context)


@require_GET
@requires("catalog.view")
def tool(request: HttpRequest, domain: str, name: str) -> HttpResponse:
    found = selectors.get_tool(domain, name)
    versions = list(found.versions.order_by("-number"))
    current = next((v for v in versions if v.number == found.current_number), None)
    if current is None:  # its first draft is all there is
        return redirect("catalog:tool_draft", domain=domain, name=name)
    schema = current.document.get("input_schema")
    try:
        address, unknown = adapters.look_up(found.server.slug), ""
    except UnavailableError as error:
        address, unknown = None, str(error)
    context = {
        "tool": found,
        "version": current,
        "versions": versions,
        "document": current.document,
        "arguments": pages.arguments(schema),
        "schema": exactjson.dumps(schema, indent=True),
        "address": address,
        "unknown_address": unknown,
        "drift": pinned.drift(current.pk),
        "stated": {path.replace(".", "_"): words for path, words in pack_terms.STATED.items()},
        "draft": documents.draft_of(TOOLS, found),
        "jobs": selectors.jobs_with_tool(found),
    }
    return render(request, "catalog/tool.html", context)


@require_GET
@requires("catalog.view")
def agents(request: HttpRequest) -> HttpResponse:
    use = pages.agent_use()
    rows = [(v, use[v.agent.slug]) for v in pages.agents()]
    model = settings.MODEL if settings.MODEL_URL else ""
    context = {
        "rows": rows,
        "counts": pages.counts(),
        "model": model,
        "begun": documents.begun(AGENTS),
    }
    return render(request, "catalog/agents.html", context)


@require_GET
@requires("catalog.view")
def prompts(request: HttpRequest) -> HttpResponse:
    context = {
        "rows": pages.prompts(),
        "counts": pages.counts(),
        "begun": documents.begun(PROMPTS),
    }
    return render(request, "catalog/prompts.html", context)


@require_GET
@requires("catalog.view")
def prompt(request: HttpRequest, slug: str) -> HttpResponse:
    found = selectors.get_prompt(slug)
    versions = list(found.versions.order_by("-number"))
    if not versions:  # its first draft is all there is
        return redirect("catalog:prompt_draft", slug=slug)
    wanted = request.GET.get("version", "")
    shown = next((v for v in versions if str(v.number) == wanted), versions[0])
    older = next((v for v in versions if v.number == shown.number - 1), None)
    context = {
        "prompt": found,
        "versions": versions,
        "shown": shown,
        "rows": side_by_side(older.text, shown.text) if older else [],
        "older": older,
        "draft": documents.draft_of(PROMPTS, found),
    }
    return render(request, "catalog/prompt.html", context)
