"""What machines may have done: each request once, however often it is sent."""

from __future__ import annotations

from apps.api.services.idempotency import Answer, Request, answer_once
from apps.api.services.running import RunRequest, cancel, start

__all__ = ["Answer", "Request", "RunRequest", "answer_once", "cancel", "start"]
