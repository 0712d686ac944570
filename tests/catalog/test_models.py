"""Models of the catalog: begun, published, followed, shown, applied and taken out again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import Agent, AgentVersion, Job, LanguageModel, LanguageModelVersion
from apps.catalog.selectors import pinned
from apps.catalog.services import PackError, apply_packs, export_packs, write_files
from apps.catalog.services.kinds import AGENTS, MODELS
from apps.documents import services
from apps.kernel.errors import InvalidInputError
from apps.kernel.patching import dumped
from apps.ops.selectors import health, troubles
from tests.factories.catalog import CONTRACT, PACK, apply_toys, write_pack

As = Callable[[str], Client]
pytestmark = pytest.mark.django_db
ENTRY: dict[str, Any] = {
    "slug": "careful",
    "name": "Careful",
    "provider": "openai",
    "url": "https://api.example.com/v1",
    "model": "m-1",
    "key": {"env": "TOWER_MODEL_KEY_CAREFUL"},
    "prices": {"input_usd_per_million": 2.5, "output_usd_per_million": 10},
}
KEY = "sk-proj-abcdef0123456789ABCDEF"
LIVE = {**PACK["agents"][1], "model": "careful"}


@pytest.fixture
def toys(tmp_path: Path, people: dict[str, User]) -> dict[str, User]:
    apply_careful(tmp_path)
    return people


def write_careful(folder: Path, *agents: Any, **change: Any) -> Path:
    """The toy shop with a model that its live agent names, and a job that names the agent.
    ``agents``: others, which are the contract's fallbacks."""
    spare = f"fallbacks: [{', '.join(agent['slug'] for agent in agents)}]"
    pack = write_pack(
        folder,
        contract=CONTRACT.replace("toys-reference", "toys-model").replace("fallbacks: []", spare),
        change={
            "model_files": ["models/careful.yaml"],
            "agents": [PACK["agents"][0], LIVE, *agents],
        },
    )
    (pack / "models").mkdir(exist_ok=True)
    text = f"# asked when it matters\n{dumped({**ENTRY, **change})}"
    (pack / "models" / "careful.yaml").write_text(text)
    return pack


def apply_careful(folder: Path, *agents: Any, **change: Any) -> Any:
    return apply_packs([write_careful(folder, *agents, **change)])


def careful() -> LanguageModel:
    return LanguageModel.objects.select_related("domain").get(slug="careful")


def publish(people: dict[str, User], kind: Any, subject: Any, text: str, *by: str) -> Any:
    draft = services.save_draft(kind, subject, text=text, revision=0, author=people["admin"])
    draft = services.submit_draft(
        kind, subject, revision=draft.revision, author=people["admin"], note="because"
    )
    version = None
    for name in by or ("admin2",):
        version = services.publish_draft(
            kind, subject, revision=draft.revision, approver=people[name], note="agreed"
        )
    return version


def pins() -> dict[str, int]:
    agent = Agent.objects.get(slug="toys-model")
    return agent.versions.get(number=agent.current_number).document["models"]


def test_a_published_model_reaches_agents_and_contracts_at_once(toys: dict[str, User]) -> None:
    before = LanguageModelVersion.objects.get()
    job = Job.objects.get()
    assert pins() == {"careful": before.pk}

    text = before.text.replace("m-1", "m-2")
    assert publish(toys, MODELS, careful(), text) is None  # another model needs two
    draft = MODELS.drafts.objects.get()
    after = services.publish_draft(
        MODELS, careful(), revision=draft.revision, approver=toys["admin3"], note="agreed"
    )

    assert pins() == {"careful": after.pk}
    agent = AgentVersion.objects.get(agent__slug="toys-model", number=2)
    assert agent.note == "Follows model careful, which is v2 now"
    job.refresh_from_db()
    current = job.versions.get(number=job.current_number)
    assert job.current_number == 2
    assert current.resolved["agents"]["toys-model"] == agent.pk
    assert job.versions.get(number=1).resolved["agents"]["toys-model"] != agent.pk
    assert pinned.models_of(agent.document)["careful"].model == "m-2"


SPARE = {**PACK["agents"][1], "slug": "toys-spare", "model": "spare"}


def asked(**agent: Any) -> pinned.AskedModels:
    """The models of a live agent whose version says this, under the job's first contract."""
    contract = Job.objects.get().versions.get(number=1)
    live = Agent.objects.get(slug="toys-model")
    version = AgentVersion.objects.create(agent=live, number=9, document=agent, digest="d")
    return pinned.asked_models(version.pk, contract.pk)


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ({"model": "a", "fallback_models": ["b", "a"]}, ("a", "b", "spare", "configured")),
        ({"model": "spare"}, ("spare", "configured")),
        ({"model": "", "fallback_models": ["b"]}, ("configured", "b", "spare")),
        ({}, ("configured", "spare")),
    ],
)
def test_models_are_asked_in_the_agents_order_and_then_the_contracts(
    tmp_path: Path, people: dict[str, User], stated: Any, names: tuple[str, ...]
) -> None:
    """No name is the installation's own model; a fallback that works by a script has none."""
    plain = {**PACK["agents"][1], "slug": "toys-plain"}
    script = {**PACK["agents"][0], "slug": "toys-script"}
    apply_careful(tmp_path, SPARE, plain, script)

    assert asked(**stated).names == names


