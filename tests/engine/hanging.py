"""``python -m tests.engine.hanging worker --lane normal``: the product, with a judge that hangs.

The address in the arguments names where in the database thread: while a step is prepared, or
while it is recorded. As a pattern does that a library can't get out of."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controltower.settings")
django.setup()

from apps.runs.engine import asking, ending  # noqa: E402  # Django is set up before its models load


def _hangs(where: Any, name: str) -> None:
    whole = getattr(where, name)

    def hanging(work: Any, *rest: Any) -> Any:
        arguments = getattr(work, "action", work)
        arguments = getattr(arguments, "work", arguments).arguments
        if arguments.get("address1") == f"hang in {name}":
            re.match(r"(a|aa)+$", "a" * 70 + "b")
        return whole(work, *rest)

    setattr(where, name, hanging)


if __name__ == "__main__":
    _hangs(asking, "schema_error")
    _hangs(ending, "settled")
    call_command(*sys.argv[1:])
