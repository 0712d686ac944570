"""Write the next version of a tool, a tool server, a model, an agent or a prompt: the one place
that does, whether a pack or people say it. Runs keep what they began with; what names the thing
follows (``following``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.catalog.domain.drift import served_digest
from apps.catalog.models import (
    Agent,
    AgentVersion,
    LanguageModel,
    LanguageModelVersion,
    Prompt,
    PromptVersion,
    Tool,
    ToolServer,
    ToolServerVersion,
    ToolVersion,
)
from apps.kernel.canonical import digest
from apps.kernel.errors import ConflictError
from apps.kernel.transactions import participant

APPLY_LOCK = 7_346_101  # advisory lock, see ``hold_catalog``


@dataclass(frozen=True, slots=True)
class Byline:
    """Who makes a version, and what was said on its way."""

    actor: Actor
    note: str = ""
    notes: Sequence[Mapping[str, Any]] = field(default_factory=list)
    author_id: int | None = None
    approver_id: int | None = None

    @property
    def columns(self) -> dict[str, Any]:
        return {
            "note": self.note,
            "notes": list(self.notes),
            "author_id": self.author_id,
            "approver_id": self.approver_id,
        }


@participant
def hold_catalog() -> None:
    """One at a time changes what names in the catalog mean: of two packs applied at once both would
    take the next number, and a contract could pin what is no longer current."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPLY_LOCK])


@participant
def write_tool(
    tool: Tool,
    *,
    document: Mapping[str, Any],
    written: str,
    served: Mapping[str, Any] | None,
    said: Byline,
) -> ToolVersion:
    """``served``: what its server says of it, if that is known."""
    number = _next(Tool, tool)
    version = ToolVersion.objects.create(
        tool=tool,
        number=number,
        document=dict(document),
        written=written,
        served=None if served is None else dict(served),
        served_digest=served_digest(served) if served else "",
        fingerprint=fingerprint(document, served),
        effect=document["effect"],
        idempotency=document["idempotency"],
        **said.columns,
    )
    _note_down("tool", f"{tool.domain.slug}/{tool.name}", said, number)
    return version


def fingerprint(document: Mapping[str, Any], served: Mapping[str, Any] | None) -> str:
    """The digest of what is stated of a tool and what its server says of it."""
    stated = dict(document)
    whole = stated if served is None else {**stated, "served": served_digest(served)}
    return digest(whole, purpose="tool-version")


@participant
def write_prompt(prompt: Prompt, *, text: str, said: Byline) -> PromptVersion:
    number = _next(Prompt, prompt)
    version = PromptVersion.objects.create(
        prompt=prompt, number=number, text=text, digest=prompt_digest(text), **said.columns
    )
    _note_down("prompt", prompt.slug, said, number)
    return version


def prompt_digest(text: str) -> str:
    return digest(text, purpose="prompt-version")


@participant
def write_agent(
    agent: Agent, *, document: Mapping[str, Any], kind: str, written: str, said: Byline
) -> AgentVersion:
    number = _next(Agent, agent)
    version = AgentVersion.objects.create(
        agent=agent,
        number=number,
        document=dict(document),
        written=written,
        digest=agent_digest(document, kind),
        **said.columns,
    )
    _note_down("agent", agent.slug, said, number)
    return version


def agent_digest(document: Mapping[str, Any], kind: str) -> str:
    return digest({**document, "kind": kind}, purpose="agent-version")


@participant
def write_model(
    model: LanguageModel, *, document: Mapping[str, Any], written: str, said: Byline
) -> LanguageModelVersion:
    sha = model_digest(document)
    return _write("model", LanguageModelVersion, model, document, written, sha, said)


def model_digest(document: Mapping[str, Any]) -> str:
    return digest(dict(document), purpose="model-version")


@participant
def write_server(
    server: ToolServer, *, document: Mapping[str, Any], written: str, said: Byline
) -> ToolServerVersion:
    sha = server_digest(document)
    return _write("server", ToolServerVersion, server, document, written, sha, said)


def server_digest(document: Mapping[str, Any]) -> str:
    return digest(dict(document), purpose="server-version")


def agent_document(
    entry: Mapping[str, Any], prompt: PromptVersion | None, models: Mapping[str, int]
) -> dict[str, Any]:
    """What an agent's entry means while its prompt and the catalog's models are at these versions.
    ``models``: those that it names, as ``selectors.pinned_models`` has them."""
    return {
        **({"models": dict(models)} if models else {}),
        "prompt": entry.get("prompt", ""),
        "prompt_number": prompt.number if prompt else None,
        "prompt_version": prompt.pk if prompt else None,
        "model": entry.get("model", ""),
        "fallback_models": entry.get("fallback_models", []),
        "settings": entry.get("settings", {}),
    }


@participant
def _write(
    what: str,
    versions: Any,
    subject: Any,
    document: Mapping[str, Any],
    written: str,
    sha: str,
    said: Byline,
) -> Any:
    """The next version of what is an entry and its text; ``what`` is its column, too."""
    number = _next(type(subject), subject)
    version = versions.objects.create(
        **{what: subject},
        number=number,
        document=dict(document),
        written=written,
        digest=sha,
        **said.columns,
    )
    _note_down(what, subject.slug, said, number)
    return version


@participant
def _next(model: Any, subject: Any) -> int:
    """The subject's next number, taken. Of two who publish at once one moves it; the other is
    told."""
    number = int(subject.current_number) + 1
    held = model.objects.filter(pk=subject.pk, current_number=subject.current_number)
    if held.update(current_number=number) != 1:
        raise ConflictError(f"Another version of “{subject.slug}” was published meanwhile.")
    subject.current_number = number
    return number


@participant
def _note_down(what: str, subject: str, said: Byline, number: int) -> None:
    payload: dict[str, Any] = {"number": number}
    if said.note:
        payload["note"] = said.note
    record(
        kind=f"{what}.published",
        actor=said.actor,
        subject_type=what,
        subject_id=subject,
        payload=payload,
    )
