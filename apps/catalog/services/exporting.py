"""The catalog as pack files: what ``apply`` would make the same versions of on an empty tower."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db.models import F

from apps.catalog import selectors
from apps.catalog.domain.contract import parse
from apps.catalog.domain.entries import AGENT, parse_tool, read_entry_text
from apps.catalog.domain.language_models import parse_model
from apps.catalog.domain.tool_servers import parse_server
from apps.catalog.models import (
    Agent,
    AgentVersion,
    ContractVersion,
    Domain,
    LanguageModelVersion,
    PromptVersion,
    ToolServer,
    ToolServerVersion,
    ToolVersion,
)
from apps.kernel.documents import Problem, load
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.kernel.exactjson import same
from apps.kernel.patching import dumped
from apps.policy import selectors as policies


class ExportError(InvalidInputError):
    """Something would be lost; ``problems`` name it."""

    code = "not_exported"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        noun = "thing" if count == 1 else "things"
        super().__init__(f"{count} {noun} can't be written as a file; nothing was written.")


def export_packs(domain: str = "") -> dict[str, str]:
    """Every file of the packs of the whole catalog, or of one domain: its text by its path.
    Only what is published is told. Raises NotFoundError for an unknown domain, ExportError rather
    than lose anything."""
    found = Domain.objects.select_related("server").order_by("slug")
    if domain:
        found = found.filter(slug=domain)
    if domain and not found:
        raise NotFoundError(f"There is no domain “{domain}”.", domain=domain)
    files: dict[str, str] = {}
    problems: list[Problem] = []
    homes = _homes()
    for row in found:
        pack = _Pack(row, [slug for slug, home in homes.items() if home == row.slug])
        files |= {f"{row.slug}/{name}": text for name, text in pack.files().items()}
        problems += pack.problems
    if problems:
        raise ExportError(problems)
    return files


def write_files(directory: Path, files: Mapping[str, str], *, replace: bool) -> None:
    """Write them below ``directory``. Without ``replace``, nothing is written where a pack is."""
    if not replace:
        for name in files:
            if (directory / name).exists():
                raise InvalidInputError(
                    f"{directory / name} is there already. Say --replace, or another folder."
                )
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


def _homes() -> dict[str, str]:
    """The domain whose pack holds each published agent. Those that a release before the column
    knew are with their prompt, else where their name begins with the domain's."""
    domains = list(Domain.objects.order_by("slug").values_list("slug", flat=True))
    prompts = dict(
        PromptVersion.objects.values_list("prompt__slug", "prompt__domain__slug").distinct()
    )
    homes = {}
    rows = AgentVersion.objects.filter(number=F("agent__current_number"))
    for row in rows.select_related("agent__domain").order_by("agent__slug"):
        agent: Agent = row.agent
        if agent.domain is not None:
            homes[agent.slug] = agent.domain.slug
        elif (prompt := row.document.get("prompt")) in prompts:
            homes[agent.slug] = prompts[prompt]
        else:
            named = [slug for slug in domains if agent.slug.startswith(f"{slug}-")]
            homes[agent.slug] = max(named or domains[:1], key=len)
    return homes


