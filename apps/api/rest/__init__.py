"""The API of companies' systems, below ``/api/v1/``: start runs, read them, cancel them.

Tokens of service accounts only (no session, so no CSRF); every operation names its scope. Whatever
goes wrong is told as a problem document (RFC 9457) that names the field and the fix. What changes
something takes an ``Idempotency-Key``. For people: ``docs/api.md``.
"""

from __future__ import annotations

from apps.api.rest.door import patterns

__all__ = ["patterns"]
