from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.policy.views import backtests, drafts, pages, proofs

app_name = "policy"
_DRAFT = "<slug:slug>/draft/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", pages.index, name="index"),
    path("<slug:slug>/", pages.detail, name="detail"),
    path("<slug:slug>/versions/<int:number>/", pages.version, name="version"),
    path("<slug:slug>/versions/<int:number>/roll-back/", pages.roll_back, name="roll_back"),
    path("<slug:slug>/proofs/", proofs.in_force, name="proofs"),
    path(_DRAFT, drafts.draft, name="draft"),
    path(f"{_DRAFT}backtest/", backtests.show, name="backtest"),
    path(f"{_DRAFT}backtest/start/", backtests.start, name="backtest_start"),
    path(f"{_DRAFT}proofs/", proofs.draft, name="draft_proofs"),
    path("<slug:slug>/versions/<int:number>/download/", drafts.download, name="download"),
    path(f"{_DRAFT}download/", drafts.download, name="draft_download"),
    path(f"{_DRAFT}save/", drafts.save, name="draft_save"),
    path(f"{_DRAFT}check/", drafts.check, name="draft_check"),
    path(f"{_DRAFT}submit/", drafts.submit, name="draft_submit"),
    path(f"{_DRAFT}publish/", drafts.publish, name="draft_publish"),
    path(f"{_DRAFT}withdraw/", drafts.withdraw, name="draft_withdraw"),
    path(f"{_DRAFT}discard/", drafts.discard, name="draft_discard"),
    path(f"{_DRAFT}rebase/", drafts.rebase, name="draft_rebase"),
]
