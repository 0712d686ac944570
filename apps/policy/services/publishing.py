"""A text becomes a version: checked, numbered, and never changed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.accounts.registry import permission
from apps.audit.domain.actors import PACK, Actor
from apps.audit.services import record
from apps.kernel.canonical import digest
from apps.kernel.documents import Problem, load
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.kernel.transactions import participant
from apps.policy.adapters import Evaluator
from apps.policy.adapters.checking import checked_apart
from apps.policy.domain.cases import Outcome, failures, tried, unknown_names
from apps.policy.domain.document import PolicyDocument, exempted_tools, read_document
from apps.policy.domain.schema import may_lack_facts
from apps.policy.models import PolicySet, PolicyVersion

Json = Mapping[str, Any]


def deciding_roles() -> tuple[str, ...]:
    """The roles that can decide what a policy holds."""
    return tuple(sorted(permission("approvals.decide").roles))


def validate(*, text: str, schema: Json, domain: str = "") -> list[Problem]:
    """Everything wrong with a policy document, in the order of its text; empty: publishable. Its
    tests are asked as in ``domain``; without one, as in one of the set's name."""
    document, problems = read_document(text)
    if document is None:
        return problems
    problems += exempted_tools(text, may_lack_facts(schema))
    for found in checked_apart(document.policies, document.limits, schema, deciding_roles()):
        line, column = document.position(found.line, found.column)
        at = (found.path, line, column)
        problems.append(Problem(found.message, found.fix, *at))
    if not problems:
        problems = _of_tests(text, document, schema, domain or document.slug)
    return sorted(problems, key=lambda p: (p.line, p.column))


def _of_tests(text: str, document: PolicyDocument, schema: Json, domain: str) -> list[Problem]:
    """Tests that can't be what they say, and those that fail."""
    if not document.cases:
        return []
    source = load(text)
    if problems := unknown_names(document.cases, source, schema):
        return problems
    return list(failures(tested(document, schema, domain), source))


def tested(document: PolicyDocument, schema: Json, domain: str) -> list[Outcome]:
    """What a document without other problems answers to its tests."""
    if not document.cases:
        return []
    exempt = document.may_go_without_facts
    judge = Evaluator(document.policies, document.limits, schema, exempt)
    return tried(document.cases, judge.evaluate_batch, schema, domain)


def problems_of(text: str, schema: Json, slug: str, domain: str = "") -> list[Problem]:
    """Everything wrong with a document of this policy set."""
    problems = validate(text=text, schema=schema, domain=domain)
    document, _ = read_document(text)
    if document is not None and document.slug != slug:
        message = f"The document is about “{document.slug}”, not “{slug}”."
        problems.append(Problem(message, f"Write “policy: {slug}”.", "policy"))
    return problems


def checked(text: str, schema: Json, slug: str, domain: str = "") -> PolicyDocument:
    """The document, or ``InvalidInputError`` with its problems."""
    problems = problems_of(text, schema, slug, domain)
    document, _ = read_document(text)
    if problems or document is None:
        count = len(problems)
        noun = "problem" if count == 1 else "problems"
        raise InvalidInputError(f"Fix {count} {noun} first. {problems[0]}", problems=problems)
    return document


def version_digest(text: str, schema: Json) -> str:
    """Names a version: what is asked under it depends on its text and its schema."""
    return digest({"text": text, "schema": schema}, purpose="policy-version")


@participant
def publish(
    policy_set: PolicySet,
    *,
    text: str,
    schema: Json,
    actor: Actor,
    author_id: int | None = None,
    approver_id: int | None = None,
    note: str = "",
    notes: Sequence[Mapping[str, Any]] = (),
) -> PolicyVersion:
    """Publish ``text`` as the next version: from this commit on, every question is asked under it.
    Raises ``InvalidInputError`` with problems, ``ConflictError`` when somebody was first."""
    document = checked(text, schema, policy_set.slug, policy_set.domain_slug)
    number = policy_set.current_number + 1
    # Of two publishers that read the same number one moves it; the other is told.
    moved = PolicySet.objects.filter(
        pk=policy_set.pk, current_number=policy_set.current_number
    ).update(current_number=number, name=document.name)
    if moved != 1:
        raise ConflictError(f"Another version of “{policy_set.slug}” was published meanwhile.")
    version = PolicyVersion.objects.create(
        policy_set=policy_set,
        number=number,
        text=text,
        limits=dict(document.limits),
        schema=dict(schema),
        digest=version_digest(text, schema),
        note=note,
        notes=list(notes),
        author_id=author_id,
        approver_id=approver_id,
    )
    policy_set.current_number, policy_set.name = number, document.name
    record(
        kind="policy.published",
        actor=actor,
        subject_type="policy",
        subject_id=policy_set.slug,
        payload={"number": number, "digest": version.digest, "note": note},
    )
    return version


@participant
def follow_schema(
    domain_slug: str,
    schema: Json,
    *,
    actor: Actor,
    note: str,
    author_id: int | None = None,
    approver_id: int | None = None,
) -> list[PolicyVersion]:
    """Have each published set of a domain judged by its tools as they are now: its text becomes a
    version under their schema, if that is another one; one that was never published is checked by
    it from now on. Raises ``InvalidInputError`` for a text
    that doesn't fit them."""
    sets = PolicySet.objects.filter(domain_slug=domain_slug)
    sets.filter(current_number=0).update(schema=dict(schema))  # for their first version
    made = []
    for found in sets.filter(current_number__gt=0).order_by("slug"):
        current = found.versions.get(number=found.current_number)
        if current.digest == version_digest(current.text, schema):
            continue
        made.append(
            publish(
                found,
                text=current.text,
                schema=schema,
                actor=actor,
                note=note,
                author_id=author_id or current.author_id,  # a pack's: whose text it stays
                approver_id=approver_id or current.approver_id,
            )
        )
    return made


@participant
def apply_policy(
    *,
    slug: str,
    name: str,
    domain_slug: str,
    text: str,
    schema: Json,
    note: str = "",
    actor: Actor = PACK,
    force: bool = False,
) -> str:
    """Bring a pack's document into force: ``new``, ``changed``, ``unchanged``, or ``kept`` when
    the pack says what it said before and somebody has published in the browser since. Raises
    ``InvalidInputError`` when both have changed and ``force`` is not said."""
    # Of two packs that name the same new set the second finds the first one's row.
    policy_set, made = PolicySet.objects.get_or_create(
        slug=slug, defaults={"name": name, "domain_slug": domain_slug}
    )
    if policy_set.domain_slug != domain_slug:
        raise InvalidInputError(
            f"The policy “{slug}” belongs to another domain, {policy_set.domain_slug}."
        )
    current = policy_set.versions.filter(number=policy_set.current_number).first()
    if current is not None and current.digest == version_digest(text, schema):
        return "unchanged"
    applied = policy_set.versions.filter(author=None).first()
    before = "" if applied is None else applied.text
    if current is not None and not force and current.text not in {before, text}:
        if before == text:
            return "kept"
        raise InvalidInputError(
            f"The policy “{slug}” changed in the pack, but v{current.number} was published in the"
            " browser since the pack was last applied. Take the edit over into the pack, or apply"
            " with --force."
        )
    publish(policy_set, text=text, schema=schema, actor=actor, note=note)
    return "new" if made or current is None else "changed"
