"""The practice companies are a guest: the product stands without them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from tests.dashboards.rows import Shop

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *("/", "/runs/", "/runs/?origin=all", "/catalog/", "/catalog/tools/", "/policies/"),
    *("/approvals/", "/stops/", "/load/", "/audit/", "/outcomes/", "/system/"),
]
# Of a product of its own, with no name of a guest loaded. Prints what each page answered.
SCRIPT = """
import json, sys
import django
django.setup()
from django.contrib.auth.backends import ModelBackend
from django.core.management import call_command, get_commands
from django.test import Client
from apps.accounts.models import User
from apps.accounts.registry import permissions
from apps.dashboards.registry import panels
call_command("check", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
client = Client(SERVER_NAME="localhost")
backend = f"{ModelBackend.__module__}.{ModelBackend.__qualname__}"
client.force_login(User.objects.get(username="admin"), backend=backend)
answers = {}
for page in json.loads(sys.argv[1]):
    answer = client.get(page)
    answers[page] = answer.status_code, answer.content.decode()
moved = client.post("/practice/desk/shop/", {"open": "0"}).status_code
print(json.dumps({
    "answers": answers,
    "moved": moved,
    "panels": [p.name for p in panels()],
    "permissions": [p.name for p in permissions()],
    "commands": sorted(get_commands()),
    "loaded": sorted(m for m in sys.modules if m.startswith("controltower.practice")),
}))
"""


def product(practice: str, pages: list[str]) -> Any:
    """What a process of the product says, on the tests' database."""
    at = connection.settings_dict
    url = f"postgres://{at['USER']}:{at['PASSWORD']}@/{at['NAME']}?host={at['HOST']}&port={at['PORT']}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(pages)],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "controltower.settings",
            "TOWER_PRACTICE": practice,
            "TOWER_VAR": str(settings.VAR_DIR),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "used"])
def test_the_product_runs_without_the_practice_companies(
    people: dict[str, Any], is_new: bool
) -> None:
    if not is_new:
        shop = Shop()
        shop.job("refund", target=0.9)
        shop.runs(3, "refund")

    found = product("0", PAGES)

    assert {page: status for page, (status, _) in found["answers"].items()} == dict.fromkeys(
        PAGES, 200
    )
    traces = re.compile(r"\bdesks\b|practice/|airline|retail|smollm|tau-bench", re.IGNORECASE)
    told = {page: traces.findall(html) for page, (_, html) in found["answers"].items()}
    assert told == {page: [] for page in PAGES}
    assert (found["moved"], found["panels"], found["loaded"]) == (404, [], [])
    assert "desk.control" not in found["permissions"]
    assert set(found["commands"]).isdisjoint({"desk", "replay", "measure"})


SPEAKING = """
import sys, django
django.setup()
from apps.evidence.domain.spoken import value_forms
print("5/20" in value_forms("day", "2024-05-20"), value_forms("user_id", "ada_1") == [])
"""


@pytest.mark.parametrize(
    ("practice", "named", "said"),
    [
        ("0", "", "False False"),
        ("0", "controltower.practice.speech.READER", "True True"),
        ("1", "", "True True"),
    ],
)
def test_readers_are_named_by_a_variable(practice: str, named: str, said: str) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "controltower.settings",
        "TOWER_PRACTICE": practice,
        "TOWER_EVIDENCE_READERS": named,
    }

    done = subprocess.run(
        [sys.executable, "-c", SPEAKING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout.strip() == said, done.stderr[-2000:]


@pytest.mark.django_db(transaction=True)
def test_with_them_the_same_home_page_has_their_panel(people: dict[str, Any]) -> None:
    found = product("1", ["/"])

    assert "Desks" in found["answers"]["/"][1]
    assert (found["panels"], found["moved"]) == (["desk"], 404)  # no such desk yet
    assert "controltower.practice.desks" in found["loaded"]
