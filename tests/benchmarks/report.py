from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from tests.benchmarks.ground import OUTPUT

console = Console()


def say(text: str) -> None:
    console.print(text)


def finish(found: dict[str, Any]) -> None:
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2, default=str))
    console.print_json(json.dumps(found, default=str))
