"""Read pack folders: files, structure, cross references and the tool servers' schemas.

Nothing here touches the database's truth, and the network is asked before any transaction opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.catalog import adapters, selectors
from apps.catalog.domain.checks import findings
from apps.catalog.domain.contract import Known, Parsed, parse
from apps.catalog.domain.pack import (
    FileEntry,
    Pack,
    PolicyFile,
    parse_pack,
    parse_policy,
    sentence_problems,
)
from apps.catalog.domain.replaying import job_problems
from apps.catalog.domain.served import Listing
from apps.catalog.domain.servers import EntryError, Source, read_entry
from apps.kernel.documents import Problem
from apps.kernel.errors import InvalidInputError, UnavailableError
from apps.kernel.schemas import SchemaProblem, schema_problems
from apps.policy import selectors as policies
from apps.policy import services as policy
from apps.policy.domain.schema import ToolDeclaration, cedar_schema


class PackError(InvalidInputError):
    """A pack is wrong; ``detail["problems"]`` names every place."""

    code = "pack_invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun}; nothing was applied.", problems=self.problems)


@dataclass(slots=True)
class PackFiles:
    """A pack read whole: everything that the rows are made of."""

    directory: Path
    pack: Pack
    tools: tuple[dict[str, Any], ...] = ()
    prompts: dict[str, str] = field(default_factory=dict)
    policies: list[tuple[PolicyFile, str]] = field(default_factory=list)
    jobs: list[tuple[Parsed, str]] = field(default_factory=list)
    schema: dict[str, Any] = field(default_factory=dict)
    served: Listing | None = None  # what the tool server said, if it could be asked

    @property
    def domain_slug(self) -> str:
        return self.pack.domain["slug"]


def read_packs(directories: Iterable[Path]) -> tuple[list[PackFiles], list[Problem]]:
    """Read every pack, and what people should know of them; or raise PackError with all that is
    wrong in all of them."""
    problems: list[Problem] = []
    found: list[PackFiles] = []
    for directory in directories:
        files = _read_pack(Path(directory), problems)
        if files is not None:
            found.append(files)
    if any(p.is_error for p in problems):
        raise PackError(p for p in problems if p.is_error)
    return found, problems


def _read_pack(directory: Path, problems: list[Problem]) -> PackFiles | None:
    main = directory / "pack.yaml"
    text = _text(main, problems, Problem(f"{main} can't be read.", "Name a folder with pack.yaml."))
    if text is None:
        return None
    pack, said = parse_pack(text)
    problems += [p.in_file(str(main)) for p in said]
    if pack is None:
        return None
    files = PackFiles(directory, pack)
    files.tools = _tools(files, problems)
    files.prompts = {
        entry.slug: body
        for entry in pack.prompts
        if (body := _listed(files, entry, problems)) is not None
    }
    _read_policies(files, problems)
    _read_jobs(files, problems)
    return files


def _text(path: Path, problems: list[Problem], missing: Problem) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problems.append(missing.in_file(str(path)))
        return None
    except OSError:
        problems.append(missing)
        return None


def _listed(files: PackFiles, entry: FileEntry, problems: list[Problem]) -> str | None:
    """The text of a file that pack.yaml names; a path out of the pack is refused."""
    main = str(files.directory / "pack.yaml")
    path = files.directory / entry.file
    if not path.resolve().is_relative_to(files.directory.resolve()):
        said = files.pack.source.problem(
            entry.path, f"{entry.file} lies outside the pack.", "Move it into the pack's folder."
        )
        problems.append(said.in_file(main))
        return None
    said = files.pack.source.problem(
        entry.path, f"{entry.file} can't be read as a text file.", "Correct the path."
    )
    return _text(path, problems, said.in_file(main))


def _tools(files: PackFiles, problems: list[Problem]) -> tuple[dict[str, Any], ...]:
    """The pack's tools, each with a schema, checked against what the server says of them."""
    pack, main = files.pack, str(files.directory / "pack.yaml")
    asked = [t["name"] for t in pack.tools if "input_schema" not in t]
    problems += [p.in_file(main) for p in _ask_server(files, must_answer=bool(asked))]
    if files.served is None and asked:
        return ()
    served = {name: {"type": "object"} for name in asked}
    if files.served is not None:
        problems += [p.in_file(main) for p in _checked(pack, files.served)]
        served |= files.served.input_schemas()
    tools = pack.with_schemas(served)
    for i, tool in enumerate(tools):
        stated = tool["input_schema"]
        if tool["name"] in asked and (unusable := schema_problems(stated, of_object=True)):
            problems += [_served_wrong(pack, i, found).in_file(main) for found in unusable]
            continue
        said_all = sentence_problems(pack.source, ("tools", i), tool, tool["input_schema"])
        problems += [p.in_file(main) for p in said_all]
    return tools


