"""The door to tool servers and models: where they are, how they are connected to, and what servers
offer (MCP)."""

from __future__ import annotations

from apps.catalog.adapters.addresses import (
    ServerAccess,
    configured,
    is_configured,
    look_up,
    module_of,
    problems,
    remember,
    resolve,
    resolve_entry,
    trouble_of_server,
)
from apps.catalog.adapters.asking import ask, ask_now
from apps.catalog.adapters.models import (
    ModelAccess,
    ModelStanding,
    model_standings,
    reach,
    reach_first,
    trouble_of,
)
from apps.catalog.adapters.probing import Trial, probe
from apps.catalog.adapters.standing import ServerStatus, standing_of, standings
from apps.catalog.adapters.transport import (
    EgressTransport,
    RefusedAddressError,
    http_client,
    refused_credentials,
)

__all__ = [
    "EgressTransport",
    "ModelAccess",
    "ModelStanding",
    "RefusedAddressError",
    "ServerAccess",
    "ServerStatus",
    "Trial",
    "ask",
    "ask_now",
    "configured",
    "http_client",
    "is_configured",
    "look_up",
    "model_standings",
    "module_of",
    "probe",
    "problems",
    "reach",
    "reach_first",
    "refused_credentials",
    "remember",
    "resolve",
    "resolve_entry",
    "standing_of",
    "standings",
    "trouble_of",
    "trouble_of_server",
]
