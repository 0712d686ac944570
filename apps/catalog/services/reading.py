"""Read pack folders: files, structure, cross references and the tool servers' schemas.

Nothing here touches the database's truth, and the network is asked before any transaction opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as Folder
from typing import Any

from apps.catalog import adapters, selectors
from apps.catalog.domain.checks import findings
from apps.catalog.domain.contract import CheckContext, Parsed, parse
from apps.catalog.domain.contract_checks import numbers_of
from apps.catalog.domain.entries import (
    AGENT,
    TOOL,
    policy_schema,
    read_entry_text,
    sentence_problems,
    tool_checks,
)
from apps.catalog.domain.language_models import read_model
from apps.catalog.domain.pack import (
    FileEntry,
    Pack,
    PolicyFile,
    parse_pack,
    parse_policy,
    unknown_prompt,
)
from apps.catalog.domain.replaying import job_problems, tool_problems
from apps.catalog.domain.served import ServedTools
from apps.catalog.domain.servers import EntryError, Source, read_entry
from apps.catalog.domain.tool_servers import ServerTerms, read_server, terms_of
from apps.catalog.selectors import servers
from apps.kernel.documents import Document, Path, Problem
from apps.kernel.errors import InvalidInputError, UnavailableError
from apps.kernel.schemas import SchemaProblem, schema_problems
from apps.policy import selectors as policies
from apps.policy import services as policy


class PackError(InvalidInputError):
    """A pack is wrong; ``detail["problems"]`` names every place."""

    code = "pack_invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun}; nothing was applied.", problems=self.problems)


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool, a tool server, a model or an agent as a pack states it: in the list of ``pack.yaml``,
    or in a file of its own, whose text is ``written``."""

    value: dict[str, Any]
    source: Document
    path: Path
    file: str
    written: str = ""

    def problem(self, *args: Any, **more: Any) -> Problem:
        """As of the document, at a place below this entry."""
        inner, *rest = args
        return self.source.problem((*self.path, *inner), *rest, **more).in_file(self.file)

    def with_schema(self, schema: Mapping[str, Any]) -> Entry:
        """The same with an input schema, where it states none."""
        return replace(self, value={**self.value, "input_schema": dict(schema)})


@dataclass(slots=True)
class PackFiles:
    """A pack read whole: everything that the rows are made of."""

    directory: Folder
    pack: Pack
    tools: tuple[Entry, ...] = ()
    servers: tuple[Entry, ...] = ()
    models: tuple[Entry, ...] = ()
    agents: tuple[Entry, ...] = ()
    prompts: dict[str, str] = field(default_factory=dict)
    policies: list[tuple[PolicyFile, str]] = field(default_factory=list)
    jobs: list[tuple[Parsed, str]] = field(default_factory=list)
    served: ServedTools | None = None  # what the tool server said, if it could be asked

    @property
    def domain_slug(self) -> str:
        return self.pack.domain["slug"]

    @property
    def main(self) -> str:
        return str(self.directory / "pack.yaml")


@dataclass(frozen=True, slots=True)
class Around:
    """What packs may name besides each other. ``policies``: the domain of each policy set.
    ``servers``: published documents, each with whether people wrote it. ``asks``: whether tool
    servers are asked."""

    agents: frozenset[str] = frozenset()
    policies: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, tuple[ServerTerms, bool]] = field(default_factory=dict)
    asks: bool = True


def catalog_around() -> Around:
    """What the catalog of this tower holds."""
    return Around(selectors.agent_slugs(), policies.domains(), servers.documents())


def packs_in(directory: Folder) -> list[Folder]:
    """The packs in a folder: itself, or else those below it."""
    try:
        if (directory / "pack.yaml").exists():
            return [directory]
    except OSError:  # such as a name that is too long
        return [directory]
    return sorted(main.parent for main in directory.glob("*/pack.yaml")) or [directory]


def read_packs(
    directories: Iterable[Folder], around: Around | None = None
) -> tuple[list[PackFiles], list[Problem]]:
    """Read every pack, and what people should know of them; or raise PackError with all that is
    wrong in all of them."""
    found, problems = examine(directories, catalog_around() if around is None else around)
    if any(p.is_error for p in problems):
        raise PackError(p for p in problems if p.is_error)
    return found, problems


