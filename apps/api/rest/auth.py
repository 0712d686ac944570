"""Who is asking, and whether they may."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.security import HttpBearer

from apps.accounts.domain.tokens import Principal, Refused, Scope
from apps.accounts.services import present

REALM = 'Bearer realm="control-tower"'


class TokenRefused(Exception):  # noqa: N818  # it is an answer, not a fault
    """A token that doesn't count (401, or 429 when it is used too often)."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.sentence)
        self.refused = refused


class ScopeMissing(Exception):  # noqa: N818  # it is an answer, not a fault
    """A good token that isn't for this (403)."""

    def __init__(self, scope: Scope, principal: Principal) -> None:
        super().__init__(f"This token may not do that: it lacks the scope {scope}.")
        self.scope = scope
        self.principal = principal


class JobNotIncluded(Exception):  # noqa: N818  # it is an answer, not a fault
    """A good token that isn't for this job (403)."""

    def __init__(self, job: str, principal: Principal) -> None:
        super().__init__("This token may not start runs of this job.")
        self.job = job
        self.principal = principal


def may_start(principal: Principal, job: str, *, is_scripted: bool) -> None:
    """Raises ScopeMissing for a script without the scope for it, and JobNotIncluded for a job that
    the token isn't for, whether there is such a job or not."""
    if is_scripted and not principal.may(Scope.RUNS_SCRIPT):
        raise ScopeMissing(Scope.RUNS_SCRIPT, principal)
    if not principal.may_start(job):
        raise JobNotIncluded(job, principal)


class Bearer(HttpBearer):
    """``Authorization: Bearer twr_svc_…`` with this scope. Each request spends one of the token's
    bucket, whatever becomes of it."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Principal:
        found = present(token.strip())
        if isinstance(found, Refused):
            raise TokenRefused(found)
        if not found.may(self.scope):
            raise ScopeMissing(self.scope, found)
        return found
