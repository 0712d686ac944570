"""A job and a policy set from scratch: a name, a first draft, and a first version by two people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import Agent, Domain, Job
from apps.catalog.selectors import contract_for_run
from apps.documents import services
from apps.documents.selectors import all_kinds, draft_of
from apps.kernel.errors import NotFoundError
from apps.policy.models import PolicySet
from tests.factories.catalog import apply_toys

As = Callable[[str], Client]
JOB = {"domain": "toys", "slug": "toys-swap", "name": "Swap: a toy"}
SET = {"domain": "toys", "slug": "toys-strict", "name": "Strict {desk}"}
CASES = [
    ("contract", "/catalog/new/job/", JOB, "/catalog/jobs/toys-swap/", Job),
    ("policy", "/catalog/new/policy/", SET, "/policies/toys-strict/", PolicySet),
]
each = pytest.mark.parametrize(("kind", "new", "told", "page", "model"), CASES)
pytestmark = pytest.mark.django_db


@pytest.fixture
def toys(tmp_path: Path, people: dict[str, User]) -> dict[str, User]:
    apply_toys(tmp_path)
    return people


def subject_of(model: Any, told: dict[str, str]) -> Any:
    return model.objects.get(slug=told["slug"])


@each
def test_the_first_version_is_written_and_published_by_two(
    toys: dict[str, User],
    client_as: As,
    kind: str,
    new: str,
    told: dict[str, str],
    page: str,
    model: Any,
) -> None:
    first, second = client_as("admin"), client_as("admin2")
    assert first.get(new).status_code == 200

    begun = first.post(new, told)

    assert (begun.status_code, begun["Location"]) == (302, f"{page}draft/")
    assert first.get(page)["Location"] == f"{page}draft/"
    shown = first.get(f"{page}draft/").content.decode()
    assert "not published" in shown
    assert "No problems." in shown
    assert "first version</h1>" in shown
    assert "there is nothing to compare it with" in shown
    assert "the published version" not in shown
    draft = draft_of(next(k for k in all_kinds() if k.name == kind), subject_of(model, told))
    body = {"text": draft.text, "revision": draft.revision, "note": "a beginning"}
    assert first.post(f"{page}draft/submit/", body).status_code == 302
    approval = {"revision": draft.revision + 1, "note": "good"}
    assert first.post(f"{page}draft/publish/", approval).status_code == 403
    assert second.post(f"{page}draft/publish/", approval).status_code == 302
    assert subject_of(model, told).current_number == 1
    assert first.get(page).status_code == 200


@each
def test_before_that_nothing_runs_under_it_and_discarding_leaves_nothing(
    toys: dict[str, User],
    client_as: As,
    kind: str,
    new: str,
    told: dict[str, str],
    page: str,
    model: Any,
) -> None:
    client = client_as("admin")
    client.post(new, told)
    if kind == "contract":
        assert "Not published yet" in client.get("/catalog/").content.decode()
        with pytest.raises(NotFoundError):
            contract_for_run("toys-swap")
    else:
        assert "Not published" in client.get("/policies/").content.decode()
        contracts = next(k for k in all_kinds() if k.name == "contract")
        job = Job.objects.get()
        text = contracts.current(job).text.replace("policy: toys", "policy: toys-strict")
        said = services.look(contracts, job, text).problems
        assert "There is no policy set “toys-strict”" in str(said[0])

    gone = client.post(f"{page}draft/discard/", {"revision": 1})

    assert gone.status_code == 302
    assert not model.objects.filter(slug=told["slug"]).exists()
    assert client.get(f"{page}draft/").status_code == 404


@each
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slug": "Toys Swap"}, "Use small letters"),
        ({"slug": ""}, "This field is required"),
        ({"domain": "boats"}, "Select a valid choice"),
    ],
)
def test_a_name_that_cant_be_is_refused(
    toys: dict[str, User],
    client_as: As,
    kind: str,
    new: str,
    told: dict[str, str],
    page: str,
    model: Any,
    change: dict[str, str],
    said: str,
) -> None:
    answer = client_as("admin").post(new, {**told, **change})

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not model.objects.filter(slug=told["slug"]).exists()


@pytest.mark.parametrize(
    ("new", "taken", "said"),
    [
        ("/catalog/new/job/", "toys-refund", "There is a job “toys-refund” already."),
        ("/catalog/new/policy/", "toys", "There is a policy set “toys” already."),
    ],
)
def test_a_name_that_is_taken_is_refused(
    toys: dict[str, User], client_as: As, new: str, taken: str, said: str
) -> None:
    answer = client_as("admin").post(new, {**JOB, "slug": taken})

    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_set_that_knows_no_tools_still_has_a_page(toys: dict[str, User], client_as: As) -> None:
    PolicySet.objects.create(slug="bare", name="Bare", domain_slug="nowhere")
    text = PolicySet.objects.get(slug="toys").versions.get().text.replace("toys", "bare")
    client = client_as("admin")
    client.post("/policies/bare/draft/save/", {"text": text, "revision": 0})

    assert client.get("/policies/bare/draft/").status_code == 200
    assert client.get("/policies/").status_code == 200


@each
def test_only_admins_begin(
    toys: dict[str, User],
    client_as: As,
    kind: str,
    new: str,
    told: dict[str, str],
    page: str,
    model: Any,
) -> None:
    for role in ("operator", "product_manager", "auditor"):
        assert client_as(role).post(new, told).status_code == 403
    assert not model.objects.filter(slug=told["slug"]).exists()


@each
def test_a_pack_that_is_first_wins_over_a_draft(
    toys: dict[str, User],
    client_as: As,
    tmp_path: Path,
    kind: str,
    new: str,
    told: dict[str, str],
    page: str,
    model: Any,
) -> None:
    """Whoever began it finds the version that the pack published, and goes on from it or not."""
    client = client_as("admin")
    client.post(new, told)
    model.objects.filter(slug=told["slug"]).update(current_number=1)  # as the pack leaves it

    discarded = client.post(f"{page}draft/discard/", {"revision": 1})

    assert discarded.status_code == 302
    assert model.objects.filter(slug=told["slug"]).exists()


def test_the_first_contract_names_an_agent_of_its_domain(
    toys: dict[str, User], client_as: As
) -> None:
    """Not one whose name only begins as the domain's does."""
    Agent.objects.update(domain=Domain.objects.get(slug="toys"))
    Agent.objects.create(slug="toys-and-others", name="Another", kind="reference", current_number=1)

    client_as("admin").post("/catalog/new/job/", JOB)

    kind = next(k for k in all_kinds() if k.name == "contract")
    draft = draft_of(kind, Job.objects.get(slug="toys-swap"))
    own = Agent.objects.filter(domain__slug="toys").order_by("slug")[0].slug
    assert own > "toys-and-others"
    assert f"agent: {{slug: {own}, " in draft.text
