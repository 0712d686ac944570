"""Policies in force, and decisions they took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from apps.kernel.ids import new_id
from apps.policy.domain.request import Request
from apps.policy.models import Decision, PolicySet
from apps.policy.services import PolicyQuery, apply_policy, decide_batch


def published(slug: str, *, text: str, schema: Any, domain: str = "toys") -> PolicySet:
    """A policy set with this text in force."""
    with transaction.atomic():
        apply_policy(slug=slug, name=slug, domain_slug=domain, text=text, schema=schema)
    return PolicySet.objects.get(slug=slug)


def decided(slug: str, requests: Sequence[Request]) -> list[Decision]:
    """The recorded answers to these questions, each of a step of its own."""
    with transaction.atomic():
        answers = decide_batch(
            [PolicyQuery(new_id(), new_id(), slug, request) for request in requests]
        )
    rows = Decision.objects.in_bulk([answer.id for answer in answers])
    return [rows[answer.id] for answer in answers]
