"""The door to tool servers: where they are, how they are connected to, what they offer (MCP)."""

from __future__ import annotations

from apps.catalog.adapters.addresses import (
    ServerAccess,
    configured,
    look_up,
    module_of,
    problems,
    remember,
    resolve,
    resolve_entry,
)
from apps.catalog.adapters.asking import ask, ask_now
from apps.catalog.adapters.probing import Trial, probe
from apps.catalog.adapters.standing import Standing, standings
from apps.catalog.adapters.transport import (
    EgressTransport,
    RefusedAddressError,
    http_client,
    refused_credentials,
)

__all__ = [
    "EgressTransport",
    "RefusedAddressError",
    "ServerAccess",
    "Standing",
    "Trial",
    "ask",
    "ask_now",
    "configured",
    "http_client",
    "look_up",
    "module_of",
    "probe",
    "problems",
    "refused_credentials",
    "remember",
    "resolve",
    "resolve_entry",
    "standings",
]