class _Pack:
    """The files of one domain."""

    def __init__(self, domain: Domain, agents: list[str]) -> None:
        self.domain, self.agents = domain, agents
        self.problems: list[Problem] = []
        self.written: dict[str, str] = {}
        self.taken: set[str] = set()

    def files(self) -> dict[str, str]:
        """Path and text of each, ``pack.yaml`` first."""
        told: dict[str, Any] = {
            "domain": {"slug": self.domain.slug, "name": self.domain.name},
            "server": self._server(),
            "tools": [],
            "tool_files": self._tools(),
            "server_files": self._servers(),
            "model_files": self._models(),
            "prompts": self._prompts(),
            "agent_files": self._agents(),
            "policies": self._policies(),
            "jobs": self._jobs(),
            "replay": self.domain.replay,
        }
        kept = {k: v for k, v in told.items() if v or k in {"domain", "server", "tools"}}
        main = dumped(kept)
        self._require(same(load(main).value, kept), "pack.yaml")
        return {"pack.yaml": main, **self.written}

    def _require(self, is_whole: bool, name: str) -> None:
        if not is_whole:
            message = f"{self.domain.slug}/{name} doesn't say as a file what is published."
            self.problems.append(Problem(message, "Publish a version of it in the browser first."))

    def _put(self, folder: str, name: str, ending: str, text: str) -> str:
        """Its path, different from each other's where case doesn't count either."""
        path, n = f"{folder}/{name}.{ending}", 2
        while path.casefold() in self.taken:
            path, n = f"{folder}/{name}~{n}.{ending}", n + 1
        self.taken.add(path.casefold())
        self.written[path] = text
        # What reading a file makes of line ends.
        self._require("\r\n" not in text, path)
        return path

    def _server(self) -> dict[str, str]:
        begun = self.domain.tool_servers.filter(current_number__gt=0).order_by("slug")
        own = begun.values_list("slug", flat=True).first()
        slug = selectors.server_of(self.domain) or own or self.domain.slug
        row = ToolServer.objects.filter(slug=slug).first()
        told = {"slug": slug, "protocol": row.protocol if row else "mcp"}
        return {**told, "url": row.url} if row and row.url else told

    def _tools(self) -> list[str]:
        rows = ToolVersion.objects.filter(
            tool__domain=self.domain, number=F("tool__current_number")
        ).select_related("tool")
        paths = []
        for row in rows.order_by("tool__name"):
            path = self._put("tools", row.tool.name, "yaml", row.text)
            read, _, _ = parse_tool(row.text, name=row.tool.name)
            self._require(read is not None and same(read, row.document), path)
            paths.append(path)
        return paths

    def _servers(self) -> list[str]:
        rows = ToolServerVersion.objects.filter(
            server__domain=self.domain, number=F("server__current_number")
        )
        found = rows.order_by("server__slug").select_related("server")
        return [self._document("servers", row.server.slug, row, parse_server) for row in found]

    def _models(self) -> list[str]:
        rows = LanguageModelVersion.objects.filter(
            model__domain=self.domain, number=F("model__current_number")
        )
        found = rows.order_by("model__slug").select_related("model")
        return [self._document("models", row.model.slug, row, parse_model) for row in found]

    def _document(self, folder: str, slug: str, row: Any, parse: Any) -> str:
        path = self._put(folder, slug, "yaml", row.text)
        read, _ = parse(row.text, slug=slug)
        self._require(read is not None and same(read, row.document), path)
        return path

    def _prompts(self) -> list[dict[str, str]]:
        rows = PromptVersion.objects.filter(
            prompt__domain=self.domain, number=F("prompt__current_number")
        ).order_by("prompt__slug")
        found = rows.values_list("prompt__slug", "text")
        return [
            {"slug": slug, "file": self._put("prompts", slug, "md", text)} for slug, text in found
        ]

    def _agents(self) -> list[str]:
        rows = AgentVersion.objects.filter(
            agent__slug__in=self.agents, number=F("agent__current_number")
        ).select_related("agent")
        paths = []
        for row in rows.order_by("agent__slug"):
            path = self._put("agents", row.agent.slug, "yaml", row.text)
            source, wrong = read_entry_text(row.text, AGENT)
            self._require(not wrong and source.value["slug"] == row.agent.slug, path)
            paths.append(path)
        return paths

    def _policies(self) -> list[str]:
        texts = policies.texts(self.domain.slug)
        return [self._put("policies", slug, "yaml", text) for slug, text in texts.items()]

    def _jobs(self) -> list[str]:
        rows = ContractVersion.objects.filter(
            job__domain=self.domain, number=F("job__current_number")
        ).select_related("job")
        paths = []
        for row in rows.order_by("job__slug"):
            path = self._put("jobs", row.job.slug, "yaml", row.text)
            document = parse(row.text).document
            self._require(document is not None and same(document, row.document), path)
            paths.append(path)
        return paths


def described(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Problems as JSON for machines, in the order of files and lines."""
    rows = [
        {
            "severity": p.severity,
            "file": p.file,
            "line": p.line,
            "column": p.column,
            "field": p.path,
            "problem": p.message,
            "fix": p.fix,
        }
        for p in problems
    ]
    return sorted(rows, key=lambda r: (r["file"], r["line"], r["column"], r["field"], r["problem"]))