def examine(directories: Iterable[Folder], around: Around) -> tuple[list[PackFiles], list[Problem]]:
    """Every pack that can be read, and all that is to be said of all of them."""
    problems: list[Problem] = []
    found: list[PackFiles] = []
    for directory in (pack for named in directories for pack in packs_in(Folder(named))):
        files = _read_pack(directory, problems, around)
        if files is not None:
            found.append(files)
    told = {frame.slug: files.domain_slug for files in found for frame, _ in files.policies}
    agents = {entry.value["slug"] for files in found for entry in files.agents}
    around = replace(around, agents=around.agents | agents, policies={**around.policies, **told})
    for files in found:
        _read_jobs(files, problems, around)
    return found, problems


def _read_pack(directory: Folder, problems: list[Problem], around: Around) -> PackFiles | None:
    main = directory / "pack.yaml"
    text = _text(main, problems, Problem(f"{main} can't be read.", "Name a folder with pack.yaml."))
    if text is None:
        return None
    pack, said = parse_pack(text)
    problems += [p.in_file(str(main)) for p in said]
    if pack is None:
        return None
    files = PackFiles(directory, pack)
    before = len([p for p in problems if p.is_error])
    listed = _entries(files, problems)
    if len([p for p in problems if p.is_error]) == before:
        files.tools = _tools(files, listed, problems, around)
    files.prompts = {
        entry.slug: body
        for entry in pack.prompts
        if (body := _listed(files, entry, problems)) is not None
    }
    _read_policies(files, problems)
    return files


def _entries(files: PackFiles, problems: list[Problem]) -> list[Entry]:
    """The tools of a pack, and into ``files`` its agents: those in the list, and those in files."""
    pack, main = files.pack, files.main
    tools = [Entry(t, pack.source, ("tools", i), main) for i, t in enumerate(pack.tools)]
    agents = [Entry(a, pack.source, ("agents", i), main) for i, a in enumerate(pack.agents)]
    for listed in pack.tool_files:
        if entry := _entry(files, listed, TOOL, problems):
            problems += [p.in_file(entry.file) for p in tool_checks(entry.source, (), entry.value)]
            tools.append(entry)
    files.servers = _documents(files, pack.server_files, read_server, problems)
    files.models = _documents(files, pack.model_files, read_model, problems)
    prompts = [p.slug for p in pack.prompts]
    for listed in pack.agent_files:
        if entry := _entry(files, listed, AGENT, problems):
            said = unknown_prompt(entry.source, (), entry.value, prompts)
            problems += [p.in_file(entry.file) for p in said]
            agents.append(entry)
    if pack.tool_files:
        names = [entry.value["name"] for entry in tools]
        problems += [p.in_file(main) for p in tool_problems(pack.source, names)]
    problems += [*_twice(tools, "name"), *_twice(agents, "slug")]
    files.agents = tuple(agents)
    return tools


def _documents(
    files: PackFiles,
    listed_files: Iterable[FileEntry],
    read: Callable[[str], tuple[Document, list[Problem]]],
    problems: list[Problem],
) -> tuple[Entry, ...]:
    """Files that hold a document each, such as models."""
    found = []
    for listed in listed_files:
        body = _listed(files, listed, problems)
        if body is None:
            continue
        name = str(files.directory / listed.file)
        source, said = read(body)
        problems += [p.in_file(name) for p in said]
        if not said:
            found.append(Entry(source.value, source, (), name, body))
    problems += _twice(found, "slug")
    return tuple(found)


def _entry(
    files: PackFiles, listed: FileEntry, shape: Mapping[str, Any], problems: list[Problem]
) -> Entry | None:
    body = _listed(files, listed, problems)
    if body is None:
        return None
    name = str(files.directory / listed.file)
    source, said = read_entry_text(body, shape)
    problems += [p.in_file(name) for p in said]
    return None if said else Entry(source.value, source, (), name, body)


def _twice(entries: list[Entry], key: str) -> list[Problem]:
    """Names that two files, or a file and the list, state."""
    first: dict[str, Entry] = {}
    out = []
    for entry in entries:
        other = first.setdefault(entry.value[key], entry)
        if other is not entry and (entry.written or other.written):
            message = f"“{entry.value[key]}” is also written in {other.file}."
            out.append(entry.problem((key,), message, "Keep one entry."))
    return out


def _text(path: Folder, problems: list[Problem], missing: Problem) -> str | None:
    try:
        if path.exists() and not path.is_file():  # such as a pipe, which nobody may ever write to
            raise OSError(f"{path} is no file")
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
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
    if not _is_inside(path, files.directory):
        said = files.pack.source.problem(
            entry.path, f"{entry.file} lies outside the pack.", "Move it into the pack's folder."
        )
        problems.append(said.in_file(main))
        return None
    said = files.pack.source.problem(
        entry.path, f"{entry.file} can't be read as a text file.", "Correct the path."
    )
    return _text(path, problems, said.in_file(main))


