"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562)."""

from __future__ import annotations

import uuid

import uuid_utils


def new_id() -> uuid.UUID:
    """A fresh UUIDv7: unique without coordination, and kind to B-tree indexes."""
    return uuid.UUID(bytes=uuid_utils.uuid7().bytes)
