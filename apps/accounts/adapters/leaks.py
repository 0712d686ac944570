"""Passwords that others try first: known from leaks, or made of what is.

On this machine zxcvbn, whose lists come from leaks, estimates how many guesses a password takes.
Where ``LEAKED_PASSWORDS`` names a service, that is asked as well (see ``domain.leaks``).
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from zxcvbn import zxcvbn

from apps.accounts.adapters.outside import LongAnswerError, NotAnsweredError, ask
from apps.accounts.domain.leaks import is_listed, parted

log = logging.getLogger(__name__)
LEAST_GUESSES = 10**8  # from here on its authors call a password safely unguessable
MOST_READ = 72  # characters that it reads; what is longer is no easier
TIMEOUT_S = 2.0
MOST_BYTES = 512 * 1024
_one_at_a_time = threading.Lock()  # it keeps the words of a call where other calls see them
GUESSABLE = (
    "This password is quickly guessed: it is, or is made of, what others try first. Take several"
    " words that don't belong together."
)
LEAKED = "This password is known from a leak, so others try it. Take another one, also elsewhere."


class GuessablePasswordValidator:
    """Refuses what is quickly guessed with lists of leaked passwords, words and rows of keys."""

    def validate(self, password: str, user: Any = None) -> None:
        with _one_at_a_time:
            guesses = zxcvbn(password[:MOST_READ])["guesses"]
        if guesses < LEAST_GUESSES:
            raise ValidationError(GUESSABLE, code="guessable")

    def get_help_text(self) -> str:
        return "It must not be quickly guessed."


class LeakedPasswordValidator:
    """Refuses what the service that is set knows from leaks. Where that can't be asked the log says
    so, and the other rules stand alone."""

    def validate(self, password: str, user: Any = None) -> None:
        if settings.LEAKED_PASSWORDS and is_leaked(password):
            raise ValidationError(LEAKED, code="leaked")

    def get_help_text(self) -> str:
        return "It must not be known from a leak."


def is_leaked(password: str) -> bool:
    """Whether the service knows this password; false where it can't be asked."""
    sent, kept = parted(password)
    bounds: dict[str, Any] = {"within_s": TIMEOUT_S, "most_bytes": MOST_BYTES}
    padded = {"Add-Padding": "true"}  # so that the length of the answer says nothing to who listens
    try:
        status, answer = ask(
            "GET",
            f"{settings.LEAKED_PASSWORDS}{sent}",
            accept="text/plain",
            headers=padded,
            **bounds,
        )
        if status != 200:
            raise ValueError(f"status {status}")
        return is_listed(answer, kept)
    except (NotAnsweredError, LongAnswerError, ValueError) as error:
        log.warning("leaked passwords: the list can't be asked, other rules stand alone: %s", error)
        return False
