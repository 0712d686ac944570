"""Tools, agents and prompts are changed like contracts, and what names them follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.catalog import selectors
from apps.catalog.models import Agent, AgentVersion, Job, Prompt, PromptVersion, Tool, ToolVersion
from apps.catalog.services import PackError, apply_packs, begin_policy
from apps.catalog.services.kinds import AGENTS, PROMPTS, TOOLS
from apps.documents import services
from apps.kernel.documents import load
from apps.kernel.patching import dumped
from apps.policy.models import PolicySet
from apps.policy.services import POLICIES
from tests.documents.conftest import Desk
from tests.factories.catalog import CONTRACT, PACK, apply_toys, policy_text, write_pack

As = Callable[[str], Client]
pytestmark = pytest.mark.django_db


def desk_of(kind: Any, subject: Any, people: dict[str, User]) -> Desk:
    return Desk(kind, subject, kind.current(subject).text, "", "", people)


def publish(desk: Desk, text: str, *approvers: str) -> Any:
    desk.submitted(text)
    version = None
    for name in approvers or ("admin2",):
        version = desk.approve(name)
    assert version is not None
    return version


@pytest.fixture
def refund(tmp_path: Path, people: dict[str, User]) -> Desk:
    apply_toys(tmp_path)
    return desk_of(TOOLS, Tool.objects.select_related("domain").get(name="refund"), people)


@pytest.fixture
def prompt(tmp_path: Path, people: dict[str, User]) -> Desk:
    agents = [{**PACK["agents"][0], "prompt": "toys-agent"}, PACK["agents"][1]]
    apply_toys(tmp_path, change={"agents": agents})
    return desk_of(PROMPTS, Prompt.objects.get(), people)


@pytest.mark.parametrize("text", ["~", "null", "", "# nothing"])
def test_a_text_that_says_nothing_is_a_problem_and_no_crash(refund: Desk, text: str) -> None:
    agent = Agent.objects.get(slug="toys-model")
    assert TOOLS.problems(refund.subject, text)
    assert AGENTS.problems(agent, text)


def test_what_a_pack_applied_is_version_one_with_its_text(refund: Desk) -> None:
    version = refund.version()

    assert (version.number, version.author) == (1, None)
    assert load(version.text, exact=True).value == version.document
    old = AgentVersion.objects.get(agent__slug="toys-model")
    AgentVersion.objects.create(agent=old.agent, number=9, document=old.document, digest="x")
    assert load(AgentVersion.objects.get(number=9).text).value == PACK["agents"][1]


def test_a_published_tool_is_pinned_by_a_version_of_each_contract_that_lists_it(
    refund: Desk,
) -> None:
    job = Job.objects.get()
    before = job.versions.get(number=1)

    version = publish(refund, refund.text.replace("Refund an order", "Give it back"))

    job.refresh_from_db()
    after = job.versions.get(number=2)
    assert job.current_number == 2
    assert after.resolved["tools"]["refund"] == version.pk
    assert (after.text, after.digest) == (before.text, before.digest)
    assert after.note == "Follows tool refund, which is v2 now"
    assert (after.author.username, after.approver.username) == ("admin", "admin2")
    before.refresh_from_db()
    assert before.resolved["tools"]["refund"] != version.pk, "runs of v1 keep what they began with"
    assert PolicySet.objects.get().current_number == 1, "its schema is the same"


def test_a_tools_new_fact_reaches_the_policies_of_its_domain(refund: Desk) -> None:
    text = refund.text.replace("  owner: string\n", "  owner: string\n  reason: string\n")
    publish(refund, text)

    found = PolicySet.objects.get()
    version = found.versions.get(number=found.current_number)
    assert found.current_number == 2
    assert "reason" in str(version.schema)
    assert version.note == "Follows tool refund, which is v2 now"


def test_a_tool_that_a_policy_wouldnt_fit_any_more_is_refused(refund: Desk) -> None:
    text = refund.text.replace("  amount_cents: long\n", "").replace("facts.amount_cents", "x")

    said = services.look(TOOLS, refund.subject, text).problems

    assert "The policy set “toys” would no longer fit" in " ".join(str(p) for p in said)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("effect: irreversible", "effect: delete", "is not one of the choices"),
        ("name: refund", "name: refunds", "The text is about “refunds”, not “refund”."),
        ("{facts.owner}", "{facts.nobody}", "“{facts.nobody}” is neither an argument nor a fact"),
        ("idempotency: keyed", "idempotency: lookup", "needs a lookup tool"),
        ("input_schema:", "output_schema:", "output_schema"),
    ],
)
def test_checks_name_the_field_and_the_fix(refund: Desk, old: str, new: str, message: str) -> None:
    said = services.look(TOOLS, refund.subject, refund.text.replace(old, new)).problems

    assert any(message in p.message for p in said), [str(p) for p in said]
    assert all(p.line > 0 and (p.fix or p.path) for p in said)


def test_numbers_of_any_size_are_kept(refund: Desk) -> None:
    most = 2**63 - 1
    text = refund.text.replace(
        "    order_id:\n", f"    cents: {{type: integer, maximum: {most}}}\n    order_id:\n"
    )
    version = publish(refund, text, "admin2", "admin3")

    assert version.document["input_schema"]["properties"]["cents"]["maximum"] == most


def test_a_prompt_reaches_its_agents_and_their_contracts(prompt: Desk) -> None:
    publish(prompt, "You are careful.\n")

    for slug in ("toys-model", "toys-reference"):
        version = selectors.agent_version(slug)
        assert (version.number, version.document["prompt_number"]) == (2, 2)
    job = Job.objects.get()
    pinned = job.versions.get(number=job.current_number).resolved
    assert job.current_number == 2
    assert pinned["agents"]["toys-reference"] == selectors.agent_version("toys-reference").pk
    assert PromptVersion.objects.get(pk=pinned["prompts"]["toys-reference"]).number == 2


def test_a_contract_that_names_a_prompt_by_two_agents_follows_once(
    tmp_path: Path, people: dict[str, User]
) -> None:
    agents = [{**PACK["agents"][0], "prompt": "toys-agent"}, PACK["agents"][1]]
    both = CONTRACT.replace("fallbacks: []", "fallbacks: [toys-model]")
    apply_toys(tmp_path, contract=both, change={"agents": agents})
    desk = desk_of(PROMPTS, Prompt.objects.get(), people)

    said = services.look(PROMPTS, desk.subject, "You are careful.\n").consequences.lines
    publish(desk, "You are careful.\n")

    assert said[-1] == "Job toys-refund gets v2 with it."
    assert [line for line in said if line.startswith("Job")] == said[-1:]
    job = Job.objects.get()
    pinned = job.versions.get(number=job.current_number).resolved["agents"]
    assert job.current_number == 2
    assert pinned == {s: selectors.agent_version(s).pk for s in ("toys-reference", "toys-model")}


def test_every_letter_of_a_prompt_counts(prompt: Desk) -> None:
    desk = prompt
    publish(desk, "a: b # one\n")
    desk.text = "a: b # one\n"

    version = publish(desk, "a: b # two\n")

    assert (version.number, version.text) == (3, "a: b # two\n")


def test_a_prompts_page_has_no_json_and_no_form(prompt: Desk, client_as: As) -> None:
    admin = client_as("admin")
    page = admin.get("/catalog/prompts/toys-agent/draft/").content.decode()

    assert 'id="as-json"' not in page
    assert "Main fields" not in page
    assert "Download YAML" not in page
    file = admin.get("/catalog/prompts/toys-agent/draft/download/")
    assert file["Content-Disposition"] == 'attachment; filename="toys-agent.md"'
    assert file.content.decode() == prompt.text


def test_a_version_is_rolled_back_as_the_next(refund: Desk, client_as: As) -> None:
    publish(refund, refund.text.replace("Refund an order", "Give it back"))
    page = "/catalog/tools/toys/refund/versions"
    shown = client_as("admin").get(f"{page}/2/").content.decode()
    assert "Title: Refund an order → Give it back" in shown
    assert "agreed" in shown, "what was said stays with the version"

    done = client_as("admin").post(f"{page}/1/roll-back/", {"note": "it confuses"})

    assert done["Location"] == "/catalog/tools/toys/refund/draft/"
    version = refund.approve("admin2")
    assert (version.number, version.text) == (3, refund.text)
    assert client_as("operator").get(f"{page}/3/").status_code == 200
    assert client_as("operator").post(f"{page}/1/roll-back/", {"note": "x"}).status_code == 403


def test_a_pack_keeps_what_was_edited_in_the_browser(refund: Desk, tmp_path: Path) -> None:
    publish(refund, refund.text.replace("Refund an order", "Give it back"))

    kept = {f"{x.what} {x.name}": x.change for x in apply_toys(tmp_path).lines}

    assert kept["tool refund"] == "kept"
    assert set(kept.values()) == {"unchanged", "kept"}
    assert refund.number == 2
    tools = [PACK["tools"][0], {**PACK["tools"][1], "title": "Pay it back"}]
    with pytest.raises(PackError) as caught:
        apply_toys(tmp_path, change={"tools": tools})
    assert "was edited in the browser since" in str(caught.value.problems[0])
    apply_packs([write_pack(tmp_path, change={"tools": tools})], force=True)
    assert refund.version().document["title"] == "Pay it back"


def test_a_pack_keeps_prompts_and_agents_too(prompt: Desk, tmp_path: Path) -> None:
    publish(prompt, "You are careful.\n")
    agents = [{**PACK["agents"][0], "prompt": "toys-agent"}, PACK["agents"][1]]

    report = apply_toys(tmp_path, change={"agents": agents})

    said = {f"{x.what} {x.name}": x.change for x in report.lines}
    assert said["prompt toys-agent"] == "kept"
    assert set(said.values()) == {"unchanged", "kept"}
    assert Agent.objects.get(slug="toys-model").current_number == 2


@pytest.mark.parametrize("model", [ToolVersion, AgentVersion, PromptVersion])
def test_versions_never_change(prompt: Desk, model: Any) -> None:
    with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
        model.objects.update(note="other")
    assert connection.is_usable()


def test_an_agent_names_only_prompts_of_its_domain(prompt: Desk, people: dict[str, User]) -> None:
    agent = Agent.objects.get(slug="toys-model")
    text = AGENTS.current(agent).text.replace("toys-agent", "toys-agnt")

    said = services.look(AGENTS, agent, text).problems

    assert "There is no prompt “toys-agnt” in this domain." in str(said[0])
    assert said[0].fix == "Did you mean “toys-agent”?"


def applied_again(tmp_path: Path, **change: Any) -> dict[str, str]:
    report = apply_toys(tmp_path, **change)
    changes = {f"{x.what} {x.name}": x.change for x in report.lines}
    return {name: change for name, change in changes.items() if change != "unchanged"}


def test_what_only_followed_an_edit_is_the_packs_to_change(
    refund: Desk, prompt: Desk, tmp_path: Path
) -> None:
    publish(prompt, "You are careful.\n")
    publish(refund, refund.text.replace("  owner: string\n", "  owner: string\n  why: string\n"))
    agents = [PACK["agents"][0], {**PACK["agents"][1], "model": "other"}]
    pack = write_pack(tmp_path, change={"agents": agents})
    (pack / "policies" / "toys.yaml").write_text(policy_text(refund_cents=4_000))

    said = {f"{x.what} {x.name}": x.change for x in apply_packs([pack]).lines}

    assert (said["tool refund"], said["prompt toys-agent"]) == ("kept", "kept")
    assert (said["agent toys-model"], said["policy toys"]) == ("changed", "changed")


@pytest.mark.parametrize(
    ("old", "new", "approvers"),
    [("Live model", "Careful model", 1), ("kind: model", "kind: recorded", 2)],
)
def test_every_word_of_an_agent_that_was_edited_stays(
    tmp_path: Path, people: dict[str, User], old: str, new: str, approvers: int
) -> None:
    apply_toys(tmp_path)
    agent = desk_of(AGENTS, Agent.objects.get(slug="toys-model"), people)
    publish(agent, agent.text.replace(old, new), *("admin2", "admin3")[:approvers])

    assert applied_again(tmp_path) == {"agent toys-model": "kept"}

    found = Agent.objects.get(slug="toys-model")
    entry = load(AGENTS.current(found).text).value
    assert (found.name, found.kind) == (entry["name"], entry["kind"])
    assert new.removeprefix("kind: ") in (found.name, found.kind)


def test_a_policy_set_is_checked_by_the_tools_as_they_are(
    refund: Desk, people: dict[str, User]
) -> None:
    begin_policy(domain=refund.subject.domain, slug="second", name="Two", author=people["admin"])
    publish(refund, refund.text.replace("  owner: string\n", "  owner: string\n  why: string\n"))
    second = PolicySet.objects.get(slug="second")

    services.submit_draft(POLICIES, second, revision=1, author=people["admin"], note="new")
    version = services.publish_draft(
        POLICIES, second, revision=1, approver=people["admin2"], note="agreed"
    )

    assert "why" in str(version.schema)


def test_a_packs_tools_reach_every_policy_set_of_the_domain(
    refund: Desk, tmp_path: Path, people: dict[str, User]
) -> None:
    found = PolicySet.objects.get()
    publish(desk_of(POLICIES, found, people), policy_text(refund_cents=4_000))
    facts = {**PACK["tools"][1]["facts"], "why": "string"}
    tools = [PACK["tools"][0], {**PACK["tools"][1], "facts": facts}]

    assert applied_again(tmp_path, change={"tools": tools})["policy toys"] == "changed"

    version = POLICIES.current(found)
    assert "why" in str(version.schema)
    assert version.text == policy_text(refund_cents=4_000)
    assert version.author.username == "admin", "it is still their text"
    assert applied_again(tmp_path, change={"tools": tools}) == {"policy toys": "kept"}
    tools = [PACK["tools"][0], {**PACK["tools"][1], "facts": {"owner": "string"}, "amount": "x"}]
    pack = write_pack(tmp_path, change={"tools": tools, "policies": [], "jobs": []})
    with pytest.raises(PackError, match="1 problem") as caught:
        apply_packs([pack])
    assert "The policy set “toys” would no longer fit" in str(caught.value.problems[0])


def test_a_pack_leaves_other_domains_agents_and_prompts_alone(prompt: Desk, tmp_path: Path) -> None:
    other = {
        "domain": {"slug": "other", "name": "Other"},
        "server": {"slug": "other"},
        "tools": [],
        "prompts": [{"slug": "toys-agent", "file": "p.md"}],
        "agents": [{"slug": "toys-model", "name": "Mine", "kind": "model"}],
    }
    (tmp_path / "pack.yaml").write_text(dumped(other))
    (tmp_path / "p.md").write_text("Mine.\n")

    with pytest.raises(PackError) as caught:
        apply_packs([tmp_path])

    said = [p.message for p in caught.value.problems]
    assert said == [
        "The prompt “toys-agent” belongs to another domain, toys.",
        "The agent “toys-model” belongs to another domain, toys.",
    ]
