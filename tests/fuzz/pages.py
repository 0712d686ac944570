"""What people do with what the cases left: they look at each page, and decide."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from uuid import UUID

from django.test import Client

from apps.accounts.models import User
from apps.kernel.ids import new_id
from apps.ops.views.pages import TABS
from apps.oversight.models import Approval
from apps.runs.models import Step
from tests.factories.accounts import UserFactory
from tests.factories.approvals import has_read, typed_to_confirm
from tests.fuzz.ground import BrokenError, Ground


def _person(role: str) -> tuple[User, Client]:
    user = UserFactory.create(role=role)
    client = Client()
    client.force_login(user)
    return user, client


def _of_run(run: UUID, seqs: Sequence[int]) -> Iterator[str]:
    yield from (f"/runs/{run}/?tab={tab}" for tab in TABS)
    yield from (f"/runs/{run}/{part}/" for part in ("state", "conversation", "fork", "undo"))
    yield f"/runs/{run}/export.json"
    for seq in seqs:
        yield f"/runs/{run}/steps/{seq}/"
        yield f"/runs/{run}/?step={seq}"
        yield f"/runs/{run}/fork/?after={seq}"


def _of_api(run: UUID) -> Iterator[str]:
    yield from (f"/api/v1/runs/{run}{part}" for part in ("", "/steps", "/receipts"))


def _everywhere(ground: Ground) -> Iterator[str]:
    runs = list(ground.runs)
    yield from ("/", "/runs/", "/approvals/", "/audit/", "/system/", "/load/", "/catalog/tools/")
    yield from ("/runs/export.csv", "/audit/export.ndjson", "/catalog/jobs/retail-shop/")
    yield from (f"/runs/compare/?a={one}&b={two}" for one, two in pairwise(runs))
    yield from (f"/catalog/tools/retail/{tool}/" for tool in ground.cases)


def _get(client: Client, path: str, about: object, **headers: str) -> bytes:
    try:
        response = client.get(path, headers=headers)
        body = b"".join(response) if response.streaming else response.content  # type: ignore[arg-type]
    except Exception as error:
        raise BrokenError(f"{path} broke: {error!r}\n{about}") from error
    if response.status_code != 200:
        raise BrokenError(f"{path} said {response.status_code}: {body[-500:]!r}\n{about}")
    return body


def look(ground: Ground, random: Random, share: float) -> int:
    """Open this share of all pages about the cases; returns how many they were."""
    _, admin = _person("admin")
    _, operator = _person("operator")
    steps: dict[UUID, list[int]] = {run: [] for run in ground.runs}
    for run, seq in Step.objects.filter(run_id__in=list(steps)).values_list("run_id", "seq"):
        steps[run].append(seq)
    paths = [(p, case) for r, case in ground.runs.items() for p in _of_run(r, steps[r][:4])]
    paths += [(path, "") for path in _everywhere(ground)]
    chosen = random.sample(paths, int(len(paths) * share))
    for path, case in chosen:
        body = _get(admin if case == "" else operator, path, case)
        if path.endswith(".json"):
            json.loads(body, parse_int=str)
    machine = {"Authorization": f"Bearer {ground.token}"}
    asked = [(p, case) for r, case in ground.runs.items() for p in _of_api(r)]
    for path, case in random.sample(asked, int(len(asked) * share)):
        _get(Client(), path, case, **machine)
    return len(chosen)


def decide(ground: Ground, random: Random) -> Sequence[UUID]:
    """Open each question, and answer it: yes or no. Returns the runs that were asked about."""
    user, operator = _person("operator")
    held = list(Approval.objects.filter(run_id__in=list(ground.runs), state="pending"))
    for approval in held:
        case = ground.runs[approval.run_id]
        _get(operator, f"/approvals/{approval.pk}/", case)
        if random.random() < 0.2:
            _get(operator, f"/approvals/?open={approval.pk}", case)
        answer = random.choice(("approve", "reject"))
        said = {
            "answer": answer,
            "reason": "looked at it",
            "digest": approval.digest,
            "nonce": new_id().hex,
            "dwell_ms": "5000",
            "confirm": typed_to_confirm(approval),
        }
        has_read(approval, user)
        try:
            response = operator.post(f"/approvals/{approval.pk}/decide/", said)
        except Exception as error:
            raise BrokenError(f"no decision: {error!r}\n{case}") from error
        approval.refresh_from_db()
        if response.status_code not in (200, 302, 303) or approval.state == "pending":
            raise BrokenError(f"{answer}: {response.status_code} {approval.state}\n{case}")
    return [approval.run_id for approval in held]
