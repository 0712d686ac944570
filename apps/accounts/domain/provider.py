"""The company's identity provider: where it may be, what may be set about it, and what people are
told when a log-in there doesn't work out. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import urlsplit

from apps.accounts.domain.roles import Role
from apps.kernel import exactjson

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
MOST_CHARACTERS = 255
MOST_ROLES = 200
_ADDRESS = re.compile(r"[!#-;=?-~]+")  # of RFC 3986, and nothing that ends a quoted text


def is_trusted_address(text: object, *, is_loopback: bool = True) -> bool:
    """Whether secrets may go there: an address of https, or of this machine if ``is_loopback``."""
    if not isinstance(text, str) or len(text) > 2000 or not _ADDRESS.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or parts.fragment or "\\" in text or "'" in text:
        return False
    is_here = is_loopback and parts.hostname in LOOPBACK
    return parts.scheme == "https" or (parts.scheme == "http" and is_here)


def is_here(issuer: str) -> bool:
    """Whether the provider is on this machine, so that no network lies between."""
    return urlsplit(issuer).hostname in LOOPBACK


def issuer_of(text: str) -> str:
    """The issuer as it is set; empty for none. Raises ``ValueError``."""
    if text and (not is_trusted_address(text) or "?" in text or len(text) > MOST_CHARACTERS):
        raise ValueError(
            "must be the issuer's address, of https, like https://login.example.com/realms/staff;"
            f" is {text!r}."
        )
    return text


def roles_of(text: str) -> dict[str, str]:
    """Which value of the claim gives which role, in the order in which they win. Raises
    ``ValueError``."""
    like = 'must be a JSON object of values and roles, like {"tower-ops": "operator"}'
    try:
        found = exactjson.loads(text) if text else {}
    except exactjson.NotCarriedError as error:
        raise ValueError(f"{like}. {error}") from error
    if not isinstance(found, dict) or len(found) > MOST_ROLES:
        raise ValueError(f"{like}; is {text[:200]!r}.")
    for value, role in found.items():
        if not value or not isinstance(role, str) or role not in set(Role):
            known = ", ".join(Role)
            raise ValueError(f"{like}; {value!r} gives {role!r}, and there is {known}.")
    return {str(value): str(role) for value, role in found.items()}


class LogInProblem(StrEnum):
    """Why nobody was logged in."""

    AWAY = "away"
    UNTRUSTED = "untrusted"
    CLOCK = "clock"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    LOST = "lost"
    NOBODY = "nobody"
    NO_NAME = "no name"
    NO_ROLE = "no role"
    TAKEN = "taken"
    DISABLED = "disabled"


# Title, what happened and what to do, and the status. {name} is what the provider is called here.
SAID: dict[LogInProblem, tuple[str, str, int]] = {
    LogInProblem.AWAY: (
        "{name} can't be reached",
        "The tower asked {name} and got no answer. Try again in a minute. If it stays so, tell"
        " whoever runs the tower: its log says what was asked and what went wrong.",
        503,
    ),
    LogInProblem.UNTRUSTED: (
        "The answer of {name} can't be trusted",
        "Something in it wasn't as it has to be, so nobody was logged in. Try again. If it happens"
        " again, tell whoever runs the tower: its log says what was wrong.",
        502,
    ),
    LogInProblem.CLOCK: (
        "The clocks differ",
        "By the clock of this tower, the answer of {name} had run out or was not valid yet. Try"
        " again. If it happens again, the clock of one of the two is wrong: tell whoever runs the"
        " tower.",
        502,
    ),
    LogInProblem.DECLINED: (
        "{name} didn't log you in",
        "It declined. Try again; if it declines again, ask whoever runs {name} whether you may use"
        " the tower. The tower's log has the code that it gave.",
        403,
    ),
    LogInProblem.CANCELLED: (
        "You were not logged in",
        "The log-in at {name} was cancelled, or {name} doesn't let you use the tower.",
        403,
    ),
    LogInProblem.LOST: (
        "This log-in can't be finished here",
        "It was not begun in this browser, took longer than ten minutes, or was finished before."
        " Begin again, and let this site keep cookies.",
        400,
    ),
    LogInProblem.NOBODY: (
        "{name} didn't say who you are",
        "Its answer names nobody. Tell whoever runs {name}.",
        403,
    ),
    LogInProblem.NO_NAME: (
        "{name} gave no user name that can be used",
        "A user name has 60 characters at most: letters, digits and @ . + - _ only. Whoever runs"
        " the tower chooses which claim holds it (TOWER_OIDC_USERNAME).",
        403,
    ),
    LogInProblem.NO_ROLE: (
        "You have no role here",
        "{name} knows you, and nothing that it says of you gives a role in the tower. Ask for the"
        " group that fits your work, then log in again.",
        403,
    ),
    LogInProblem.TAKEN: (
        "Your user name is somebody else's here",
        "There is an account with this user name that isn't yours by {name}; it stays as it is."
        " Ask an admin: another user name at {name} opens an account for you.",
        403,
    ),
    LogInProblem.DISABLED: (
        "Your account is disabled",
        "An admin disabled it here, whatever {name} says. An admin can enable it.",
        403,
    ),
}


class LogInError(Exception):
    """Nobody is logged in. ``detail`` is for the log, not for people."""

    def __init__(self, problem: LogInProblem, detail: str = "") -> None:
        super().__init__(f"{problem}: {detail}" if detail else str(problem))
        self.problem = problem