def test_a_run_keeps_the_models_of_its_contracts_fallbacks(
    tmp_path: Path, people: dict[str, User], django_assert_num_queries: Any
) -> None:
    apply_careful(tmp_path, {**SPARE, "model": "careful"})
    job = Job.objects.get()
    begun, live = job.versions.get(number=1), AgentVersion.objects.get(agent__slug="toys-model")
    assert pinned.asked_models(live.pk, begun.pk).known["careful"].number == 1

    apply_careful(tmp_path, {**SPARE, "model": "careful"}, model="m-2")
    with transaction.atomic():
        Agent.objects.filter(slug="toys-spare").update(current_number=0)

    with django_assert_num_queries(0):
        kept = pinned.asked_models(live.pk, begun.pk)
    assert kept.known["careful"].model == "m-1"


def test_a_name_means_what_the_agent_itself_means_by_it(
    tmp_path: Path, people: dict[str, User]
) -> None:
    """Though the catalog's model is what a fallback means by it."""
    apply_careful(tmp_path, {**SPARE, "model": "careful"})

    assert asked(model="careful") == pinned.AskedModels(("careful",), {})


def test_a_price_that_rises_needs_one_approval(toys: dict[str, User]) -> None:
    text = LanguageModelVersion.objects.get().text.replace("2.5", "3.5")

    assert publish(toys, MODELS, careful(), text).number == 2


def test_a_new_model_takes_no_name_over_that_meant_the_providers_own(
    tmp_path: Path, people: dict[str, User], client_as: As
) -> None:
    """Of a version of the released state, which pins nothing."""
    apply_toys(tmp_path, change={"agents": [PACK["agents"][0], LIVE]})
    agent = Agent.objects.get(slug="toys-model")
    assert "models" not in agent.versions.get().document
    told = {"domain": "toys", "slug": "careful", "name": "Careful", "url": ENTRY["url"]}
    client_as("admin").post("/catalog/new/model/", {**told, "model": "m-1"})
    draft = MODELS.drafts.objects.get()
    services.submit_draft(
        MODELS, careful(), revision=draft.revision, author=people["admin"], note="because"
    )
    services.publish_draft(
        MODELS, careful(), revision=draft.revision, approver=people["admin2"], note="ok"
    )

    agent.refresh_from_db()
    assert agent.current_number == 1
    before = agent.versions.get()
    text = before.text.replace("Live model", "Live agent")
    changes = [c.sentence for c in AGENTS.changes(agent, before, text)]
    assert "Model careful: the name means the catalog's model now" in changes
    assert publish(people, AGENTS, agent, text) is None  # it is seen, by two
    draft = AGENTS.drafts.objects.get()
    services.publish_draft(
        AGENTS, agent, revision=draft.revision, approver=people["admin3"], note="ok"
    )
    assert pins() == {"careful": LanguageModelVersion.objects.get().pk}


def test_what_is_drafted_of_a_model_stands_on_the_home_page(
    toys: dict[str, User], client_as: As
) -> None:
    told = {"domain": "toys", "slug": "quick", "name": "Quick", "url": ENTRY["url"], "model": "m-2"}
    client_as("admin").post("/catalog/new/model/", told)

    page = client_as("admin2").get("/home/needs/").content.decode()

    assert "Quick: next model is being written" in page
    assert 'href="/catalog/models/quick/draft/"' in page


def test_a_name_that_the_catalog_does_not_hold_is_told(toys: dict[str, User]) -> None:
    agent = Agent.objects.select_related("domain").get(slug="toys-model")
    text = agent.versions.get().text

    (problem,) = AGENTS.problems(agent, text.replace("careful", "carefull"))

    assert not problem.is_error
    assert "Did you mean “careful”?" in str(problem)
    assert not AGENTS.problems(agent, text)


def test_a_text_with_a_key_is_not_even_a_draft(toys: dict[str, User], client_as: As) -> None:
    text = f"{LanguageModelVersion.objects.get().text}# {KEY}\n"
    with pytest.raises(InvalidInputError, match="looks like a key"):
        services.save_draft(MODELS, careful(), text=text, revision=0, author=toys["admin"])
    client = client_as("admin")
    page = "/catalog/models/careful/draft/save/"
    answer = client.post(page, {"text": text, "revision": 0}, HTTP_ACCEPT="application/json")
    plain = client.post(page, {"text": text, "revision": 0})
    begun = client.post(
        "/catalog/new/model/",
        {"domain": "toys", "slug": "x", "name": "x", "url": ENTRY["url"], "model": KEY},
    )

    assert (answer.status_code, plain.status_code, begun.status_code) == (422, 422, 422)
    assert KEY not in answer.json()["message"]
    assert "looks like a key" in begun.content.decode()
    assert not MODELS.drafts.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event WHERE payload::text LIKE %s", [f"%{KEY}%"])
        assert cursor.fetchone()[0] == 0


