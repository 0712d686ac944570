"""Sentences beside a policy: kept by the document, and held against those who publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.kernel.errors import InvalidInputError
from apps.policy import selectors, services
from apps.policy.adapters import apart
from apps.policy.models import PolicyProof, PolicySet
from apps.policy.services import proving
from tests.factories.policy import published
from tests.policy.texts import SCHEMA, document

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]
CAREFUL = """invariants:
  - id: small-only
    says: Nothing above fifty is paid out without a person
    tools: [refund]
    when: {facts.amount_cents: above 5000}
    never: permit
"""


def with_sentences(text: str, sentences: str = CAREFUL) -> str:
    return text.replace("policies: |", f"{sentences}policies: |")


@pytest.fixture
def toys() -> PolicySet:
    return published("toys", text=with_sentences(document()), schema=SCHEMA)


def saved(toys: PolicySet, people: dict[str, Any], text: str) -> Any:
    return services.save_draft(toys, text=text, revision=0, author=people["admin"])


def published_by(toys: PolicySet, people: dict[str, Any], who: str, note: str = "agreed") -> Any:
    draft = selectors.draft_of(toys)
    assert draft is not None
    return services.publish_draft(toys, revision=draft.revision, approver=people[who], note=note)


def test_a_broken_sentence_needs_two_and_a_reason(toys: PolicySet, people: dict[str, Any]) -> None:
    draft = saved(toys, people, with_sentences(document(most_cents=9_000)))

    with pytest.raises(InvalidInputError, match="Nothing above fifty") as caught:
        services.submit_draft(toys, revision=draft.revision, author=people["admin"], note=" ")
    assert caught.value.detail["field"] == "note"
    services.submit_draft(toys, revision=draft.revision, author=people["admin"], note="a sale")

    assert published_by(toys, people, "admin2") is None, "one is not enough"
    assert published_by(toys, people, "admin3").number == 2


def test_a_first_version_that_breaks_what_holds_of_every_tower_needs_two(
    people: dict[str, Any],
) -> None:
    with transaction.atomic():
        made = services.begin(
            slug="lax", name="Lax", domain_slug="toys", schema=SCHEMA, author=people["admin"]
        )
    rules = '@id("all") permit(principal, action, resource);'
    services.save_draft(made, text=document(rules, slug="lax"), revision=1, author=people["admin"])
    services.submit_draft(made, revision=2, author=people["admin"], note="a test")

    assert published_by(made, people, "admin2") is None
    assert published_by(made, people, "admin3").number == 1


def test_what_the_version_in_force_breaks_as_well_was_decided_then(
    people: dict[str, Any],
) -> None:
    """Making a policy stricter must not be harder because of what it leaves as it was."""
    lax = document().replace("when { resource.listed }", "")
    toys = published("toys", text=lax, schema=SCHEMA)
    draft = saved(toys, people, lax.replace("most_cents: 5000", "most_cents: 4000"))
    services.submit_draft(toys, revision=draft.revision, author=people["admin"], note="")

    assert published_by(toys, people, "admin2").number == 2


def test_a_draft_that_only_looks_weaker_needs_one(toys: PolicySet, people: dict[str, Any]) -> None:
    stricter = with_sentences(document()).replace(
        "context.facts.amount_cents > context", "context.facts.amount_cents >= context"
    )
    draft = saved(toys, people, stricter)
    services.submit_draft(toys, revision=draft.revision, author=people["admin"], note="")

    kinds = {c.kind.value for c in services.check_text(toys, stricter).changes}
    assert kinds == {"stronger_control"}
    assert published_by(toys, people, "admin2").number == 2


def test_what_the_solver_does_not_know_counts_as_weaker(
    toys: PolicySet, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "SECONDS", 0.01)
    stricter = with_sentences(document(most_cents=4_000))
    draft = saved(toys, people, stricter)
    services.submit_draft(toys, revision=draft.revision, author=people["admin"], note="why")

    services.assess(toys, stricter, SCHEMA)
    sentences = [c.sentence for c in services.check_text(toys, stricter).weaker]
    assert any("not known whether it is answered more easily" in s for s in sentences)
    assert published_by(toys, people, "admin2") is None
    assert published_by(toys, people, "admin3").number == 2


def test_taking_a_sentence_out_or_waiving_one_is_a_weaker_control(toys: PolicySet) -> None:
    waiver = "invariants:\n  - id: no-rule-fails\n    waived: It is a test.\n"

    gone = services.check_text(toys, document()).weaker
    waived = services.check_text(toys, with_sentences(document(), CAREFUL + waiver[12:])).weaker

    assert [c.path for c in gone] == ["invariants.small-only"]
    assert [c.sentence for c in waived] == ["“no-rule-fails” is now waived: It is a test."]


@pytest.mark.parametrize(
    ("sentences", "says"),
    [
        ("invariants: yes\n", "not a list"),
        ("invariants:\n  - id: x\n    never: permit\n", "in words"),
        ("invariants:\n  - id: x\n    says: s\n", "never nor always"),
        ("invariants:\n  - id: x\n    says: s\n    never: perhaps\n", "“perhaps” is no answer"),
        ("invariants:\n  - id: x\n    says: s\n    never: hold\n    by: me\n", "“by” is not a key"),
        (
            "invariants:\n  - {id: x, says: s, never: hold, when: {facts.a: above much}}\n",
            "“much” is neither",
        ),
        (
            "invariants:\n  - id: x\n    says: s\n    never: hold\n    when: {mood.a: yes}\n",
            "“mood.a” is none of",
        ),
        (
            "invariants:\n  - id: x\n    says: s\n    never: hold\n    when: {run.mood: yes}\n",
            "there is no “run.mood”",
        ),
        ("invariants:\n  - id: no-rule-fails\n    says: s\n    never: hold\n", "every tower"),
        ("invariants:\n  - id: mine\n    waived: why\n", "No sentence “mine”"),
        ("invariants:\n  - id: no-rule-fails\n    waived: ''\n", "without a reason"),
        (
            "invariants:\n  - {id: x, says: s, never: hold}\n  - {id: x, says: s, never: hold}\n",
            "There are two “x”",
        ),
        ("invariants:\n  - {id: x, says: s, never: hold, tools: some}\n", "names no tools"),
        ("invariants:\n  - {id: x, says: s, never: hold, approved: soon}\n", "no approver"),
    ],
)
def test_a_sentence_that_is_wrong_is_named(sentences: str, says: str) -> None:
    found = services.validate(text=with_sentences(document(), sentences), schema=SCHEMA)

    assert [p for p in found if says.lower() in p.message.lower()], [str(p) for p in found]
    assert all(p.line > 1 for p in found)


def test_findings_are_kept_by_what_was_asked(
    toys: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = with_sentences(document(most_cents=4_000))
    found = services.assess(toys, text, SCHEMA)
    monkeypatch.setattr(proving, "said_apart", None)  # nobody is asked again

    assert services.assess(toys, text, SCHEMA) == found
    assert PolicyProof.objects.count() == 1
    with pytest.raises(TypeError):
        services.assess(toys, with_sentences(document(most_cents=4_001)), SCHEMA)


def test_nothing_is_kept_of_what_nobody_had_a_turn_to_look_at(
    toys: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever comes while another text is looked through is told so for ten minutes."""
    text = with_sentences(document(most_cents=4_000))
    monkeypatch.setattr(proving, "SECONDS", 0.01)
    with apart._places:
        assert services.assess(toys, text, SCHEMA).undecided
    monkeypatch.undo()

    assert PolicyProof.objects.count() == 0
    assert not services.assess(toys, text, SCHEMA).undecided


