"""People of the fault tests, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import httpx
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError

from apps.accounts.models import User
from apps.kernel.ids import new_id
from apps.oversight.models import Approval
from apps.oversight.services import decide
from tests.conftest import BACKEND
from tests.factories.accounts import UserFactory
from tests.factories.approvals import has_read, typed_to_confirm

CSRF = "a" * 32


def person(role: str = "operator") -> User:
    """Somebody new."""
    return UserFactory.create(username=f"{role}-{new_id().hex[-12:]}", role=role)


def answer(approval: Approval, user: User, *, approve: bool = True, nonce: str = "") -> Approval:
    """Say yes or no to a question."""
    return decide(
        approval_id=approval.pk,
        user=user,
        approve=approve,
        reason="looked at it",
        digest=approval.digest,
        nonce=nonce or new_id().hex,
    )


def answer_all(runs: Sequence[UUID], *, approve: bool = True) -> None:
    """Somebody answers every open question of these runs."""
    user = person()
    for approval in Approval.objects.filter(run_id__in=runs, state="pending"):
        answer(approval, user, approve=approve)


class Visitor:
    """A person at a browser, without the browser: logged in, with the token that forms carry."""

    def __init__(self, url: str, user: User) -> None:
        session = SessionStore()
        session["_auth_user_id"] = str(user.pk)
        session["_auth_user_backend"] = BACKEND
        session["_auth_user_hash"] = user.get_session_auth_hash()
        session.create()
        self.user = user
        self.cookies = {
            settings.SESSION_COOKIE_NAME: str(session.session_key),
            settings.CSRF_COOKIE_NAME: CSRF,
        }
        self.http = httpx.Client(
            base_url=url,
            cookies=self.cookies,
            headers={"X-CSRFToken": CSRF, "HX-Request": "true"},
            timeout=30,
        )

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def decide(
        self, approval: Approval, *, approve: bool = True, nonce: str = "", digest: str = ""
    ) -> httpx.Response:
        """Press the button of the review page."""
        said = {
            "answer": "approve" if approve else "reject",
            "reason": "looked at it",
            "digest": digest or approval.digest,
            "nonce": f"nonce-{nonce}" if nonce else new_id().hex,
            "dwell_ms": "5000",
            "confirm": typed_to_confirm(approval),
        }
        if approve and digest in ("", approval.digest):
            with suppress(DatabaseError):  # the site has to bear what the test did to its database
                has_read(approval, self.user)
        return self.http.post(f"/approvals/{approval.pk}/decide/", data=said)
