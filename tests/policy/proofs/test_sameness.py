"""What the formulas say is what the evaluator says, for any request and any rules."""

from __future__ import annotations

import os
from random import Random

import pytest

from apps.policy.adapters import Evaluator
from apps.policy.domain.proofs.values import UntranslatableError
from controltower.practice.measure import load_pack
from tests.policy.proofs.asking import LIMITS, SCHEMA, Requests, Rules, abouts, mismatches
from tests.policy.proofs.packs import pack

MANY = int(os.environ.get("TOWER_PROOFS", "1"))  # how many times as much
SEED = int(os.environ.get("TOWER_SEED", "7"))


@pytest.mark.parametrize("domain", ["airline", "retail"])
def test_the_formulas_of_a_pack_answer_as_its_evaluator(domain: str) -> None:
    text, limits, schema = pack(domain)
    asked = 0
    for about in abouts(text, limits, schema, domain):
        made = Requests(about, Random(f"{SEED}{domain}{about.tool.name}"))
        requests = [made.make() for _ in range(10 * MANY)]
        assert mismatches(about, load_pack(domain).evaluator, requests) == []
        asked += len(requests)
    assert asked >= 150 * MANY


def test_the_formulas_of_any_rules_answer_as_their_evaluator() -> None:
    refused = asked = failed = 0
    for n in range(20 * MANY):
        random = Random(f"{SEED}-{n}")
        text = Rules(random).text()
        evaluator = Evaluator(text, LIMITS, SCHEMA)
        try:
            about = list(abouts(text, LIMITS, SCHEMA, "toys"))
        except UntranslatableError:
            refused += 1
            continue
        for one in about:
            requests = [Requests(one, random).make() for _ in range(6)]
            assert mismatches(one, evaluator, requests) == [], text
            asked += len(requests)
            failed += sum(bool(v.errors) for v in evaluator.evaluate_batch(requests))
    assert asked > 300 * MANY
    assert failed > 30 * MANY, "rules that fail are among them"
    assert refused < 3 * MANY
