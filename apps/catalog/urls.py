from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.catalog.views import beginning, drafts, entries, offers, pages, servers

app_name = "catalog"
_DRAFT = "jobs/<slug:slug>/draft/"
# Pages of floors below lead here by these names: they and what they take stay.
OFFERED = frozenset({"catalog:new_policy"})
urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.index, name="index"),
    path("new/job/", beginning.job, name="new_job"),
    path("new/tools/", offers.tools, name="new_tools"),
    path("new/agent/", beginning.agent, name="new_agent"),
    path("new/model/", beginning.model, name="new_model"),
    path("new/server/", beginning.server, name="new_server"),
    path("new/prompt/", beginning.prompt, name="new_prompt"),
    path("new/policy/", beginning.policy, name="new_policy"),
    path("jobs/<slug:slug>/", pages.job, name="job"),
    path("jobs/<slug:slug>/versions/<int:number>/", pages.version, name="version"),
    path("jobs/<slug:slug>/versions/<int:number>/roll-back/", pages.roll_back, name="roll_back"),
    path(_DRAFT, drafts.draft, name="draft"),
    path("jobs/<slug:slug>/versions/<int:number>/download/", drafts.download, name="download"),
    path(f"{_DRAFT}download/", drafts.download, name="draft_download"),
    path(f"{_DRAFT}save/", drafts.save, name="draft_save"),
    path(f"{_DRAFT}check/", drafts.check, name="draft_check"),
    path(f"{_DRAFT}submit/", drafts.submit, name="draft_submit"),
    path(f"{_DRAFT}publish/", drafts.publish, name="draft_publish"),
    path(f"{_DRAFT}withdraw/", drafts.withdraw, name="draft_withdraw"),
    path(f"{_DRAFT}discard/", drafts.discard, name="draft_discard"),
    path(f"{_DRAFT}rebase/", drafts.rebase, name="draft_rebase"),
    path("tools/", pages.tools, name="tools"),
    path("tools/<slug:domain>/<str:name>/", pages.tool, name="tool"),
    path("agents/", pages.agents, name="agents"),
    path("agents/<slug:slug>/", entries.agent, name="agent"),
    path("models/", entries.models, name="models"),
    path("models/<slug:slug>/", entries.model, name="model"),
    path("servers/", servers.servers, name="servers"),
    path("servers/<slug:slug>/", servers.server, name="server"),
    path("prompts/", pages.prompts, name="prompts"),
    path("prompts/<slug:slug>/", pages.prompt, name="prompt"),
    *entries.urlpatterns,
]