def test_no_model_has_the_name_of_the_installations_own(
    toys: dict[str, User], client_as: As
) -> None:
    told = {"domain": "toys", "slug": "configured", "name": "x", "url": ENTRY["url"], "model": "m"}

    answer = client_as("admin").post("/catalog/new/model/", told)
    problems = MODELS.problems(
        LanguageModel(slug="configured"),
        LanguageModelVersion.objects.get().text.replace("slug: careful", "slug: configured"),
    )

    assert answer.status_code == 422
    assert "is what agents call the installation" in answer.content.decode()
    assert "slug" in [p.path for p in problems]
    assert not LanguageModel.objects.filter(slug="configured").exists()


def test_what_was_never_published_is_listed_newest_first(
    toys: dict[str, User], client_as: As
) -> None:
    for slug in ("first", "second"):
        told = {"domain": "toys", "slug": slug, "name": slug, "url": ENTRY["url"], "model": "m"}
        assert client_as("admin").post("/catalog/new/model/", told).status_code == 302

    page = client_as("operator").get("/catalog/models/").content.decode()

    assert 0 < page.index("models/second/draft/") < page.index("models/first/draft/")


def test_a_version_is_never_changed(toys: dict[str, User]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        LanguageModelVersion.objects.update(document={})


def test_a_model_goes_round_with_its_pack(tmp_path: Path) -> None:
    def on_an_empty_tower(make: Callable[[], Any]) -> Any:
        before = transaction.savepoint()
        try:
            return make()
        finally:
            transaction.savepoint_rollback(before)

    def first() -> dict[str, str]:
        apply_careful(tmp_path)
        return export_packs()

    def again() -> dict[str, str]:
        write_files(tmp_path / "out", files, replace=False)
        apply_packs([tmp_path / "out"])
        assert not apply_packs([tmp_path / "out"]).has_changes
        assert pins() == {"careful": LanguageModelVersion.objects.get().pk}
        return export_packs()

    files = on_an_empty_tower(first)

    assert files["toys/models/careful.yaml"].startswith("# asked when it matters\n")
    assert on_an_empty_tower(again) == files


def test_a_pack_brings_a_new_version_with_its_agents_and_contracts(tmp_path: Path) -> None:
    apply_careful(tmp_path)

    report = apply_careful(tmp_path, model="m-2")

    changed = {(line.what, line.name) for line in report.lines if line.change == "changed"}
    assert changed == {("model", "careful"), ("agent", "toys-model"), ("job", "toys-refund")}
    assert pins() == {"careful": LanguageModelVersion.objects.get(number=2).pk}


def test_what_was_edited_in_the_browser_is_not_overwritten(
    tmp_path: Path, toys: dict[str, User]
) -> None:
    publish(toys, MODELS, careful(), LanguageModelVersion.objects.get().text.replace("2.5", "3"))

    report = apply_careful(tmp_path)
    assert ("model", "careful", "kept") in {(x.what, x.name, x.change) for x in report.lines}
    with pytest.raises(PackError, match="nothing was applied"):
        apply_careful(tmp_path, model="m-9")


def test_a_pack_with_a_key_is_refused_without_repeating_it(tmp_path: Path) -> None:
    pack = write_careful(tmp_path, key=KEY)

    with pytest.raises(PackError) as caught:
        apply_packs([pack])

    assert "looks like a key" in str(caught.value.problems[0])
    assert not any(KEY in str(p) for p in caught.value.problems)
    assert caught.value.problems[0].file.endswith("careful.yaml")


def test_pages_say_where_it_is_asked_and_whether_its_key_is_there(
    toys: dict[str, User], client_as: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_as("operator")
    for page in ("/catalog/models/", "/catalog/models/careful/"):
        shown = client.get(page).content.decode()
        assert "can\u2019t be asked" in shown
        assert "in 2.5, out 10" in shown
    assert "TOWER_MODEL_KEY_CAREFUL, which is not set" in shown
    assert "/catalog/agents/toys-model/" in shown
    assert "/catalog/jobs/toys-refund/" in shown
    agent = client.get("/catalog/agents/toys-model/").content.decode()
    assert re.search(r">careful v1</a\s*>", agent)
    found = [t for t in troubles.troubles(health.overview()) if t.kind == "model"]
    assert "“careful”" in found[0].sentence
    assert not found[0].is_grave

    monkeypatch.setenv("TOWER_MODEL_KEY_CAREFUL", "k3y-canary")
    shown = client.get("/catalog/models/careful/").content.decode()
    assert "key found" in shown
    assert "k3y-canary" not in shown
    assert not [t for t in troubles.troubles(health.overview()) if t.kind == "model"]


def test_only_an_admin_begins_or_changes_one(toys: dict[str, User], client_as: As) -> None:
    client = client_as("operator")
    assert client.get("/catalog/new/model/").status_code == 403
    assert client.post("/catalog/models/careful/draft/save/", {"text": "x"}).status_code == 403
