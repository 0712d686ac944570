"""Versions of tools, agents and prompts that a release before the documents wrote go on as
documents: each has a text, can be rolled back to, rebased on and scheduled, and what contracts
pinned stays pinned."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.accounts.models import User
from apps.catalog.models import Agent, ContractVersion, Prompt, Tool
from apps.catalog.services.kinds import AGENTS, PROMPTS, TOOLS
from apps.documents import services
from apps.documents.domain.kinds import DocumentKind
from apps.kernel.statements import database_now
from tests.factories.catalog import CONTRACT, apply_toys

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [
    ("catalog", "0005_what_servers_say"),
    ("policy", "0005_decisions_without_a_look_at_the_version"),
]
OF_A_MODEL = CONTRACT.replace(
    "{slug: toys-reference, fallbacks: []}", "{slug: toys-model, fallbacks: [toys-reference]}"
)
ASKING = "You work at the desk of a toy shop.\nAsk before you refund.\n"
TITLE = "Give the money for an order back"
OLD = {"tool": TITLE, "agent": "max_tokens: 5", "prompt": "Ask before"}
NEW = {"tool": "Give it back", "agent": "max_tokens: 4", "prompt": "Ask twice before"}
SETTINGS = {"settings": {"max_tokens": 5}}


def migrate(targets: Any = None) -> Any:
    """To these, or to today's; the models of that state."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())
    return executor.loader.project_state(targets or executor.loader.graph.leaf_nodes()).apps


def again(row: Any, **changes: Any) -> Any:
    """The next version as the release before wrote it: a copy of the row with what changed."""
    old = {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields}
    del old["id"]
    return type(row).objects.create(**{**old, "number": row.number + 1, **changes})


def second_versions(old: Any) -> None:
    """A second version of the tool, the agent and the prompt, and the contract that pins them."""
    model = {name: old.get_model("catalog", name) for name in ("Tool", "Agent", "Prompt", "Job")}
    tool = old.get_model("catalog", "ToolVersion").objects.get(tool__name="refund")
    agent = old.get_model("catalog", "AgentVersion").objects.get(agent__slug="toys-model")
    prompt = old.get_model("catalog", "PromptVersion").objects.get()
    contract = old.get_model("catalog", "ContractVersion").objects.get()
    tool = again(tool, document={**tool.document, "title": TITLE}, fingerprint="2" * 64)
    agent = again(agent, document={**agent.document, **SETTINGS}, digest="2" * 64)
    prompt = again(prompt, text=ASKING, digest="2" * 64)
    resolved = contract.resolved
    resolved["tools"]["refund"] = tool.pk
    resolved["agents"]["toys-model"] = agent.pk
    resolved["prompts"]["toys-model"] = prompt.pk
    again(contract, resolved=resolved)
    model["Tool"].objects.filter(name="refund").update(current_number=2)
    model["Agent"].objects.filter(slug="toys-model").update(current_number=2)
    model["Prompt"].objects.update(current_number=2)
    model["Job"].objects.update(current_number=2)


@pytest.fixture
def upgraded(tmp_path: Path, people: dict[str, User]) -> Path:
    """A tower of the released state with two versions of everything, brought to today's."""
    apply_toys(tmp_path, contract=OF_A_MODEL)
    try:
        second_versions(migrate(BEFORE))
    finally:
        migrate()
    return tmp_path


def entry(name: str) -> tuple[DocumentKind, Any]:
    """A kind, and the entry of it that has two versions."""
    if name == "tool":
        return TOOLS, Tool.objects.select_related("domain").get(name="refund")
    if name == "agent":
        return AGENTS, Agent.objects.get(slug="toys-model")
    return PROMPTS, Prompt.objects.get()


def approved(kind: DocumentKind, subject: Any, people: dict[str, User], **more: Any) -> None:
    """By as many as are wanted."""
    for name in ("admin2", "admin3"):
        draft = kind.drafts.objects.filter(state="in_review").first()
        if draft is not None:
            told = {"revision": draft.revision, "note": "agreed", **more}
            services.publish_draft(kind, subject, approver=people[name], **told)


def pinned(number: int) -> tuple[int, int, int]:
    ids = ContractVersion.objects.get(number=number).resolved
    return ids["tools"]["refund"], ids["agents"]["toys-model"], ids["prompts"]["toys-model"]


KINDS = pytest.mark.parametrize("name", ["tool", "agent", "prompt"])


@KINDS
def test_old_versions_have_a_text_and_a_draft_on_them_is_rebased(
    upgraded: Path, people: dict[str, User], name: str
) -> None:
    kind, subject = entry(name)
    first, second = kind.version(subject, 1), kind.version(subject, 2)
    assert kind.current(subject) == second
    assert first.text != second.text
    for version in (first, second):
        assert version.text == kind.version(subject, version.number).text
        assert [str(p) for p in kind.problems(subject, version.text) if p.is_error] == []
        assert (version.note, version.notes, version.author_id) == ("", [], None)
    assert OLD[name] in second.text
    assert list(kind.changes(subject, second, second.text)) == []

    text = second.text.replace(OLD[name], NEW[name])
    draft = services.save_draft(kind, subject, text=text, revision=0, author=people["admin"])
    again(second)  # a process of the release before publishes the same once more
    type(subject).objects.filter(pk=subject.pk).update(current_number=3)
    subject = entry(name)[1]
    draft = services.rebase(kind, subject, revision=draft.revision, actor=people["admin"])
    assert (draft.base_number, draft.text) == (3, text)
    services.submit_draft(
        kind, subject, revision=draft.revision, author=people["admin"], note="because"
    )
    approved(kind, subject, people)

    current = kind.current(entry(name)[1])
    assert (current.number, current.text) == (4, text)


@KINDS
def test_old_versions_are_rolled_back_to_now_and_at_a_time(
    upgraded: Path, people: dict[str, User], name: str
) -> None:
    kind, subject = entry(name)
    before, at = [pinned(1), pinned(2)], ("tool", "agent", "prompt").index(name)
    assert [ids[at] for ids in before] == [kind.version(subject, n).pk for n in (1, 2)]

    services.roll_back(kind, subject, number=1, actor=people["admin"], note="it was better")
    approved(kind, subject, people, at=database_now() + timedelta(hours=1))
    assert (kind.drafts.objects.get().state, services.publish_due()) == ("scheduled", 0)
    kind.drafts.objects.update(publish_at=database_now() - timedelta(seconds=1))
    assert services.publish_due() == 1
    third = kind.current(entry(name)[1])
    assert (third.number, third.text) == (3, kind.version(subject, 1).text)
    assert (third.author, pinned(3)[at]) == (people["admin"], third.pk)

    services.roll_back(kind, entry(name)[1], number=2, actor=people["admin"], note="it was not")
    approved(kind, entry(name)[1], people)
    fourth = kind.current(entry(name)[1])
    assert (fourth.number, fourth.text) == (4, kind.version(subject, 2).text)
    assert pinned(4)[at] == fourth.pk
    assert [pinned(1), pinned(2)] == before  # what runs of them were promised


def test_a_pack_is_applied_to_it_as_before(upgraded: Path) -> None:
    assert set(Agent.objects.values_list("domain", flat=True)) == {None}

    apply_toys(upgraded, contract=OF_A_MODEL)

    assert set(Agent.objects.values_list("domain__slug", flat=True)) == {"toys"}
    assert pinned(1) != pinned(2)