def _is_inside(path: Folder, directory: Folder) -> bool:
    try:
        return path.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # links that go round lead nowhere: reading it says so
        return True


def _tools(
    files: PackFiles, listed: list[Entry], problems: list[Problem], around: Around
) -> tuple[Entry, ...]:
    """The pack's tools, each with a schema, checked against what the server says of them."""
    asked, asks = [t.value["name"] for t in listed if "input_schema" not in t.value], around.asks
    if asks:
        said = _ask_server(files, around, must_answer=bool(asked))
    else:
        said = _unasked(files, len(asked))
    problems += [p.in_file(files.main) for p in said]
    if asks and files.served is None and asked:
        return ()
    served: dict[str, Any] = {name: {"type": "object"} for name in asked}
    if files.served is not None:
        problems += _checked(listed, files.served)
        served |= files.served.input_schemas()
    tools = []
    for entry in listed:
        if (name := entry.value["name"]) in asked:
            entry = entry.with_schema(served[name])  # the same with its schema
        tools.append(entry)
        schema = entry.value["input_schema"]
        if name in asked and (unusable := schema_problems(schema, of_object=True)):
            problems += [_served_wrong(entry, found) for found in unusable]
        elif asks or name not in asked:
            said = sentence_problems(entry.source, entry.path, entry.value, schema)
            problems += [p.in_file(entry.file) for p in said]
    return tuple(tools)


def _unasked(files: PackFiles, count: int) -> list[Problem]:
    """What can't be said without the server."""
    if not count:
        return []
    noun = "tool states" if count == 1 else "tools state"
    message = f"{count} {noun} no input_schema, and the server was not asked for it."
    fix = "State input_schema, or check with --ask where the server can be reached."
    return [files.pack.source.problem(("tools",), message, fix, severity="warning")]


def _ask_server(files: PackFiles, around: Around, *, must_answer: bool) -> list[Problem]:
    """Ask the server what it offers. A server that can't be asked is an error only for a pack that
    leaves schemas to it."""
    pack = files.pack
    slug, url = pack.server["slug"], pack.server.get("url", "")
    wrong = [pack.source.problem(("server", "url"), why) for why in _url_problems(slug, url)]
    try:
        connection = adapters.resolve(slug, _document_of(files, around) or url)
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


def _document_of(files: PackFiles, around: Around) -> ServerTerms | None:
    """The document that will say where the pack's server is once the pack is applied, as far as
    that is known: one that people wrote stays where the pack's didn't change."""
    slug = files.pack.server["slug"]
    known, is_edited = around.servers.get(slug, (None, False))
    own = next((entry for entry in files.servers if entry.value["slug"] == slug), None)
    if own is None or is_edited:
        return known
    return terms_of(own.value, known.number if known else 1)


def _url_problems(slug: str, url: str) -> list[str]:
    """What is wrong with the address that the pack itself states."""
    try:
        if url:
            read_entry(slug, url, Source.PACK)
    except EntryError as error:
        return [str(error)]
    return []


def _checked(listed: list[Entry], served: ServedTools) -> list[Problem]:
    entries = {entry.value["name"]: entry for entry in listed}
    return [
        entries[found.tool].problem(
            (found.field,),
            found.message,
            found.fix,
            severity="error" if found.is_error else "warning",
        )
        for found in findings([entry.value for entry in listed], served)
    ]


def _served_wrong(entry: Entry, found: SchemaProblem) -> Problem:
    """What is wrong in the schema that a tool server states, at the tool's line in the pack."""
    message = f"The server's schema of “{entry.value['name']}” can't be used: {found}"
    fix = "Have the server fix it, or state input_schema in the pack."
    return entry.problem(("name",), message, fix)


def _read_policies(files: PackFiles, problems: list[Problem]) -> None:
    schema = policy_schema(entry.value for entry in files.tools)
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
            for p in policy.validate(text=body, schema=schema)
        ]
        files.policies.append((frame, body))


def _read_jobs(files: PackFiles, problems: list[Problem], around: Around) -> None:
    own = {slug for slug, domain in around.policies.items() if domain == files.domain_slug}
    known = CheckContext(
        tools={t.value["name"]: t.value["effect"] for t in files.tools} or None,
        agents=around.agents,
        policies=frozenset(own),
        elsewhere=around.policies,
        numbers={t.value["name"]: numbers_of(t.value) for t in files.tools},
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
