"""Read pack folders: files, structure, cross references and the tool servers' schemas.

Nothing here touches the database's truth, and the network is asked before any transaction opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.catalog import adapters, selectors
from apps.catalog.domain.contract import Known, Parsed, parse
from apps.catalog.domain.pack import (
    FileEntry,
    Pack,
    PolicyFile,
    parse_pack,
    parse_policy,
    sentence_problems,
    unknown_tools,
)
from apps.kernel.documents import Problem
from apps.kernel.errors import InvalidInputError, UnavailableError
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

    @property
    def domain_slug(self) -> str:
        return self.pack.domain["slug"]


def read_packs(directories: Iterable[Path]) -> list[PackFiles]:
    """Read every pack, or raise PackError with all that is wrong in all of them."""
    problems: list[Problem] = []
    found: list[PackFiles] = []
    for directory in directories:
        files = _read_pack(Path(directory), problems)
        if files is not None:
            found.append(files)
    if any(p.is_error for p in problems):
        raise PackError(p for p in problems if p.is_error)
    return found


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
    pack, main = files.pack, str(files.directory / "pack.yaml")
    asked = [t["name"] for t in pack.tools if "input_schema" not in t]
    served: dict[str, dict[str, Any]] = {}
    if asked:
        slug = pack.server["slug"]
        try:
            connection = adapters.resolve(slug, pack.server.get("url", ""))
            served = adapters.ask(connection).input_schemas()
        except UnavailableError as error:
            fix = "Start the tool service, or state input_schema for each tool."
            said = pack.source.problem(("server",), str(error), fix)
            problems.append(said.in_file(main))
            return ()
    for name, near in unknown_tools(asked, served):
        index = [t["name"] for t in pack.tools].index(name)
        message = f"The tool server doesn't serve “{name}”."
        said = pack.source.problem(("tools", index, "name"), message, near)
        problems.append(said.in_file(main))
        served[name] = {"type": "object"}
    tools = pack.with_schemas(served)
    for i, tool in enumerate(tools):
        said_all = sentence_problems(pack.source, ("tools", i), tool, tool["input_schema"])
        problems += [p.in_file(main) for p in said_all]
    return tools


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
        policies=policies.slugs() | {frame.slug for frame, _ in files.policies},
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
