"""What broke is told by a name, on the page and in the log, and by nothing else."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, RequestFactory

from apps.api.views.outages import broken
from apps.web.adapters.lines import LineFormatter

ClientAs = Callable[[str], Client]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as the product writes it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter())
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


@pytest.mark.django_db
def test_a_page_that_broke_names_its_lines_in_the_log(
    client_as: ClientAs, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("secret detail")

    client = client_as("auditor")
    client.raise_request_exception = False
    monkeypatch.setattr("apps.dashboards.views.Home", fail)

    answer = client.get("/")

    page, name = answer.content.decode(), answer["X-Request-ID"]
    assert answer.status_code == 500
    assert f"<code>{name}</code>" in page
    assert "secret detail" not in page
    assert "ZeroDivisionError" not in page
    assert answer["X-Frame-Options"] == "DENY"
    assert "object-src 'none'" in answer["Content-Security-Policy"]
    lines = log.getvalue().splitlines()
    at = next(n for n, line in enumerate(lines) if line.endswith(f"Error: / request={name}"))
    assert "ERROR django.request" in lines[at]
    assert "    ZeroDivisionError: secret detail" in lines[at:]
    assert f"incident {name}: GET / failed" in log.getvalue()


def test_what_broke_before_any_page_has_a_name_too(log: io.StringIO) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        names = [broken(RequestFactory().get("/x")).content.decode() for _ in range(2)]

    told = [line for line in log.getvalue().splitlines() if "incident" in line]
    for page, line in zip(names, told, strict=True):
        assert line.split("incident ")[1].split(":")[0] in page
    assert told[0][-60:] != told[1][-60:]
