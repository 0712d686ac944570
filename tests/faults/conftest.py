"""One plant for all fault tests; each starts with everything healthy and ends with the checker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checker import check
from tests.faults.evidence import Evidence, database_now
from tests.faults.matrix import NAMES, keep
from tests.faults.plant import Plant, joined
from tests.practice.world.conftest import tiny_pack as tiny_pack  # a fixture of its name

_results: dict[str, str] = {}


@pytest.fixture(scope="package")
def standing_plant(
    tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Plant]:
    """The servers and the shop. While it stands, this process speaks to the plant's database."""
    made = Plant(tmp_path_factory.mktemp("plant"))
    try:
        made.start(tiny_pack)
        with django_db_blocker.unblock(), joined(made):
            made.prepare()
            yield made
    finally:
        made.stop()


@pytest.fixture
def plant(standing_plant: Plant) -> Iterator[Plant]:
    """The plant, healthy, without processes of the product."""
    standing_plant.calm()
    standing_plant.clear()
    yield standing_plant
    standing_plant.stop_children()


@pytest.fixture
def proved(plant: Plant) -> Iterator[Plant]:
    """The plant, and at the test's end the nine invariants over all that the test did."""
    since = database_now()
    yield plant
    plant.calm()
    found = check(Evidence.gather(plant, since=since))
    said = "\n".join(map(str, found[:12]))
    assert not found, f"{len(found)} violations\n{said}"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how the tests of the table ended; a failed check afterwards is a failure."""
    name = report.nodeid
    if name.partition("[")[0] not in NAMES:
        return
    if report.failed:
        _results[name] = "failed"
    elif report.skipped and isinstance(report.longrepr, tuple):
        _results[name] = f"skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
    elif report.when == "call" and name not in _results:
        _results[name] = "passed"


def pytest_sessionfinish() -> None:
    """Keep them for the page."""
    if _results:
        keep(_results, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