def _ask_server(files: PackFiles, *, must_answer: bool) -> list[Problem]:
    """Ask the server what it offers. A server that can't be asked is an error only for a pack that
    leaves schemas to it."""
    pack = files.pack
    slug, url = pack.server["slug"], pack.server.get("url", "")
    wrong = [pack.source.problem(("server", "url"), why) for why in _url_problems(slug, url)]
    try:
        connection = adapters.resolve(slug, url)
        if connection.module and not must_answer:
            return wrong
        files.served = adapters.ask(connection)
    except UnavailableError as error:
        fix = "Start the tool service, or state input_schema for each tool."
        if must_answer:
            return [*wrong, pack.source.problem(("server",), str(error), fix)]
        note = f"{error} Its tools were not checked against it."
        return [*wrong, pack.source.problem(("server",), note, severity="warning")]
    return wrong


def _url_problems(slug: str, url: str) -> list[str]:
    """What is wrong with the address that the pack itself states."""
    try:
        if url:
            read_entry(slug, url, Source.CATALOG)
    except EntryError as error:
        return [str(error)]
    return []


def _checked(pack: Pack, served: Listing) -> list[Problem]:
    places = {tool["name"]: i for i, tool in enumerate(pack.tools)}
    return [
        pack.source.problem(
            ("tools", places[found.tool], found.field),
            found.message,
            found.fix,
            severity="error" if found.is_error else "warning",
        )
        for found in findings(pack.tools, served)
    ]


def _served_wrong(pack: Pack, index: int, found: SchemaProblem) -> Problem:
    """What is wrong in the schema that a tool server states, at the tool's line in the pack."""
    name = pack.tools[index]["name"]
    message = f"The server's schema of “{name}” can't be used: {found}"
    fix = "Have the server fix it, or state input_schema in the pack."
    return pack.source.problem(("tools", index, "name"), message, fix)


def policy_schema(tools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The Cedar schema of a domain's tools: actions in effect groups, declared facts."""
    return cedar_schema(
        ToolDeclaration(t["name"], t["effect"], t.get("facts") or {}, t.get("preview", ""))
        for t in tools
    )


def _read_policies(files: PackFiles, problems: list[Problem]) -> None:
    files.schema = policy_schema(files.tools)
    for entry in files.pack.policies:
        body = _listed(files, entry, problems)
        if body is None:
            continue
        name = str(files.directory / entry.file)
        frame, said = parse_policy(body)
        problems += [p.in_file(name) for p in said]
        if frame is None:
            continue
        problems += [
            Problem(p.message, p.fix, p.path, p.line, p.column, file=name)
            for p in policy.validate(text=body, schema=files.schema)
        ]
        files.policies.append((frame, body))


def _read_jobs(files: PackFiles, problems: list[Problem]) -> None:
    known = Known(
        tools={t["name"]: t["effect"] for t in files.tools} or None,
        agents=selectors.agent_slugs() | {a["slug"] for a in files.pack.agents},
        policies=policies.slugs(files.domain_slug) | {frame.slug for frame, _ in files.policies},
        elsewhere=policies.domains(),
    )
    seen: dict[str, str] = {}
    for entry in files.pack.jobs:
        body = _listed(files, entry, problems)
        if body is None:
            continue
        name = str(files.directory / entry.file)
        parsed = parse(body, known)
        problems += [p.in_file(name) for p in parsed.problems]
        if parsed.contract is None:
            continue
        if (first := seen.setdefault(parsed.contract.job, name)) != name:
            message = f"The job “{parsed.contract.job}” is also written in {first}."
            problems.append(Problem(message, "Keep one of them.", "job", file=name))
        files.jobs.append((parsed, body))
    if len(files.jobs) == len(files.pack.jobs):
        main = str(files.directory / "pack.yaml")
        problems += [p.in_file(main) for p in job_problems(files.pack.source, seen)]
