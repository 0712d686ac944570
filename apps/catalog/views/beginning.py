"""Begin a job, a policy set, a tool server, a model, an agent or a prompt from scratch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.accounts.authn import requires
from apps.catalog import selectors, services
from apps.catalog.forms import AgentForm, BeginForm, ModelForm, PromptForm, ToolServerForm
from apps.kernel.errors import ConflictError, InvalidInputError


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def job(request: HttpRequest) -> HttpResponse:
    return _begin(request, "job", services.begin_job, "catalog:draft")


@require_http_methods(["GET", "POST"])
@requires("policy.edit")
def policy(request: HttpRequest) -> HttpResponse:
    return _begin(request, "policy set", services.begin_policy, "policy:draft")


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def agent(request: HttpRequest) -> HttpResponse:
    return _begin(request, "agent", _begin_agent, "catalog:agent_draft", AgentForm)


def _begin_agent(*, prompt: Any, **told: Any) -> Any:
    return services.begin_agent(prompt=prompt.slug if prompt else "", **told)


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def model(request: HttpRequest) -> HttpResponse:
    return _begin(request, "model", services.begin_model, "catalog:model_draft", ModelForm)


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def server(request: HttpRequest) -> HttpResponse:
    """Its first draft, also where a pack or an operator's entry names it already."""
    return _begin(
        request, "tool server", services.begin_server, "catalog:server_draft", ToolServerForm
    )


@require_http_methods(["GET", "POST"])
@requires("catalog.edit")
def prompt(request: HttpRequest) -> HttpResponse:
    return _begin(request, "prompt", services.begin_prompt, "catalog:prompt_draft", PromptForm)


def _begin(
    request: HttpRequest,
    what: str,
    begin: Callable[..., Any],
    draft_url: str,
    form_class: type[Form] = BeginForm,
) -> HttpResponse:
    initial = {key: request.GET.get(key, "") for key in ("domain", "slug", "name")}
    form = form_class(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        try:
            begin(author=request.user, **form.cleaned_data)
        except ConflictError as error:
            form.add_error("slug", str(error))
        except InvalidInputError as error:
            form.add_error(None, str(error))
        else:
            return redirect(draft_url, slug=form.cleaned_data["slug"])
    domains = selectors.domain_slugs()
    has_domains = bool(domains) or "domain_name" in form.fields
    context = {"form": form, "what": what, "has_domains": has_domains, "domains": domains}
    return render(request, "catalog/begin.html", context, status=422 if form.errors else 200)
