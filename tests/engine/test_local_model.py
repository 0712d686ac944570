"""A real model on this machine truly drives a run, through the engine, to an end."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from apps.oversight.models import Approval
from apps.oversight.services import decide
from apps.runs.models import Attempt, Run, Step
from controltower.practice import localmodel
from tests.engine.conftest import ENDED, Tower
from tests.engine.test_drain import drain
from tests.factories.accounts import UserFactory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # a busy machine thinks slowly
    pytest.mark.skipif(
        bool(localmodel.missing()),
        reason=f"not installed: {', '.join(localmodel.missing())} (make up MODEL=local does it)",
    ),
]
KEY = "a-key-of-this-test"
ASK = "My user id is ada_byron_1. Please cancel my pending order #A, I no longer need it."


@pytest.fixture
def model_url(tmp_path: Path) -> Iterator[str]:
    """The process that `make up MODEL=local` starts."""
    announced = tmp_path / "model.json"
    command = [sys.executable, "-m", "controltower.practice.localmodel", "--port", "0"]
    with (tmp_path / "model.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--announce", str(announced)],
            cwd=django_settings.BASE_DIR,
            env={**os.environ, "TOWER_MODEL_KEY": KEY},
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + 60
    while not announced.exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    assert announced.exists(), (tmp_path / "model.log").read_text()
    yield json.loads(announced.read_text())["url"]
    process.terminate()
    assert process.wait(10) == 0


def finish(run_id: Any) -> Run:
    """Carry the run to its end; a person says no to whatever is held."""
    for _ in range(8):
        drain(seconds=100, linger_s=2)
        run = Run.objects.get(id=run_id)
        if run.state in ENDED:
            return run
        for approval in Approval.objects.filter(run_id=run_id, state="pending"):
            decide(
                approval_id=approval.id,
                user=UserFactory.create(role="operator"),
                approve=False,
                reason="Not asked for",
                digest=approval.digest,
                nonce=secrets.token_urlsafe(16),
            )
    return Run.objects.get(id=run_id)


def test_a_local_model_drives_a_run_to_its_end(tower: Tower, settings: Any, model_url: str) -> None:
    settings.MODEL, settings.MODEL_URL, settings.MODEL_KEY = "local", model_url, KEY
    settings.MODEL_OUTPUT = "json"
    [run_id] = tower.start([[{"hear": ASK}]], agent_kind="model")

    run = finish(run_id)

    assert run.state in ENDED
    assert run.tokens_in > 0
    assert run.tokens_out > 0
    turns = Step.objects.filter(run=run, kind="agent", state="succeeded")
    assert turns.exists()
    assert Attempt.objects.filter(step__in=turns, outcome="ok").exists()
    # What it proposed went through the gate like anybody's proposal.
    proposals = Step.objects.filter(run=run, kind="tool")
    assert not proposals.filter(gate="").exclude(disposition="").exists()
