"""Every variable of the environment: who gives it its effect, what a wrong value says, and the
table that people read."""

from __future__ import annotations

import ast
import logging
import logging.config
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer
from django.test import Client

from apps.audit.domain.duty import Duty
from apps.audit.services import performing
from apps.catalog.services import serving
from apps.oversight import adapters
from apps.runs import tasks
from controltower.launch import site
from tests.architecture.test_terms import assert_code, assert_test
from tests.architecture.variables import DOCUMENT, ROOT, VARIABLES, table

NAME = re.compile(r"TOWER_[A-Z]+(_[A-Z]+)*")
OTHERS = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SECRET_KEY_FILE", "SECRET_KEY_FALLBACKS"}
OTHERS |= {"ALLOWED_HOSTS", "FORWARDED_ALLOW_IPS"}


def read_variables() -> Iterator[str]:
    """Names in the product's code that are variables of the environment."""
    for folder in ("apps", "controltower"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                text = node.value if isinstance(node, ast.Constant) else None
                if isinstance(text, str) and (NAME.fullmatch(text) or text in OTHERS):
                    yield text


def loaded() -> dict[str, Any]:
    """The settings, read anew from the environment as it is now."""
    return runpy.run_path(str(ROOT / "controltower" / "settings.py"))


def test_every_variable_has_an_entry_and_every_entry_a_variable() -> None:
    assert sorted(set(read_variables())) == sorted(VARIABLES)


@pytest.mark.parametrize("name", VARIABLES)
def test_the_code_and_the_test_are_there(name: str) -> None:
    assert_code(VARIABLES[name]["by"])
    assert_test(VARIABLES[name]["test"])


def test_the_document_has_the_table() -> None:
    assert table() in DOCUMENT.read_text(), "run: python -m tests.architecture.variables"
    told = {one for n, e in VARIABLES.items() if "effect" in e for one in e.get("group", [n])}
    assert set(VARIABLES) - told == {"TOWER_INSTANCE", "TOWER_FAILPOINT", "TOWER_VENV"}


@pytest.mark.parametrize("name", [n for n, e in VARIABLES.items() if "good" in e])
def test_a_variable_becomes_its_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = VARIABLES[name]["good"]
    monkeypatch.delenv(name, raising=False)
    before = loaded()[VARIABLES[name]["as"]]
    monkeypatch.setenv(name, text)

    assert loaded()[VARIABLES[name]["as"]] == value != before


# Those whose default is written as a value, not as a description or by another variable.
DEFAULTS = {
    name: entry["default"].strip("`")
    for name, entry in VARIABLES.items()
    if "as" in entry and re.fullmatch(r"`(?!TOWER_)[^`]+`", entry.get("default", ""))
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_without_its_variable_is_the_default_that_people_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    unset = loaded()[VARIABLES[name]["as"]]
    monkeypatch.setenv(name, DEFAULTS[name])

    assert loaded()[VARIABLES[name]["as"]] == unset


@pytest.mark.parametrize("name", [n for n, e in VARIABLES.items() if "bad" in e])
def test_a_bad_value_is_refused_by_its_name_with_what_to_write(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    if name in {"TOWER_SSL_REDIRECT", "ALLOWED_HOSTS"}:
        production(monkeypatch)
    monkeypatch.setenv(name, VARIABLES[name]["bad"])

    with pytest.raises(ImproperlyConfigured, match=name) as caught:
        loaded()

    words = str(caught.value)
    assert re.search(r"must be|can't begin|Make it readable|has to|begin with|like", words), words


def production(monkeypatch: pytest.MonkeyPatch, key: str = "k" * 50) -> None:
    monkeypatch.setenv("TOWER_ENV", "production")
    monkeypatch.setenv("SECRET_KEY", key)
    monkeypatch.setenv("DATABASE_URL", "postgres://tower:long-one@127.0.0.1:5432/controltower")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")


def test_a_secret_key_comes_from_a_file_and_production_wants_a_long_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    production(monkeypatch, key="too short")
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY holds a key of 9 .* 50 or more"):
        loaded()
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(ImproperlyConfigured, match="Set SECRET_KEY or SECRET_KEY_FILE"):
        loaded()

    file = tmp_path / "key"
    monkeypatch.setenv("SECRET_KEY_FILE", str(file))
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE names a file that can't be"):
        loaded()
    file.write_text("")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE names a file that is empty"):
        loaded()
    file.write_text("f" * 60 + "\n")
    assert loaded()["SECRET_KEY"] == "f" * 60


def test_what_an_old_key_signed_still_counts(settings: Any) -> None:
    settings.SECRET_KEY = "old-key"
    signed = Signer().sign("x")
    settings.SECRET_KEY = "new-key"
    with pytest.raises(BadSignature):
        Signer().unsign(signed)

    settings.SECRET_KEY_FALLBACKS = ["old-key"]

    assert Signer().unsign(signed) == "x"


@pytest.mark.django_db
def test_a_request_for_another_host_is_refused(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["tower.example"]

    assert Client(headers={"host": "evil.example"}).get("/accounts/login/").status_code == 400
    assert Client(headers={"host": "tower.example"}).get("/accounts/login/").status_code == 200


@pytest.mark.parametrize(("text", "redirects"), [("", True), ("1", True), ("0", False)])
def test_production_redirects_unless_it_is_told_not_to(
    text: str, redirects: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    production(monkeypatch)
    monkeypatch.setenv("TOWER_SSL_REDIRECT", text)

    assert loaded()["SECURE_SSL_REDIRECT"] is redirects


def test_the_log_has_the_level_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWER_LOG_LEVEL", "ERROR")
    found = loaded()["LOGGING"]
    logging.config.dictConfig({**found, "root": {**found["root"], "handlers": []}, "loggers": {}})
    try:
        assert logging.getLogger().level == logging.ERROR
    finally:
        logging.getLogger().setLevel(logging.WARNING)


def test_decisions_are_signed_with_the_key_of_the_file(settings: Any, tmp_path: Path) -> None:
    keys = []
    for name in ("one", "other", "one"):
        settings.APPROVAL_KEY_FILE = str(tmp_path / name)
        keys.append(adapters.sign({"a": 1})[1])

    assert keys[0] == keys[2] != keys[1]
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


def test_a_drain_is_as_the_settings_say(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Nothing:
        def __init__(self, **terms: Any) -> None:
            made.append(terms)

        async def run(self) -> Any:
            return type("Drained", (), {"more": False})()

    monkeypatch.setattr(tasks, "Drain", Nothing)
    settings.DRAIN_SECONDS, settings.LEASE_SECONDS = 3, 5
    settings.LINGER_SECONDS, settings.IN_FLIGHT = 7, 11

    tasks.drain("normal")

    assert made == [{"lane": "normal", "seconds": 3, "lease_s": 5, "linger_s": 7, "in_flight": 11}]


def test_servers_are_asked_as_often_as_the_setting_says(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[timedelta] = []
    monkeypatch.setattr(serving, "_take_due", lambda every: asked.append(every) or [])
    settings.SERVER_CHECK_SECONDS = 77

    serving.watch_servers()

    assert asked == [timedelta(seconds=77)]


def test_a_duty_that_names_no_pace_is_done_as_often_as_the_setting_says(settings: Any) -> None:
    settings.SWEEP_SECONDS = 77

    assert performing.pace_s(Duty("any", "words", "nobody")) == 77
    assert performing.pace_s(Duty("own", "words", "nobody", every_s=3)) == 3


@pytest.mark.parametrize(("named", "believed"), [("", False), ("10.0.0.1", True)])
def test_forwarded_addresses_are_believed_only_where_somebody_is_named(
    named: str, believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    class Config:
        def __init__(self, *_: Any, proxy_headers: bool, **__: Any) -> None:
            seen.append(proxy_headers)
            raise InterruptedError

    monkeypatch.setattr(uvicorn, "Config", Config)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", named)
    with pytest.raises(InterruptedError):
        site.main(["--fd", "9"])

    assert seen == [believed]


def test_a_command_says_the_variable_and_no_traceback_of_ours() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TOWER_ENV": "prod"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode != 0
    said = done.stderr.strip().splitlines()[-1]
    assert "TOWER_ENV must be development or production or test; is 'prod'." in said
