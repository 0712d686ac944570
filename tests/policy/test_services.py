from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import transaction

from apps.audit.models import Event
from apps.kernel.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
)
from apps.kernel.ids import new_id
from apps.policy import selectors, services
from apps.policy.domain.schema import ToolDeclaration, cedar_schema
from apps.policy.models import Decision, PolicySet
from tests.factories.policy import decided, published
from tests.policy.texts import RULES, SCHEMA, document, refund

pytestmark = pytest.mark.django_db
HARDER = document(RULES.replace("!context.conversation.confirmed", "true"))
BROKEN = document(RULES.replace("resource.listed", "resource.listd"))


@pytest.fixture
def toys() -> PolicySet:
    return published("toys", text=document(), schema=SCHEMA)


def apply(text: str, **changes: Any) -> str:
    given = {"slug": "toys", "name": "Toys", "domain_slug": "toys", "schema": SCHEMA, **changes}
    with transaction.atomic():
        return services.apply_policy(text=text, **given)


def test_decisions_are_kept_in_order_with_what_was_asked(toys: PolicySet) -> None:
    small, large, own = (
        refund(),
        refund(facts={"amount_cents": 9_000, "own": True}),
        refund(facts={"own": False}),
    )

    rows = decided("toys", [small, large, own])

    assert [row.answer for row in rows] == ["permit", "hold", "deny"]
    stored = Decision.objects.get(pk=rows[1].pk)
    assert (stored.roles, stored.votes, stored.risk) == (["operator"], 2, 3)
    assert stored.request == large.to_json()
    assert stored.request_digest == large.digest()
    assert stored.rules[0]["observed"][0]["limit_value"] == 5_000
    assert stored.policy_version.policy_set == toys


def test_deciding_needs_a_published_policy(toys: PolicySet) -> None:
    with pytest.raises(NotFoundError), transaction.atomic():
        services.decide_batch([services.PolicyQuery(new_id(), new_id(), "nobody", refund())])


