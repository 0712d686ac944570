"""What Django's cache keeps in Redis is JSON.

Django would pickle it, and unpickling runs whatever the bytes say: whoever can write to Redis could
run commands in the site.
"""

from __future__ import annotations

import json
from typing import Any


class JsonSerializer:
    """For ``OPTIONS["serializer"]`` of Django's Redis cache. ``TypeError`` for what JSON can't say;
    ``ValueError`` when what was stored is no JSON."""

    def dumps(self, value: Any) -> int | bytes:
        """Whole numbers as they are, so that Redis can count them up."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)
