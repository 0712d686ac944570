"""Policy sets as a kind of document: what is checked, compared and published. How a draft becomes a
version is in ``documents``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from apps.documents import services as documents
from apps.documents.domain.changes import Change
from apps.documents.domain.kinds import Case, Consequences, DocumentKind, Edition
from apps.kernel.documents import Problem, load
from apps.kernel.errors import ConflictError
from apps.kernel.fields import Section
from apps.kernel.patching import scalar
from apps.kernel.transactions import participant
from apps.policy import selectors
from apps.policy.domain.schema import cedar_schema
from apps.policy.forms import policy_sections
from apps.policy.models import PolicyDraft, PolicySet, PolicyVersion
from apps.policy.services.comparing import compare_texts, moves, with_proofs
from apps.policy.services.proving import known_of, newly_broken
from apps.policy.services.publishing import Json, problems_of, publish
from apps.policy.services.simulating import ChangedAnswer, simulate

ASKED_AGAIN = 500  # while typing: a fraction of a second


class PolicyKind:
    """A policy set's text. It is checked against the schema of the version in force; a pack brings
    a new schema."""

    name = "policy"
    subject_type = "policy"
    permission = "policy.edit"
    refusal = "Only an admin changes a policy."
    format = "yaml"
    drafts = PolicyDraft
    subject_field = "policy_set"

    def current(self, subject: PolicySet) -> PolicyVersion | None:
        return selectors.current_version(subject.slug)

    def version(self, subject: PolicySet, number: int) -> PolicyVersion | None:
        return subject.versions.filter(number=number).first()

    def unkeepable(self, text: str) -> str:
        return ""

    def problems(self, subject: PolicySet, text: str) -> Sequence[Problem]:
        return problems_of(text, schema_of(subject), subject.slug, subject.domain_slug)

    def changes(self, subject: PolicySet, before: PolicyVersion, text: str) -> Sequence[Change]:
        """Told from the texts, and from what is proved of them so far."""
        found = compare_texts(before.text, text)
        proved = known_of(subject, text, schema_of(subject))
        decided_then = known_of(subject, before.text, before.schema)
        return with_proofs(found, proved, decided_then)

    def broken(self, subject: PolicySet, text: str) -> Sequence[str]:
        return newly_broken(subject, text, schema_of(subject))

    def first_changes(self, subject: PolicySet, text: str) -> Sequence[Change]:
        return ()

    def consequences(self, subject: PolicySet, text: str, *, readable: bool) -> Consequences:
        """How the last recorded decisions would be answered."""
        if not readable:
            line = "Recorded decisions are asked again when the text has no errors."
            return Consequences([line])
        found = simulate(subject, text, schema=schema_of(subject), limit=ASKED_AGAIN)
        counts = {f"{a} → {b}": n for (a, b), n in found.counts.items() if a != b}
        return Consequences(list(moves(found)), counts, [_case(c) for c in found.changed])

    def sections(self, subject: PolicySet, text: str) -> Sequence[Section]:
        return policy_sections(load(text).value)

    @participant
    def publish(self, subject: PolicySet, edition: Edition) -> PolicyVersion:
        return publish(
            subject,
            text=edition.text,
            schema=schema_of(subject),
            actor=edition.actor,
            author_id=edition.author_id,
            approver_id=edition.approver_id,
            note=edition.note,
            notes=edition.notes,
        )


def _case(found: ChangedAnswer) -> Case:
    return Case(found.run_id, found.action, found.before, found.after, found.at)


def schema_of(policy_set: PolicySet) -> Json:
    """What its next version is checked against."""
    published = selectors.current_version(policy_set.slug)
    return published.schema if published else policy_set.schema or cedar_schema(())


FIRST = """\
policy: {slug}
name: {name}
limits: {{}}
policies: |
  @id("tools-of-the-contract") @reason("The contract lists this tool")
  @purpose("Agents use only what their contract names")
  permit(principal, action, resource) when {{ resource.listed }};

  @id("changes-are-looked-at")
  @require_approval("operator") @votes("1") @risk("2")
  @reason("It changes something")
  @purpose("Until rules say more, a person looks at every change")
  forbid(principal, action in [Action::"draft", Action::"write", Action::"irreversible"], resource)
    unless {{ context.approvals.contains("operator") }};
"""


@participant
def begin(*, slug: str, name: str, domain_slug: str, schema: Json, author: Any) -> PolicySet:
    """A policy set that has no version yet, and its first draft, which holds every change. Raises
    ConflictError when the slug is taken."""
    # The unique slug decides between two who begin it at once: the second finds the first one's.
    made, is_new = PolicySet.objects.get_or_create(
        slug=slug, defaults={"name": name, "domain_slug": domain_slug, "schema": dict(schema)}
    )
    if not is_new:
        raise ConflictError(f"There is a policy set “{slug}” already.", code="slug_taken")
    text = FIRST.format(slug=slug, name=scalar(name))
    documents.start(POLICIES, made, text=text, author=author)
    return made


POLICIES: DocumentKind = PolicyKind()

check_text = partial(documents.look, POLICIES)
save_draft = partial(documents.save_draft, POLICIES)
submit_draft = partial(documents.submit_draft, POLICIES)
withdraw = partial(documents.withdraw, POLICIES)
discard = partial(documents.discard, POLICIES)
rebase = partial(documents.rebase, POLICIES)
publish_draft = partial(documents.publish_draft, POLICIES)
roll_back = partial(documents.roll_back, POLICIES)
