"""Contracts as a kind of document: what is checked, compared and published. How a draft becomes a
version is in ``documents``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from apps.catalog import selectors
from apps.catalog.domain.contract import CheckContext, build, parse
from apps.catalog.domain.contract_checks import numbers_of
from apps.catalog.domain.diff import compare
from apps.catalog.forms import contract_sections
from apps.catalog.models import ContractDraft, ContractVersion, Job
from apps.catalog.services.publishing import publish_version, resolve
from apps.catalog.services.writing import hold_catalog
from apps.documents import services as documents
from apps.documents.domain.changes import Change
from apps.documents.domain.kinds import Consequences, DocumentKind, Edition
from apps.kernel.documents import Problem, load
from apps.kernel.errors import InvalidInputError
from apps.kernel.fields import Section
from apps.kernel.transactions import participant
from apps.policy import selectors as policies


class ContractKind:
    """A job's contract."""

    name = "contract"
    subject_type = "job"
    permission = "catalog.edit"
    refusal = "Only an admin publishes a contract."
    format = "yaml"
    drafts = ContractDraft
    subject_field = "job"

    def current(self, subject: Job) -> ContractVersion | None:
        return selectors.current_version(subject)

    def version(self, subject: Job, number: int) -> ContractVersion | None:
        return subject.versions.filter(number=number).first()

    def unkeepable(self, text: str) -> str:
        return ""

    def broken(self, subject: Job, text: str) -> Sequence[str]:
        return ()

    def problems(self, subject: Job, text: str) -> Sequence[Problem]:
        return parse(text, known_for(subject)).problems

    def changes(self, subject: Job, before: ContractVersion, text: str) -> Sequence[Change]:
        after = parse(text).contract
        if after is None:
            return ()
        return compare(build(before.document), after, selectors.tool_effects(subject.domain_id))

    def first_changes(self, subject: Job, text: str) -> Sequence[Change]:
        return ()

    def consequences(self, subject: Job, text: str, *, readable: bool) -> Consequences:
        """The runs that are on their way, by the version they stay on."""
        counts = selectors.open_runs(subject.slug)
        lines = [
            f"{count} {'run stays' if count == 1 else 'runs stay'} on v{number}."
            for number, count in counts.items()
        ]
        lines = lines or ["No run is on its way: nothing stays on an older version."]
        lines.append("Runs that start after publishing follow the new version.")
        return Consequences(lines, counts)

    def sections(self, subject: Job, text: str) -> Sequence[Section]:
        known = known_for(subject)
        return contract_sections(
            load(text).value,
            agents=known.agents or frozenset(),
            policies=known.policies or frozenset(),
        )

    @participant
    def publish(self, subject: Job, edition: Edition) -> ContractVersion:
        hold_catalog()
        parsed = parse(edition.text, known_for(subject))
        if parsed.contract is None or parsed.document is None:
            raise InvalidInputError("The draft has problems.", problems=parsed.errors)
        resolved = resolve(parsed.contract, domain_id=subject.domain_id)
        return publish_version(
            subject,
            contract=parsed.contract,
            document=parsed.document,
            text=edition.text,
            resolved=resolved,
            note=edition.note,
            notes=edition.notes,
            actor=edition.actor,
            author_id=edition.author_id,
            approver_id=edition.approver_id,
        )


def known_for(job: Job, effects: dict[str, str] | None = None) -> CheckContext:
    """Everything that the names in a draft of ``job`` may point at; ``effects``: of the tools, as
    they would be."""
    domain: Any = job.domain
    return CheckContext(
        tools=effects or selectors.tool_effects(job.domain_id),
        agents=selectors.agent_slugs(),
        policies=policies.slugs(domain.slug),
        elsewhere=policies.domains(),
        job=job.slug,
        numbers={str(t["name"]): numbers_of(t) for t in selectors.tool_documents(domain.slug)},
    )


CONTRACTS: DocumentKind = ContractKind()

check_text = partial(documents.look, CONTRACTS)
save_draft = partial(documents.save_draft, CONTRACTS)
submit_draft = partial(documents.submit_draft, CONTRACTS)
withdraw = partial(documents.withdraw, CONTRACTS)
discard = partial(documents.discard, CONTRACTS)
rebase = partial(documents.rebase, CONTRACTS)
publish_draft = partial(documents.publish_draft, CONTRACTS)
roll_back = partial(documents.roll_back, CONTRACTS)
