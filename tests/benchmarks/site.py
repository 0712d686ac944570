"""The running site as a benchmark meets it: a web process, people with sessions, a machine's token,
and the witness that says when a tool was called."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.db import SessionStore

from apps.accounts.domain.roles import Role
from apps.accounts.models import Membership, User
from apps.accounts.services import create_account, create_token
from controltower.launch import ports
from tests.benchmarks.children import Crew
from tests.benchmarks.tools import WITNESS
from tests.factories.accounts import everyone

BACKEND = f"{ModelBackend.__module__}.{ModelBackend.__qualname__}"
CSRF = "b" * 32  # any 32 letters: the cookie and the header have to agree


def person(name: str, role: Role = Role.OPERATOR) -> User:
    """Somebody who can log in with a session only."""
    found, made = User.objects.get_or_create(
        username=name, defaults={"role": role, "password": "!"}
    )
    if made and role == Role.OPERATOR:
        Membership.objects.create(team=everyone(), user=found)
    return found


def session_of(user: User) -> str:
    """The key of a fresh session of ``user``."""
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = BACKEND
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def token(rate_per_minute: int = 6000) -> str:
    """A machine's token that may start runs."""
    admin = person("bench-admin", Role.ADMIN)
    account = create_account(actor=admin, name=f"bench-{uuid4().hex[:8]}", purpose="benchmark")
    _, secret = create_token(
        actor=admin,
        account_id=account.pk,
        scopes=["runs:start", "runs:script"],
        days=1,
        rate_per_minute=rate_per_minute,
    )
    return secret


class Site:
    """A web process and clients for it."""

    def __init__(self, crew: Crew) -> None:
        self.port = ports.any_free()
        self.url = f"http://127.0.0.1:{self.port}"
        crew.env["TOWER_ORIGIN"] = self.url
        self.process = crew.web(self.port)
        end = time.monotonic() + 30
        while not ports.is_open(self.port):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("the web process did not start: see var/bench/data/log/web.log")
            time.sleep(0.05)

    def machine(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token()}"}, timeout=30
        )

    def browser(self, user: User) -> httpx.Client:
        cookies = {
            settings.SESSION_COOKIE_NAME: session_of(user),
            settings.CSRF_COOKIE_NAME: CSRF,
        }
        headers = {"X-CSRFToken": CSRF, "Origin": self.url}
        return httpx.Client(base_url=self.url, cookies=cookies, headers=headers, timeout=30)


class Witness:
    """Reads what the tools wrote down."""

    def __init__(self) -> None:
        self._path = Path(os.environ[WITNESS])
        self._seen: dict[str, float] = {}
        self._offset = 0

    def wait(self, mark: str, *, seconds: float = 60) -> float:
        """When the tool was called with this mark, as seconds since the epoch."""
        end = time.monotonic() + seconds
        while mark not in self._seen:
            self._read()
            if time.monotonic() > end:
                raise TimeoutError(f"no tool was called with the mark {mark}")
            time.sleep(0.002)
        return self._seen[mark]

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open() as lines:
            lines.seek(self._offset)
            for line in lines:
                if not line.endswith("\n"):
                    break
                told: dict[str, Any] = json.loads(line)
                self._seen[told["mark"]] = told["at"]
                self._offset += len(line.encode())


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
