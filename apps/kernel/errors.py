"""The tree of errors that the product raises on purpose.

TowerError                 every one has a stable ``code`` and a sentence for people
├── InvalidInputError      a field is wrong: names the field and the fix
├── ConflictError          somebody or something was first; carries who and when in ``detail``
├── NotPermittedError      the person's role doesn't allow it
├── NotFoundError          no such thing, or not for this person
└── UnavailableError       a part the product needs can't be reached right now
"""

from __future__ import annotations

from typing import Any


class TowerError(Exception):
    """Base of all deliberate errors. ``str(error)`` is a sentence that can be shown."""

    code = "error"
    status = 400

    def __init__(self, message: str, *, code: str | None = None, **detail: Any) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.detail = detail


class InvalidInputError(TowerError):
    code = "invalid_input"
    status = 422


class ConflictError(TowerError):
    code = "conflict"
    status = 409


class NotPermittedError(TowerError):
    code = "not_permitted"
    status = 403


class NotFoundError(TowerError):
    code = "not_found"
    status = 404


class UnavailableError(TowerError):
    code = "unavailable"
    status = 503
