"""Checkpoints are signed, and verified, by the signer that was named (``registry.sign_by``)."""

from __future__ import annotations

from dataclasses import replace

from django.utils.module_loading import import_string

from apps.audit import registry
from apps.audit.domain.checkpoint import PURPOSE, SignedHead


def signed(mark: SignedHead) -> SignedHead:
    """The same, signed. Raises what says why it can't be."""
    signature, key_id = import_string(registry.signer().sign)(mark.payload, purpose=PURPOSE)
    return replace(mark, signature=signature, key_id=key_id)


def is_signed(mark: SignedHead) -> bool:
    """Whether a key of the ring that wasn't revoked signed it. Raises ``TowerError`` where nobody
    can know."""
    check = import_string(registry.signer().verify)
    return bool(check(mark.payload, mark.signature, mark.key_id, purpose=PURPOSE))
