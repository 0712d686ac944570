"""What machines may have done: each request once, however often it is sent."""

from __future__ import annotations

from apps.api.services.idempotency import KeyedRequest, KeyedResponse, answer_once
from apps.api.services.running import RunRequest, cancel, start

__all__ = ["KeyedRequest", "KeyedResponse", "RunRequest", "answer_once", "cancel", "start"]