def test_a_batch_of_any_size_is_two_statements(
    toys: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided("toys", [refund()])  # the text is parsed now
    sent: list[str] = []
    run = psycopg.Cursor.execute

    def noted(self: Any, sql: str, *args: Any, **options: Any) -> Any:
        sent.append(sql.split()[0])
        return run(self, sql, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    with transaction.atomic():
        services.decide_batch([services.PolicyQuery(new_id(), new_id(), "toys", refund())] * 20)

    assert [word for word in sent if word in {"SELECT", "INSERT"}] == ["SELECT", "INSERT"]


def test_applying_twice_changes_nothing(db: None) -> None:
    assert apply(document()) == "new"
    assert apply(document()) == "unchanged"
    assert apply(HARDER) == "changed"
    assert [v.number for v in selectors.versions(PolicySet.objects.get())] == [2, 1]
    assert Event.objects.filter(kind="policy.published").count() == 2


def test_another_schema_is_another_version(toys: PolicySet) -> None:
    assert apply(document(), schema={**SCHEMA, "Other": {"entityTypes": {}, "actions": {}}}) == (
        "changed"
    )


def test_applying_refuses_a_wrong_text_or_domain(toys: PolicySet) -> None:
    with pytest.raises(InvalidInputError, match="listd"):
        apply(BROKEN)
    with pytest.raises(InvalidInputError, match="another domain"):
        apply(HARDER, domain_slug="games")
    with pytest.raises(InvalidInputError, match="is about"):
        apply(document(slug="games"))


def test_validation_points_into_the_document() -> None:
    problem = services.validate(text=BROKEN, schema=SCHEMA)[0]

    line = BROKEN.split("\n")[problem.line - 1]
    assert line[problem.column - 1 :].startswith("listd")


def edited(toys: PolicySet, people: dict[str, Any], text: str) -> Any:
    draft = services.save_draft(toys, text=text, revision=0, author=people["admin"])
    return services.submit_draft(
        toys, revision=draft.revision, author=people["admin"], note="stricter"
    )


def published_by_one(toys: PolicySet, draft: Any, people: dict[str, Any], note: str) -> Any:
    """The draft, whose rewritten condition is proved to weaken nothing, approved by one."""
    return services.publish_draft(
        toys, revision=draft.revision, approver=people["admin2"], note=note
    )


def published_by_two(toys: PolicySet, draft: Any, people: dict[str, Any], note: str) -> Any:
    """The draft, which weakens a control, approved by two."""
    first = services.publish_draft(
        toys, revision=draft.revision, approver=people["admin3"], note="yes"
    )
    assert first is None
    return services.publish_draft(
        toys, revision=draft.revision, approver=people["admin2"], note=note
    )


def test_a_draft_that_is_proved_stricter_is_published_by_one_other_admin(
    toys: PolicySet, people: dict[str, Any], django_capture_on_commit_callbacks: Any
) -> None:
    draft = edited(toys, people, HARDER)

    with pytest.raises(NotPermittedError, match="second admin"):
        services.publish_draft(
            toys, revision=draft.revision, approver=people["admin"], note="agreed"
        )
    version = published_by_one(toys, draft, people, "agreed")

    assert (version.number, version.text, version.note) == (2, HARDER, "agreed")
    assert (version.author, version.approver) == (people["admin"], people["admin2"])
    assert selectors.draft_of(toys) is None
    assert decided("toys", [refund()])[0].answer == "hold"


@pytest.mark.parametrize("role", ["operator", "auditor", "product_manager"])
def test_only_admins_change_policies(toys: PolicySet, people: dict[str, Any], role: str) -> None:
    with pytest.raises(NotPermittedError):
        services.save_draft(toys, text=HARDER, revision=0, author=people[role])
    with pytest.raises(NotPermittedError):
        services.roll_back(toys, number=1, actor=people[role], note="back")


def test_a_wrong_draft_is_kept_but_not_submitted(toys: PolicySet, people: dict[str, Any]) -> None:
    draft = services.save_draft(toys, text=BROKEN, revision=0, author=people["admin"])

    with pytest.raises(InvalidInputError):
        services.submit_draft(toys, revision=draft.revision, author=people["admin"], note="x")

    kept = selectors.draft_of(toys)
    assert kept is not None
    assert kept.text == BROKEN


def test_who_saved_first_is_named(toys: PolicySet, people: dict[str, Any]) -> None:
    services.save_draft(toys, text=HARDER, revision=0, author=people["admin"])
    services.save_draft(toys, text=HARDER + "\n", revision=1, author=people["admin2"])

    with pytest.raises(ConflictError) as caught:
        services.save_draft(toys, text=BROKEN, revision=1, author=people["admin"])

    assert caught.value.detail["who"] == people["admin2"].display_name
    assert caught.value.detail["revision"] == 2


def test_an_edit_after_submission_is_not_published(toys: PolicySet, people: dict[str, Any]) -> None:
    draft = edited(toys, people, HARDER)
    services.save_draft(toys, text=document(), revision=draft.revision, author=people["admin"])

    with pytest.raises(ConflictError):
        services.publish_draft(
            toys, revision=draft.revision, approver=people["admin2"], note="agreed"
        )

    assert selectors.current_digest("toys") == selectors.versions(toys)[-1].digest


def test_a_draft_behind_the_published_version_is_not_published(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    draft = edited(toys, people, HARDER)
    apply(document(most_cents=7))
    toys.refresh_from_db()

    with pytest.raises(ConflictError, match="v2 was published"):
        services.publish_draft(
            toys, revision=draft.revision, approver=people["admin2"], note="agreed"
        )

    rebased = services.rebase(toys, revision=draft.revision, actor=people["admin"])
    assert rebased.base_number == 2


def test_roll_back_puts_the_older_text_up_for_review(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    apply(HARDER)
    toys.refresh_from_db()

    draft = services.roll_back(toys, number=1, actor=people["admin"], note="too strict")
    version = published_by_two(toys, draft, people, "agreed")

    assert (version.number, version.text) == (3, document())
    with pytest.raises(NotFoundError):
        services.roll_back(toys, number=9, actor=people["admin"], note="x")


def test_a_pack_does_not_undo_an_edit_in_the_browser(
    toys: PolicySet, people: dict[str, Any]
) -> None:
    draft = edited(toys, people, HARDER)
    published_by_one(toys, draft, people, "ok")

    assert apply(document()) == "kept"
    with pytest.raises(InvalidInputError, match="browser"):
        apply(document(most_cents=7))
    assert apply(document(most_cents=7), force=True) == "changed"


def test_simulation_counts_old_and_new_answers(toys: PolicySet) -> None:
    rows = decided(
        "toys",
        [
            refund(),
            refund(facts={"amount_cents": 9_000, "own": True}),
            refund(facts={"own": False}),
            refund(facts={"amount_cents": 9_000, "own": True}, approvals=frozenset({"operator"})),
            refund(tool="look", effect="read"),
        ],
    )

    found = services.simulate(toys, HARDER)

    assert found.total == 3
    assert found.counts == {("permit", "hold"): 1, ("hold", "hold"): 1, ("deny", "deny"): 1}
    assert found.before == {"permit": 1, "hold": 1, "deny": 1}
    assert found.after == {"permit": 0, "hold": 2, "deny": 1}
    assert [c.decision_id for c in found.changed] == [rows[0].pk]
    with pytest.raises(InvalidInputError):
        services.simulate(toys, BROKEN)


def test_limits_are_simulated_as_a_curve(toys: PolicySet) -> None:
    rows = decided(
        "toys", [refund(facts={"amount_cents": n, "own": True}) for n in (1_000, 4_000, 9_000)]
    )

    points = services.simulate_limits(toys, name="most_cents", values=[500, 5_000, 10_000])

    assert [(p.value, p.permit, p.hold, p.deny) for p in points] == [
        (500, 0, 3, 0),
        (5_000, 2, 1, 0),
        (10_000, 3, 0, 0),
    ]
    again = services.rejudge([row.pk for row in rows], limit_factor=0.5)
    assert [again[row.pk] for row in rows] == ["permit", "hold", "hold"]
    with pytest.raises(InvalidInputError):
        services.simulate_limits(toys, name="nothing", values=[1])


def test_rules_say_how_often_they_spoke(toys: PolicySet) -> None:
    decided("toys", [refund(), refund(conversation={}), refund(facts={"own": False}, listed=False)])
    version = selectors.current_version("toys")
    assert version is not None

    rows = services.rules(version)

    assert [(r.rule.id, r.permit, r.hold, r.deny) for r in rows] == [
        ("listed", 1, 0, 0),
        ("unconfirmed", 0, 1, 0),
        ("large", 0, 0, 0),
        ("not-own", 0, 0, 1),
    ]
    assert document().split("\n")[rows[1].line - 1].strip().startswith('@id("unconfirmed")')


def test_what_was_unknown_is_as_unknown_when_it_is_asked_again(toys: PolicySet) -> None:
    decided(
        "toys",
        [
            refund(facts={"amount_cents": None, "own": True}),
            refund(facts={"amount_cents": 10**40, "own": True}),
            refund(preview_error="no answer in 10 s"),
        ],
    )

    found = services.simulate(toys, document())

    assert found.counts == {("hold", "hold"): 3}
    assert found.rules == {"facts-unknown": 3}


def test_decisions_of_an_earlier_release_are_asked_again_as_they_were(toys: PolicySet) -> None:
    """Before, nobody looked for gaps: that is no difference which a draft makes."""
    for request in (refund(facts={}), refund()):
        stored = {key: value for key, value in request.to_json().items() if key != "v"}
        Decision.objects.create(
            id=new_id(),
            policy_version=toys.versions.get(),
            run_id=new_id(),
            step_id=new_id(),
            action="refund",
            answer="permit",
            request=stored,
        )

    assert services.simulate(toys, document()).counts == {("permit", "permit"): 2}


def test_a_fact_declared_since_is_no_difference_that_a_draft_makes(toys: PolicySet) -> None:
    decided("toys", [refund()])
    more = cedar_schema(
        [
            ToolDeclaration(
                "refund", "irreversible", {"amount_cents": "long", "own": "bool", "new": "long"}
            )
        ]
    )

    assert services.simulate(toys, document(), schema=more).counts == {("permit", "permit"): 1}


EXEMPT = "may_go_without_facts:\n  {0}: {1}\npolicies: |"


@pytest.mark.parametrize(
    ("tool", "why", "said"),
    [
        ("refnd", "Coins.", "There is no tool “refnd”. Did you mean “refund”?"),
        ("look", "It reads.", "“look” needs no exemption"),
        ("refund", '""', "“refund” is exempted without a reason."),
        ("refund", "[]", "“refund” is exempted without a reason."),
    ],
)
def test_an_exemption_names_a_tool_that_needs_one_and_says_why(
    tool: str, why: str, said: str
) -> None:
    text = document().replace("policies: |", EXEMPT.format(tool, why))

    problems = services.validate(text=text, schema=SCHEMA)

    assert [said in str(p) for p in problems] == [True], problems
    assert problems[0].line == 6


def test_an_exemption_is_in_force_and_stored_with_the_decision(toys: PolicySet) -> None:
    apply(document().replace("policies: |", EXEMPT.format("refund", "Coins only.")))

    (row,) = decided("toys", [refund(facts={})])

    assert row.answer == "permit"
    assert row.rules[-1]["id"] == "may-go-without-facts"
    assert [u["name"] for u in row.rules[-1]["unknown"]] == ["amount_cents", "own"]
