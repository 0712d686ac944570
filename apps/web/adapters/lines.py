"""Lines of the log: one event a line, whatever the texts in it hold."""

from __future__ import annotations

import logging
import time

from apps.audit.domain.caller import caller
from apps.web.domain.untrusted import hides

BELOW = "    "  # before each line that belongs to the one above, as those of a traceback do


class LineFormatter(logging.Formatter):
    """When (UTC), how grave, whose, what, and on which request: the name that its answer has in
    ``X-Request-ID``. A character that hides or ends a line is written as its escape, so that no
    text from outside makes a line of its own or turns one round; a line that belongs to another is
    set in."""

    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback if there is one."""
        here = caller()
        on = f" request={here.request}" if here else ""
        head = f"{self.formatTime(record)} {record.levelname} {record.name} "
        return "\n".join([f"{head}{plain(record.getMessage())}{on}", *self._below(record)])

    def _below(self, record: logging.LogRecord) -> list[str]:
        told = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        text = "\n".join(part for part in (told, record.stack_info) if part)
        return [f"{BELOW}{plain(line)}" for line in text.splitlines()]


def plain(text: str) -> str:
    """``text`` on one line, with what hides written as an escape."""
    hiding = {char for char in set(text) if hides(char)}
    return text.translate({ord(char): ascii(char)[1:-1] for char in hiding})
