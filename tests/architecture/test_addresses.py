"""Whatever stands in an address, the answer is a page: 200 with what could be understood, 404 for a
thing that isn't there, or 422 that names the field.

The addresses come from the URL configuration and the parameters from a list that fails when a view
reads one that is not in it, so that what is added tomorrow is tested tomorrow.
"""

from __future__ import annotations

import os
import random
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.models import User
from apps.catalog.models import ContractVersion, Domain, Job
from apps.ops.forms import RunFilterForm
from apps.oversight.models import Approval
from tests.conftest import BACKEND
from tests.factories.catalog import apply_toys
from tests.factories.runs import JOB, eventful_run

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "after agent all as before by chart code compare contract delegated domain error escalated "
    "from ids iss job "
    "kind actor left limit mine name newest next note offset open part plan q range "
    "refresh right risk run scale seq since slugs snoozed sort source step storm stream streams "
    "subject_id subject_type tab to tool unclaimed upto version what "
)
PARAMETERS = sorted({*RunFilterForm.base_fields, *NAMES.split()})
# Percent-encoded, as a browser or somebody with a grudge sends them.
LATE = "9999-12-31T23:59-12:00"
EARLY = "0001-01-01T00:00%2B14:00"
NOBODY = "00000000-0000-0000-0000-000000000000"
HOSTILE = [
    *("%00", "a%00b", "%ff%fe", "%ed%a0%80", "%F0%9F%92%A9", "%", "%2", "%E2%80%AE", "%25"),
    *("%0d%0aSet-Cookie:x=1", "..%2f..%2f", "%27%20OR%201=1", "a" * 3000, "%D9%A3", "%C2%B2"),
    *("-1", "0", "1", "1e9", "1.5", "NaN", "9" * 20, "9" * 400, "-" + "9" * 30, "2147483648"),
    *("9223372036854775808", EARLY, LATE, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    *("2024-02-30", "2024-13-01T00:00", "2024-01-01T00:00:60Z", "2024-01-01T00:00%2B24:00"),
    *("24:00", NOBODY, "{}", "[]", "[1", "null", "true", "~~~~", "~", "1~2~3~4~5", "1h", "7d"),
    f"first~{EARLY}~1~{EARLY}~{NOBODY}",
    f"rest~{LATE}~{'9' * 20}~{LATE}~{NOBODY}",
    f"rest~2024-01-01T00:00Z~{'9' * 20}~2024-01-01T00:00Z~{NOBODY}",
    f"{EARLY}~{NOBODY}",
    *("any", "waiting", "decided", "mine", "expired", f"run:{NOBODY}", "run:%00", "run:"),
    *("tower", "tower,%00", ",,,,", "airline%40v1", f"job~{EARLY}", f"job~{LATE}", "job~24:00"),
]
PATHS = [
    *("%00", "a%00b", "%ff", "%2F", "..", "0", "-1", "9" * 20, "9" * 60, "9223372036854775808"),
    *("2147483648", "%E2%80%AE", "a" * 600, "%25", "a.b", "a%20b"),
]
# Roles and tokens (401, 403) are another test's, and so is readiness (503: no worker is up here).
OK = {200, 302, 401, 403, 404, 405, 409, 422}
ALSO = {"events": {400}, "readyz": {503}}


def _routes(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[str]:
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        elif isinstance(entry, URLPattern):
            yield route


ROUTES = sorted({r for r in _routes() if "logout" not in r})
SECTIONS = sorted({r.split("/")[1] for r in ROUTES})
# All of it takes minutes: CI asks a part, the same each time; TOWER_FUZZ=all asks everything.
SHARE = 1.0 if os.environ.get("TOWER_FUZZ") == "all" else 0.25


@pytest.fixture
def world(people: dict[str, User], tmp_path: Path) -> dict[str, str]:
    """Something behind each address, so that what is asked reaches the database."""
    apply_toys(tmp_path)
    _contract_with_terms()
    run = eventful_run()
    approval = Approval.objects.filter(run_id=run.id, state="pending").get()
    known = {"run_id": run.id, "approval_id": approval.id, "seq": 1, "number": 1, "domain": "toys"}
    return {name: str(value) for name, value in known.items()}


@pytest.fixture
def admin(people: dict[str, User]) -> Client:
    client = Client()
    client.force_login(people["admin"], backend=BACKEND)
    return client


def _filled(route: str, known: dict[str, str]) -> str:
    samples = {"uuid": str(uuid.UUID(int=1)), "int": "1", "slug": "toys", "str": "refund"}
    if route.startswith("/catalog/jobs") or "for-job" in route:
        samples["slug"] = "toys-refund"

    def value(match: re.Match[str]) -> str:
        kind, _, name = match.group(1).rpartition(":")
        return known.get(name) or samples.get(kind or "str", "none")

    return re.sub(r"<([^>]+)>", value, route)


def _contract_with_terms() -> None:
    """Give the job of the run a contract that its pages can show the terms of."""
    document = ContractVersion.objects.get(job__slug="toys-refund").document
    domain = Domain.objects.create(slug="airline", name="Airline support desk")
    job = Job.objects.create(slug=JOB, domain=domain, name="Cancel a reservation", owner="Dana")
    ContractVersion.objects.create(job=job, number=3, text="x", document=document, digest="c" * 64)


def _fault(client: Client, address: str) -> str:
    """What is wrong with the answer to this address; empty when nothing is."""
    path, _, query = address.partition("?")
    try:
        response = client.generic("GET", path, QUERY_STRING=query)
        body = b"".join(response.streaming_content) if response.streaming else response.content
    except Exception as error:  # the test client lets through what a browser sees as 500
        return f"{address[:300]}: {type(error).__name__}: {str(error)[:200]}"
    section = path.split("/")[1]
    if response.status_code not in OK | ALSO.get(section, set()):
        return f"{address[:300]}: {response.status_code}"
    asked = {pair.split("=")[0] for pair in query.split("&")}
    if response.status_code == 422 and not any(name in body.decode() for name in asked):
        return f"{address[:300]}: 422 that names no field"
    return ""


def _faults(client: Client, addresses: Iterable[str]) -> list[str]:
    return [fault for address in addresses if (fault := _fault(client, address))]


@pytest.mark.django_db
@pytest.mark.parametrize("section", SECTIONS)
def test_hostile_parameters_get_a_page(section: str, world: dict[str, str], admin: Client) -> None:
    dice = random.Random(section)
    addresses = []
    for route in (r for r in ROUTES if r.split("/")[1] == section):
        path = _filled(route, world)
        for value in dice.sample(HOSTILE, round(len(HOSTILE) * SHARE)):
            addresses.append(f"{path}?" + "&".join(f"{name}={value}" for name in PARAMETERS))
        for name in dice.sample(PARAMETERS, round(len(PARAMETERS) * SHARE)):
            value = dice.choice(HOSTILE)
            addresses.append(f"{path}?{name}={value}&{name}=2")

    assert _faults(admin, addresses) == []


@pytest.mark.django_db
def test_hostile_paths_get_a_page(world: dict[str, str], admin: Client) -> None:
    dice = random.Random(7)
    addresses = []
    for route in (r for r in ROUTES if "<" in r):
        for hostile in dice.sample(PATHS, round(len(PATHS) * SHARE)):
            addresses.append(re.sub(r"<[^>]+>", hostile, route))
            part = dice.choice(re.findall(r"<[^>]+>", route))
            addresses.append(_filled(route.replace(part, hostile), world))

    assert _faults(admin, addresses) == []


def test_the_list_of_parameters_is_whole() -> None:
    read = re.compile(r'\b(?:GET|query|params)(?:\.get(?:list)?\(|\[)"(\w+)"')
    found = {
        name for path in (ROOT / "apps").rglob("*.py") for name in read.findall(path.read_text())
    }

    assert found - set(PARAMETERS) - {"_meta"} == set()
