"""What the commands show: one line a step, with a moving clock while a slow one runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Detail = Callable[[str], None]


class Screen:
    """A terminal, or a log file: there the moving parts are left out."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self.console.print(escape(text))

    def warn(self, text: str) -> None:
        self.console.print(f"[yellow]! {escape(text)}[/]")

    def fail(self, text: str) -> None:
        self.console.print(f"[bold red]✗[/] {escape(text)}")

    def good(self, text: str) -> None:
        self.console.print(f"[green]✓[/] {escape(text)}")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Detail]:
        """Show that a step runs; the yielded function names what it is at, or its result."""
        started = time.monotonic()
        latest = ""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        plain = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=plain) as progress:
            task = progress.add_task(escape(title))

            def detail(text: str) -> None:
                nonlocal latest
                latest = text
                room = max(20, self.console.width - len(title) - 16)
                progress.update(task, description=escape(f"{title}: {text[:room]}"))

            yield detail
        took = time.monotonic() - started
        result = f": {latest}" if latest else ""
        self.good(f"{title}{result} ({took:.1f} s)")
