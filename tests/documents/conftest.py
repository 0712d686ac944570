"""A contract, a policy set, a tool and an agent, each behind the same door."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.catalog.models import Agent, Job, Tool
from apps.catalog.services import CONTRACTS
from apps.catalog.services.kinds import AGENTS, TOOLS
from apps.documents import services
from apps.documents.domain.kinds import DocumentKind
from apps.policy.models import PolicySet
from apps.policy.services import POLICIES
from tests.factories.catalog import CONTRACT, PACK, apply_toys, policy_text

PAGES = {
    "agent": "/catalog/agents/toys-reference",
    "contract": "/catalog/jobs/toys-refund",
    "policy": "/policies/toys",
    "tool": "/catalog/tools/toys/refund",
}


@dataclass
class Desk:
    """One subject of one kind: ``text`` is in force, ``stronger`` and ``weaker`` could be."""

    kind: DocumentKind
    subject: Any
    text: str
    stronger: str
    weaker: str
    people: dict[str, User]

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(services, name), self.kind, self.subject)

    @property
    def page(self) -> str:
        """Where its page begins."""
        return PAGES[self.kind.name]

    @property
    def draft(self) -> Any:
        return self.kind.drafts.objects.select_related("author").first()

    @property
    def number(self) -> int:
        self.subject.refresh_from_db()
        return int(self.subject.current_number)

    def version(self) -> Any:
        self.subject.refresh_from_db()
        return self.kind.current(self.subject)

    def submitted(self, text: str, by: str = "admin", note: str = "because") -> Any:
        draft = self.save_draft(text=text, revision=0, author=self.people[by])
        return self.submit_draft(revision=draft.revision, author=self.people[by], note=note)

    def approve(self, by: str, note: str = "agreed", **more: Any) -> Any:
        told = {"revision": self.draft.revision, "note": note, **more}
        return self.publish_draft(approver=self.people[by], **told)


def desk_of(name: str, people: dict[str, User]) -> Desk:
    if name == "contract":
        stronger, weaker = (CONTRACT.replace("votes: 2", f"votes: {n}") for n in (3, 1))
        job = Job.objects.select_related("domain").get()
        return Desk(CONTRACTS, job, CONTRACT, stronger, weaker, people)
    if name == "policy":
        stronger, weaker = (policy_text(refund_cents=n) for n in (4_000, 100_000))
        return Desk(POLICIES, PolicySet.objects.get(), policy_text(), stronger, weaker, people)
    if name == "tool":
        tool = Tool.objects.select_related("domain").get(name="refund")
        text = tool.versions.get().text
        stronger = text.replace("  owner: string\n", "  owner: string\n  reason: string\n")
        weaker = text.replace("  owner: string\n", "  owner: string?\n")
        return Desk(TOOLS, tool, text, stronger, weaker, people)
    agent = Agent.objects.get(slug="toys-reference")
    text = agent.versions.get().text
    stronger, weaker = (text.replace("max_tokens: 5", f"max_tokens: {n}") for n in (4, 6))
    return Desk(AGENTS, agent, text, stronger, weaker, people)


TOLD = {"settings": {"max_tokens": 5}, **PACK["agents"][0]}


@pytest.fixture(params=["contract", "policy", "tool", "agent"])
def desk(request: Any, tmp_path: Path, people: dict[str, User]) -> Desk:
    apply_toys(tmp_path, change={"agents": [TOLD, PACK["agents"][1]]})
    return desk_of(request.param, people)