def test_the_pages_show_what_is_proved_and_what_becomes_weaker(
    toys: PolicySet, people: dict[str, Any], client_as: As
) -> None:
    saved(toys, people, with_sentences(document(most_cents=9_000)))
    client = client_as("admin")

    page = client.get(reverse("policy:draft", args=["toys"])).content.decode()
    assert reverse("policy:draft_proofs", args=["toys"]) in page
    part = " ".join(
        client.get(reverse("policy:draft_proofs", args=["toys"])).content.decode().split()
    )
    assert "Weaker for 1 tool, stricter for none" in part
    assert "$50.01" in part
    assert "Nothing above fifty is paid out without a person" in part
    assert part.count(">broken<") == 1
    in_force = client.get(reverse("policy:proofs", args=["toys"])).content.decode()
    assert "Against the version in force" not in in_force
    assert ">broken<" not in in_force
    changes = client.get(reverse("policy:draft", args=["toys"])).content.decode()
    assert "Broken: “Nothing above fifty" in changes


def test_a_draft_that_is_wrong_has_no_proofs(
    toys: PolicySet, people: dict[str, Any], client_as: As
) -> None:
    saved(toys, people, "a: [")

    part = client_as("operator").get(reverse("policy:draft_proofs", args=["toys"]))

    assert "Proofs are made of a text without errors" in part.content.decode()
