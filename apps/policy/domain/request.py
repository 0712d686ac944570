"""What the gate asks: may this agent take this action on this tool, in these circumstances?

The JSON form is what a decision row keeps, so that any later text can be asked the same again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from apps.kernel.canonical import canonical_bytes, digest_of_bytes
from apps.kernel.exactjson import NotCarriedError, check, is_number, number_text
from apps.policy.domain.mistyped import kept

VERSION = 2  # of the stored form: 1 says nothing of previews, and facts were not always asked for
MIN_LONG, MAX_LONG = -(2**63), 2**63 - 1  # what Cedar has
# Text that a rule could take for something else is written in quotation marks, as JSON writes it.
_MISTAKABLE = re.compile(
    r'true|false|null|".*|-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?', re.ASCII | re.DOTALL
)
_NAME_TO_QUOTE = re.compile(r'".*|.*=.*', re.DOTALL)
CONVERSATION = {
    "confirmed": "bool",
    "understood": "bool",
    "language": "string",
    "agent_asked": "bool",
    "customer_messages": "long",
    "signals": "set",
    "spelled_out": "bool",
    "price_quoted": "bool",
    "unspoken": "set",
    "customer_named": "set",
    "spoken_of": "set",
}
RUN = {
    "same_tool_before": "long",
    "same_resource_before": "long",
    "mutations_before": "long",
    "reads_before": "set",
    "seen": "set",
    "answers": "set",
    "refused_before": "long",
    "same_resource_rejected": "long",
    "steps": "long",
}
EMPTY: dict[str, Any] = {"bool": False, "long": 0, "string": "", "set": []}


@dataclass(frozen=True, slots=True)
class Reads:
    """The attributes of the context that some rules mention, with their types."""

    conversation: Mapping[str, str]
    run: Mapping[str, str]
    arguments: bool


EVERYTHING = Reads(CONVERSATION, RUN, arguments=True)


def reads_of(policies: str) -> Reads:
    """What a text can look at. Should a rule reach for an attribute in a way that this doesn't
    see, the missing attribute is an error, which denies."""
    return Reads(
        {name: kind for name, kind in CONVERSATION.items() if name in policies},
        {name: kind for name, kind in RUN.items() if name in policies},
        "arguments" in policies,
    )


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the decision point: who (agent), what (tool, with the effect class that the
    catalog gives it; ``listed``: the run's contract names it), and the circumstances.
    ``preview_error`` says why the tool's preview told nothing; ``asked_for`` names the facts that
    could be known when this was asked first (``None``: all that the tool declares)."""

    agent: str
    tool: str
    domain: str
    effect: str
    listed: bool
    agent_kind: str = ""
    agent_model: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    conversation: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    approvals: frozenset[str] = frozenset()
    preview_error: str = ""
    asked_for: frozenset[str] | None = None

    def to_json(self) -> dict[str, Any]:
        """The form that is stored, digested and asked again."""
        return {
            "v": VERSION,
            "agent": self.agent,
            "tool": self.tool,
            "domain": self.domain,
            "effect": self.effect,
            "listed": self.listed,
            "agent_kind": self.agent_kind,
            "agent_model": self.agent_model,
            "facts": {name: kept(value) for name, value in self.facts.items()},
            "conversation": _plain(self.conversation),
            "run": _plain(self.run),
            "arguments": dict(self.arguments),
            "approvals": sorted(self.approvals),
            **({"preview_error": self.preview_error} if self.preview_error else {}),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Request:
        """Read a stored request. Keys of another release are left out. One that was asked before
        gaps were looked for is asked again without looking for them."""
        known = {f.name for f in fields(cls)}
        found = {name: value for name, value in stored.items() if name in known}
        found["approvals"] = frozenset(found.get("approvals", ()))
        if int(stored.get("v", 1)) < VERSION:
            found["asked_for"] = frozenset()
        return cls(**found)

    def canonical(self) -> bytes:
        """``to_json`` in canonical form."""
        return canonical_bytes(self.to_json())

    def digest(self) -> str:
        """SHA-256 over the canonical form."""
        return digest_of(self.canonical())

    def context(
        self, facts: Mapping[str, str], limits: Mapping[str, int], read: Reads = EVERYTHING
    ) -> dict[str, Any]:
        """What rules see as ``context``; ``facts`` gives the types that this tool declares, and
        ``read`` the attributes that any rule mentions.

        Conversation and run attributes are always there (the empty value where nothing is known);
        a fact is there only when it is known and has its declared type.
        """
        return {
            "facts": typed(self.facts, facts),
            "conversation": _filled(self.conversation, read.conversation),
            "run": _filled(self.run, read.run),
            "arguments": scalar_arguments(self.arguments) if read.arguments else [],
            "limits": dict(limits),
            "approvals": sorted(self.approvals),
        }


def digest_of(canonical: bytes) -> str:
    """The digest of a request in its canonical form."""
    return digest_of_bytes(canonical, purpose="policy-request")


def scalar_arguments(arguments: Mapping[str, Any]) -> list[str]:
    """``name=value`` for each scalar top-level argument, as rules compare them. No two different
    arguments have the same line: a name with an equals sign is put in quotation marks."""
    return sorted(
        f"{_quoted(name) if _NAME_TO_QUOTE.fullmatch(name) else name}={text}"
        for name, value in arguments.items()
        if (text := scalar_text(value)) is not None
    )


def scalar_text(value: Any) -> str | None:
    """A scalar as rules see it: a number by its value and in full (9 and 9.0 are ``9``), ``true``,
    ``null``, text as it is, but in quotation marks where it reads like one of those (``"9"``);
    ``None`` for anything nested."""
    if isinstance(value, str):
        return _quoted(value) if _MISTAKABLE.fullmatch(value) else value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if is_number(value) else None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def typed(values: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """Keep the declared values that have the declared type. What is undeclared, null or of
    another type is left out: rules then see it as not known, never as something it isn't."""
    return {
        name: value
        for name, kind in types.items()
        if (value := _typed(values.get(name), kind)) is not None
    }


def has_type(value: Any, kind: str) -> bool:
    """Whether rules may see this value as a fact of this type."""
    return _typed(value, kind) is not None


def _filled(values: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    return {**{name: EMPTY[kind] for name, kind in types.items()}, **typed(values, types)}


def _typed(value: Any, kind: str) -> Any:
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "long":
        return _long(value)
    if kind == "string":
        return value if isinstance(value, str) else None
    is_list = isinstance(value, list | tuple | set | frozenset)
    return _texts(value) if is_list and all(isinstance(item, str) for item in value) else None


def _long(value: Any) -> int | None:
    """A number that is a whole one, however it is spelled, in the range that rules can compare."""
    if not is_number(value):
        return None
    try:
        whole = value if type(value) is int else check(value)
    except NotCarriedError:
        return None
    return whole if isinstance(whole, int) and MIN_LONG <= whole <= MAX_LONG else None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    sets = (set, frozenset, tuple, list)
    return {k: _texts(v) if isinstance(v, sets) else v for k, v in values.items()}


def _texts(values: Any) -> list[str]:
    return sorted({number_text(v) if is_number(v) else str(v) for v in values}) if values else []
