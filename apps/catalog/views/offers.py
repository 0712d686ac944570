"""New tools, read from their server: see what it lists, pick, and say of each what a call does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.accounts.authn import requires
from apps.catalog import adapters, selectors, services
from apps.catalog.domain import offers
from apps.catalog.domain.entrydiff import IDEMPOTENCY
from apps.catalog.domain.offers import Pick
from apps.catalog.domain.served import ServedTools
from apps.catalog.forms import ServerForm
from apps.catalog.selectors.servers import is_only_begun
from apps.kernel.errors import ConflictError, TowerError, UnavailableError
from apps.policy.domain.effects import EFFECTS

ASK_SECONDS = 10.0
PAGE = "catalog/new_tools.html"
SHOWN = 100  # tools at a time: a form has no more fields than are read of one


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def tools(request: HttpRequest) -> HttpResponse:
    told = {key: request.GET.get(key, "") for key in ("server", "domain")}
    form = ServerForm(request.POST if request.method == "POST" else None, initial=told)
    if not form.is_valid():
        return _page(request, form)
    try:
        listing = _ask(form)
    except TowerError as error:
        return _page(request, form, trouble=str(error))
    if request.POST.get("step") != "begin":
        return _page(request, form, listing=listing, rows=_rows(form, listing, {}))
    return _begin(request, form, listing)


def _ask(form: ServerForm) -> ServedTools:
    """What the server lists now. Raises TowerError that says what stands in the way."""
    slug, domain = form.cleaned_data["server"], selectors.domain_of(form.cleaned_data["domain"])
    if is_only_begun(slug) and not adapters.is_configured(slug):
        raise ConflictError(
            f"“{slug}” is begun and not published: nothing is sent to its address before a second"
            " admin has published it.",
            code="not_published",
        )
    if domain is not None:
        services.refuse_other_server(domain, slug)
    return adapters.ask(adapters.resolve(slug), timeout_s=ASK_SECONDS)


def _rows(
    form: ServerForm, listing: ServedTools, choices: Mapping[str, Pick]
) -> list[offers.OfferedTool]:
    return offers.rows(listing, selectors.tool_names(form.cleaned_data["domain"]), choices)


def _begin(request: HttpRequest, form: ServerForm, listing: ServedTools) -> HttpResponse:
    rows = _rows(form, listing, _choices(request.POST, listing))
    picked = [row for row in rows if row.choice.is_picked]
    if not picked or any(row.errors for row in picked):
        count = sum(bool(row.errors) for row in picked)
        trouble = f"Fix {count} of the tools first." if count else "Pick at least one tool."
        return _page(request, form, listing=listing, rows=rows, trouble=trouble)
    told = form.cleaned_data
    try:
        services.begin_tools(
            server=told["server"],
            domain=told["domain"],
            domain_name=told["domain_name"],
            offers=[services.Offer(row.entry(), row.tool.document()) for row in picked],
            note=told["note"],
            author=request.user,
        )
    except ConflictError as error:
        return _page(request, form, listing=listing, rows=rows, trouble=str(error))
    return redirect(f"{reverse('catalog:tools')}?domain={told['domain']}")


def _choices(posted: Mapping[str, str], listing: ServedTools) -> dict[str, Pick]:
    def said(key: str, name: str) -> str:
        return posted.get(f"{key}:{name}", "")

    return {
        name: Pick(
            is_picked=bool(said("pick", name)),
            effect=said("effect", name),
            idempotency=said("idempotency", name) or "none",
            preview=said("preview", name),
            lookup=said("lookup", name),
            digest=said("digest", name),
        )
        for name in listing.tools
    }


def _page(
    request: HttpRequest,
    form: ServerForm,
    *,
    listing: ServedTools | None = None,
    rows: list[offers.OfferedTool] | None = None,
    trouble: str = "",
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "listing": listing,
        "trouble": trouble,
        "servers": sorted({*adapters.configured(), *selectors.server_slugs()}),
        "domains": selectors.domain_slugs(),
        "effects": EFFECTS,
        "idempotency": IDEMPOTENCY,
    }
    context |= _part(rows, form.cleaned_data.get("part") or 0) if rows else {"rows": rows}
    if listing is not None:
        context["previews"] = offers.helpers(listing, "preview")
        context["lookups"] = offers.helpers(listing, "lookup")
        context["address"] = _address(form.cleaned_data["server"])
    return render(request, PAGE, context, status=422 if form.errors or trouble else 200)


def _part(rows: list[offers.OfferedTool], wanted: int) -> dict[str, Any]:
    """The rows that are shown, and the parts that there are: the first and last of each."""
    firsts = range(0, len(rows), SHOWN)
    part = min(wanted, len(firsts) - 1)
    parts = [(n, first + 1, min(first + SHOWN, len(rows))) for n, first in enumerate(firsts)]
    shown = rows[firsts[part] : firsts[part] + SHOWN]
    return {"rows": shown, "total": len(rows), "part": part, "parts": parts}


def _address(slug: str) -> str:
    try:
        return adapters.look_up(slug).shown
    except UnavailableError:
        return ""
