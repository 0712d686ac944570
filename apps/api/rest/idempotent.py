"""The key of a request that changes something, and the answer with its headers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.accounts.domain.tokens import Principal
from apps.api.domain import idempotency as rules
from apps.api.domain.problems import CONTENT_TYPE
from apps.api.services import KeyedRequest, KeyedResponse
from apps.kernel.errors import TowerError

HEADER = "Idempotency-Key"


class KeyProblem(TowerError):  # noqa: N818  # a problem, as everywhere in this API
    code = "idempotency_key"
    status = 400


def keyed(request: HttpRequest) -> KeyedRequest:
    """The request under its key. Raises KeyProblem (400) for a missing or unusable key."""
    key = request.headers.get(HEADER, "")
    if sentence := rules.key_problem(key):
        code = "idempotency_key" if key else "idempotency_key_missing"
        fix = (
            f"Send the header {HEADER}: a fresh UUID with each new request, the same to repeat it."
        )
        raise KeyProblem(sentence, code=code, field=HEADER, fix=fix)
    principal: Principal = request.auth  # type: ignore[attr-defined]  # set by Bearer
    sent: Any = request.sent  # type: ignore[attr-defined]  # set by StrictParser
    operation = f"{request.method} {request.path_info}"
    mark = rules.fingerprint(operation, sent)
    return KeyedRequest(principal.account_id, principal.actor, key, operation, mark)


def respond(answer: KeyedResponse) -> HttpResponse:
    """The answer as it goes out; a stored one says that it is one."""
    kind = "application/json" if answer.status < 400 else CONTENT_TYPE
    headers = {
        "Idempotent-Replayed": "true" if answer.is_replay else "",
        "Retry-After": str(answer.retry_after or ""),
        "Location": answer.location,
    }
    return HttpResponse(
        answer.body,
        status=answer.status,
        content_type=kind,
        headers={k: v for k, v in headers.items() if v},
    )
