from __future__ import annotations

from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit.models import Event
from apps.catalog import selectors, services
from apps.catalog.models import ContractDraft, ContractVersion, Job
from apps.catalog.services import PackError
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from tests.factories.catalog import CONTRACT, apply_toys, toys_job

WEAKER = CONTRACT.replace("votes: 2", "votes: 1")
STRONGER = CONTRACT.replace("votes: 2", "votes: 3")


@pytest.fixture
def job(tmp_path: Path, db: None) -> Job:
    return toys_job(tmp_path)


def submitted(job: Job, author: User, text: str = WEAKER) -> ContractDraft:
    draft = services.save_draft(job, text=text, revision=0, author=author)
    return services.submit_draft(job, revision=draft.revision, author=author, note="cheaper")


def published(job: Job, draft: ContractDraft, people: dict[str, User]) -> ContractVersion:
    """The draft, which weakens a control, approved by the two whom that needs."""
    first, second = people["admin2"], people["admin3"]
    none = services.publish_draft(job, revision=draft.revision, approver=second, note="Yes")
    assert none is None
    return services.publish_draft(
        job, revision=draft.revision, approver=first, note="Agreed with Ida"
    )


def test_a_second_admin_publishes_with_a_note(job: Job, people: dict[str, User]) -> None:
    draft = submitted(job, people["admin"], STRONGER)

    version = services.publish_draft(
        job, revision=draft.revision, approver=people["admin2"], note="Agreed with Ida"
    )

    assert (version.number, version.author, version.approver) == (
        2,
        people["admin"],
        people["admin2"],
    )
    assert not ContractDraft.objects.exists()
    _, contract = selectors.contract_for_run(job.slug)
    assert contract.decisions.votes == 3
    kinds = list(Event.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds[-4:] == [
        "contract.draft_started",
        "contract.submitted",
        "contract.approved",
        "contract.published",
    ]


def test_a_running_contract_keeps_its_version(job: Job, people: dict[str, User]) -> None:
    pinned, _ = selectors.contract_for_run(job.slug)

    draft = submitted(job, people["admin"])
    services.publish_draft(job, revision=draft.revision, approver=people["admin2"], note="Yes")

    assert selectors.contract(pinned.pk).decisions.votes == 2


def test_the_author_does_not_publish(job: Job, people: dict[str, User]) -> None:
    draft = submitted(job, people["admin"])

    with pytest.raises(NotPermittedError, match="second admin"):
        services.publish_draft(job, revision=draft.revision, approver=people["admin"], note="Me")
    with pytest.raises(NotPermittedError, match="Only an admin"):
        services.publish_draft(job, revision=draft.revision, approver=people["operator"], note="Me")
    with pytest.raises(InvalidInputError, match="Say why"):
        services.publish_draft(job, revision=draft.revision, approver=people["admin2"], note=" ")


def test_whoever_changes_the_text_becomes_its_author(job: Job, people: dict[str, User]) -> None:
    draft = submitted(job, people["admin"])

    draft = services.save_draft(
        job, text=WEAKER + "# more\n", revision=draft.revision, author=people["admin2"]
    )

    assert draft.state == "draft"
    draft = services.submit_draft(
        job, revision=draft.revision, author=people["admin2"], note="mine now"
    )
    with pytest.raises(NotPermittedError):
        services.publish_draft(job, revision=draft.revision, approver=people["admin2"], note="Me")


def test_two_editors_do_not_overwrite_each_other(job: Job, people: dict[str, User]) -> None:
    draft = services.save_draft(job, text="first", revision=0, author=people["admin"])
    services.save_draft(job, text="second", revision=draft.revision, author=people["admin"])

    with pytest.raises(ConflictError) as caught:
        services.save_draft(job, text="third", revision=draft.revision, author=people["admin2"])

    assert caught.value.detail["who"] == "admin"
    assert caught.value.detail["revision"] == 2
    with pytest.raises(ConflictError):
        services.save_draft(job, text="fourth", revision=0, author=people["admin2"])
    assert ContractDraft.objects.get().text == "second"


def test_what_was_not_seen_is_not_published(job: Job, people: dict[str, User]) -> None:
    draft = submitted(job, people["admin"])
    services.save_draft(job, text=CONTRACT, revision=draft.revision, author=people["admin"])
    services.save_draft(job, text=WEAKER, revision=draft.revision + 1, author=people["admin"])
    services.submit_draft(job, revision=draft.revision + 2, author=people["admin"], note="again")

    with pytest.raises(ConflictError):
        services.publish_draft(job, revision=draft.revision, approver=people["admin2"], note="Old")

    assert ContractVersion.objects.count() == 1


def test_a_draft_with_problems_is_not_submitted(job: Job, people: dict[str, User]) -> None:
    draft = services.save_draft(
        job, text=CONTRACT.replace("votes: 2", "vots: 2"), revision=0, author=people["admin"]
    )

    with pytest.raises(InvalidInputError, match="Fix 1 problem first"):
        services.submit_draft(job, revision=draft.revision, author=people["admin"], note="x")


def test_a_draft_that_changes_nothing_is_not_submitted(job: Job, people: dict[str, User]) -> None:
    draft = services.save_draft(job, text=CONTRACT, revision=0, author=people["admin"])

    with pytest.raises(InvalidInputError, match="nothing to publish"):
        services.submit_draft(job, revision=draft.revision, author=people["admin"], note="x")


def test_a_draft_behind_the_published_version_is_taken_over_first(
    job: Job, people: dict[str, User], tmp_path: Path
) -> None:
    draft = submitted(job, people["admin"])
    apply_toys(tmp_path, contract=CONTRACT.replace("steps: 40", "steps: 30"))
    job.refresh_from_db()

    with pytest.raises(ConflictError, match="v2 was published since"):
        services.publish_draft(job, revision=draft.revision, approver=people["admin2"], note="Yes")

    draft = services.rebase(job, revision=draft.revision, actor=people["admin"])
    assert (draft.base_number, draft.state) == (2, "draft")


def test_withdraw_keeps_the_text_and_discard_does_not(job: Job, people: dict[str, User]) -> None:
    draft = submitted(job, people["admin"])

    draft = services.withdraw(job, revision=draft.revision, actor=people["admin"])

    assert (draft.state, draft.text) == ("draft", WEAKER)
    services.discard(job, revision=draft.revision, actor=people["admin"])
    assert not ContractDraft.objects.exists()
    with pytest.raises(ConflictError, match="published or discarded"):
        services.withdraw(job, revision=draft.revision, actor=people["admin"])


def test_a_rollback_is_a_new_version_by_two_people(job: Job, people: dict[str, User]) -> None:
    draft = submitted(job, people["admin"])
    published(job, draft, people)

    draft = services.roll_back(job, number=1, actor=people["admin"], note="too many refunds")

    assert draft.state == "in_review"
    version = services.publish_draft(
        job, revision=draft.revision, approver=people["admin2"], note="Agreed"
    )
    assert (version.number, version.text) == (3, CONTRACT)
    with pytest.raises(NotFoundError):
        services.roll_back(job, number=9, actor=people["admin"], note="x")
    with pytest.raises(InvalidInputError, match="same as v3"):
        services.roll_back(job, number=3, actor=people["admin"], note="x")


def test_a_pack_does_not_overwrite_what_was_published_here(
    job: Job, people: dict[str, User], tmp_path: Path
) -> None:
    draft = submitted(job, people["admin"])
    published(job, draft, people)

    report = apply_toys(tmp_path)

    kept = next(x for x in report.lines if x.what == "job")
    assert (kept.change, kept.detail) == ("kept", ("v2 was edited in the browser and stays",))
    with pytest.raises(PackError, match="1 problem"):
        apply_toys(tmp_path, contract=CONTRACT.replace("steps: 40", "steps: 30"))


def test_a_check_says_what_would_change(job: Job) -> None:
    check = services.check_text(job, WEAKER)

    assert [c.sentence for c in check.weaker] == ["Votes needed to approve: 2 → 1"]
    assert {"changed", "same", "gap"} == {row.kind for row in check.rows}
    assert check.impact == {}
    broken = services.check_text(job, WEAKER.replace("slug: toys-reference", "slug: toys-referenc"))
    assert "Did you mean “toys-reference”?" in broken.problems[0].fix


@pytest.mark.django_db
def test_a_published_version_never_changes(tmp_path: Path) -> None:
    toys_job(tmp_path)

    with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
        ContractVersion.objects.update(note="changed afterwards")
