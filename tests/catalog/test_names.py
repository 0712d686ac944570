"""Every name that the protocol allows works wherever a tool's name stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories.catalog import CONTRACT, PACK, POLICY, apply_toys

As = Callable[[str], Client]
NAMES = ["crm.refund", "crm.v2.refund-now", "3ds_refund", "-refund", "a" * 80, "x..y", "Refund.csv"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_protocol_works_on_every_page(
    name: str, tmp_path: Path, client_as: As
) -> None:
    tools = [PACK["tools"][0], {**PACK["tools"][1], "name": name}]
    contract = CONTRACT.replace("- name: refund", f'- name: "{name}"')
    policies = POLICY.replace('Action::"refund"', f'Action::"{name}"')
    apply_toys(
        tmp_path,
        contract=contract.replace("[refund]", f'["{name}"]'),
        policies=policies,
        change={"tools": tools},
    )
    client = client_as("admin")

    pages = [
        reverse("catalog:tool", args=["toys", name]),
        reverse("catalog:tools"),
        reverse("catalog:job", args=["toys-refund"]),
        reverse("catalog:draft", args=["toys-refund"]),
        reverse("runs:tool_health", args=["toys", name]),
        reverse("runs:breaker", args=["toys", name]),
        f"{reverse('runs:list')}?tool={name}",
        f"{reverse('stops:index')}?tool=toys/{name}",
        reverse("load:index"),
        reverse("policy:index"),
    ]
    for page in pages:
        assert client.get(page).status_code == 200, page
    assert name in client.get(pages[0]).content.decode()


@pytest.mark.django_db
def test_a_cap_and_a_stop_take_a_name_with_dots(tmp_path: Path, client_as: As) -> None:
    tools = [PACK["tools"][0], {**PACK["tools"][1], "name": "crm.refund"}]
    apply_toys(tmp_path, change={"tools": tools, "jobs": [], "policies": []})
    client = client_as("admin")
    cap: dict[str, Any] = {"scope": "tool", "key": "toys/crm.refund", "max_in_flight": 3}

    set_it = client.post(reverse("load:set_cap"), cap, follow=True)

    assert "toys/crm.refund" in set_it.content.decode()
