"""The file of keys."""

from apps.redaction.adapters.keys import Keys, RedactionKeyError, keys, rotate

__all__ = ["Keys", "RedactionKeyError", "keys", "rotate"]
