"""What an approval is bound to: everything that would have to be asked again if it changed.

The digest is over canonical JSON, in which two numbers lose their exact writing: integers beyond
2**53 - 1 have none, and a float may be printed like an integer. Both are therefore bound as their
exact text under a tag. A key of the data that looks like a tag is escaped, so that no two different
arguments share a digest. Text is bound as it came: never normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.kernel.canonical import digest

PURPOSE = "tower.approval.v1"
VERSION = 1
SAFE_INTEGER = 2**53 - 1
TAG = "$"


def binding(
    *,
    tool: str,
    tool_fingerprint: str,
    contract_digest: str,
    policy_digest: str,
    agent: str,
    subject: str,
    arguments: Mapping[str, Any],
    run_id: str,
) -> dict[str, Any]:
    """The full context of one action, as JSON that PostgreSQL gives back unchanged."""
    return {
        "v": VERSION,
        "tool": tool,
        "tool_fingerprint": tool_fingerprint,
        "contract_digest": contract_digest,
        "policy_digest": policy_digest,
        "agent": agent,
        "subject": subject,
        "arguments": exact(arguments),
        "run_id": str(run_id),
    }


def binding_digest(bound: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a binding. Any change in any field makes another one."""
    return digest(dict(bound), purpose=PURPOSE)


def exact(value: Any) -> Any:
    """``value`` with every number in a form that JSON can't bend."""
    if isinstance(value, Mapping):
        return {_escaped(str(key)): exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, float):
        return {f"{TAG}float": repr(value)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE_INTEGER:
        return {f"{TAG}int": str(value)}
    return value


def _escaped(key: str) -> str:
    return TAG + key if key.startswith(TAG) else key


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Which fields of two bindings differ, for the person who has to look again."""
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
