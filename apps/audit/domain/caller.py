"""On whose request something happens: where it came from, and the name of the request.

Whoever answers a request says so for as long as that lasts; events that are recorded meanwhile bear
it in their payload, where their hash covers it. What happens without a request has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from uuid import uuid4

VIA = "via"  # what it is called in a payload


@dataclass(frozen=True, slots=True)
class Caller:
    """``address`` is empty where nobody knows it: over a socket of this machine, say."""

    address: str
    request: str

    @property
    def told(self) -> dict[str, str]:
        return {"from": self.address, "request": self.request}


_CURRENT: ContextVar[Caller | None] = ContextVar("audit_caller", default=None)


def caller() -> Caller | None:
    """On whose request this happens, if it is on one."""
    return _CURRENT.get()


def incident() -> str:
    """What a person can tell and the log can be searched for, when something broke: the name of the
    request, or a new one where there is none."""
    here = _CURRENT.get()
    return here.request if here else uuid4().hex


@contextmanager
def calling(address: str, request: str) -> Iterator[None]:
    """Let what happens meanwhile be on this request. What is no address is none."""
    mark = _CURRENT.set(Caller(_plain(address), request))
    try:
        yield
    finally:
        _CURRENT.reset(mark)


def _plain(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return ""
