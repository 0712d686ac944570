"""What can be proved of a text, found out apart from this process and kept by what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from apps.kernel.canonical import digest
from apps.policy import selectors
from apps.policy.adapters.apart import ChildOutput, said_apart
from apps.policy.domain.document import PolicyDocument, read_document
from apps.policy.domain.proofs.assessment import Assessment, Status, as_json, assessed, from_json
from apps.policy.domain.proofs.defaults import all_of
from apps.policy.domain.proofs.sentences import Sentence
from apps.policy.domain.schema import declared_facts
from apps.policy.models import PolicyProof, PolicySet

SOLVER = "apps.policy.adapters.solving"
VERSION = 1  # of what is asked and modelled: another one is asked anew
SECONDS = 30.0  # for all questions about one text
MILLISECONDS = 3_000  # for each
AGAIN = timedelta(minutes=10)  # when what was not known is tried once more

Json = dict[str, Any]


def assess(policy_set: PolicySet, text: str, schema: Mapping[str, Any]) -> Assessment:
    """What is known of a text that has no errors: which sentences hold of every request, and how it
    stands to the version in force. Takes up to ``SECONDS`` the first time."""
    asked = _asked(policy_set, text, schema)
    if asked is None:
        return Assessment()
    task, sentences = asked
    key = digest(task, purpose="policy-proof")
    if (known := _kept(key)) is not None and (known.is_whole or not _is_old(key)):
        return known
    said = said_apart(SOLVER, task, seconds=SECONDS)
    found = _found(said, task, sentences)
    if not said.had_a_turn:  # of what nobody looked at nothing is kept
        return found
    PolicyProof.objects.update_or_create(
        digest=key,
        defaults={"findings": as_json(found), "is_whole": found.is_whole, "at": Now()},
    )
    return found


def known_of(policy_set: PolicySet, text: str, schema: Mapping[str, Any]) -> Assessment | None:
    """The same, if it was found out before."""
    asked = _asked(policy_set, text, schema)
    return None if asked is None else _kept(digest(asked[0], purpose="policy-proof"))


def newly_broken(policy_set: PolicySet, text: str, schema: Mapping[str, Any]) -> list[str]:
    """Sentences that a text breaks, or that are not known to hold, in words; but for those of
    which the same is true of the version in force: that was decided then."""
    open_now = _open(assess(policy_set, text, schema))
    if not open_now:
        return []
    version = selectors.current_version(policy_set.slug)
    before = _open(assess(policy_set, version.text, version.schema)) if version else {}
    return [words for name, words in open_now.items() if name not in before]


def _open(found: Assessment) -> dict[str, str]:
    words = {Status.BROKEN: "is broken", Status.UNKNOWN: "is not known to hold"}
    return {f.id: f"“{f.says}” {words[f.status]}." for f in found.findings if f.status in words}


def _kept(key: str) -> Assessment | None:
    found = PolicyProof.objects.filter(digest=key).values_list("findings", flat=True).first()
    return None if found is None else from_json(found)


def _is_old(key: str) -> bool:
    return PolicyProof.objects.filter(digest=key, at__lt=timezone.now() - AGAIN).exists()


def _asked(
    policy_set: PolicySet, text: str, schema: Mapping[str, Any]
) -> tuple[Json, list[Sentence]] | None:
    """What is asked, and of which sentences. None for a text that can't be read."""
    document, _ = read_document(text)
    if document is None:
        return None
    version = selectors.current_version(policy_set.slug)
    before = None
    if version is not None and version.text != text:
        before, _ = read_document(version.text)
    sentences = all_of(document.invariants)
    task = {
        "version": VERSION,
        "policy": _policy(document),
        "before": _policy(before) if before else None,
        "schema": dict(schema),
        "domain": policy_set.domain_slug,
        "sentences": [asdict(sentence) for sentence in sentences],
        "milliseconds": MILLISECONDS,
    }
    return task, sentences


def _policy(document: PolicyDocument) -> Json:
    return {
        "policies": document.policies,
        "limits": dict(document.limits),
        "exempt": dict(document.may_go_without_facts),
    }


def _found(said: ChildOutput, task: Json, sentences: list[Sentence]) -> Assessment:
    return assessed(
        sentences,
        sorted(declared_facts(task["schema"])),
        said.lines,
        ended=said.ended,
        compared=task["before"] is not None,
    )
