"""A policy document: YAML with a name, limits, and Cedar text in a literal block.

Positions matter more than anything here: a person who types must be shown the line that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from apps.kernel.documents import MAX_INTEGER, Document, Problem, load
from apps.policy.domain.cases import KEY as CASES
from apps.policy.domain.cases import PolicyTest, case_problems, read_cases
from apps.policy.domain.proofs.defaults import KNOWN
from apps.policy.domain.proofs.sentences import KEY as INVARIANTS
from apps.policy.domain.proofs.sentences import Sentence, read_sentences, sentence_problems

EXEMPTIONS = "may_go_without_facts"
KEYS = ("policy", "name", "limits", EXEMPTIONS, INVARIANTS, CASES, "policies")
LITERAL_BLOCK = re.compile(r"policies\s*:\s*\|[-+0-9]*\s*(#.*)?$")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """What a document says. ``may_go_without_facts``: tools whose changes policy lets go although
    their facts or preview are not known, each with the reason. ``invariants`` have to hold of every
    request, or are waived; ``cases`` are its tests. ``first_line`` and ``indent`` say
    where the Cedar text stands in it."""

    slug: str = ""
    name: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    policies: str = ""
    first_line: int = 1
    indent: int = 0
    may_go_without_facts: Mapping[str, str] = field(default_factory=dict)
    invariants: tuple[Sentence, ...] = ()
    cases: tuple[PolicyTest, ...] = ()

    def position(self, line: int, column: int) -> tuple[int, int]:
        """Where a position of the Cedar text is in the document (lines and columns from 1)."""
        return self.first_line + line - 1, self.indent + column


def read_document(text: str) -> tuple[PolicyDocument | None, list[Problem]]:
    """Read a document strictly. With problems of structure there may still be a document, so that
    its Cedar text can be judged as well; there is none when the YAML itself can't be read."""
    source = load(text)
    if not isinstance(source.value, dict):
        fix = "Start with “policy: a-name”, then limits and policies."
        return None, source.problems or [Problem("The document is not a group of keys.", fix)]
    problems = [
        *source.problems,
        *_key_problems(source, text),
        *_limit_problems(source),
        *_exemption_problems(source),
        *sentence_problems(source, KNOWN),
        *case_problems(source),
    ]
    return _document(source, text), problems


def _document(source: Document, text: str) -> PolicyDocument:
    value = source.value
    policies, limits = value.get("policies"), value.get("limits")
    line = source.place(("policies",), key=True).line if "policies" in value else 0
    return PolicyDocument(
        slug=str(value.get("policy") or ""),
        name=str(value.get("name") or ""),
        limits={k: v for k, v in limits.items() if _whole(v)} if isinstance(limits, dict) else {},
        policies=policies if isinstance(policies, str) else "",
        first_line=line + 1,
        indent=_indent(text, line),
        may_go_without_facts=_exemptions(value.get(EXEMPTIONS)),
        invariants=tuple(read_sentences(value.get(INVARIANTS))),
        cases=read_cases(value.get(CASES)),
    )


def _exemptions(stated: Any) -> dict[str, str]:
    """The exemptions that count: those with a reason."""
    if not isinstance(stated, dict):
        return {}
    return {tool: why.strip() for tool, why in stated.items() if _is_text(why)}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def exempted_tools(text: str, may_lack_facts: Mapping[str, bool]) -> list[Problem]:
    """What is wrong with the tools that a document lets go without facts. ``may_lack_facts``: the
    tools there are, and whether anything about their effect could be unknown."""
    source = load(text)
    stated = source.value.get(EXEMPTIONS) if isinstance(source.value, dict) else None
    found = []
    for tool in stated if isinstance(stated, dict) else ():
        path = (EXEMPTIONS, tool)
        if tool not in may_lack_facts:
            near = get_close_matches(str(tool), may_lack_facts, n=1, cutoff=0.55)
            fix = f"Did you mean “{near[0]}”?" if near else "Name a tool of this domain."
            found.append(source.problem(path, f"There is no tool “{tool}”.", fix, key=True))
        elif not may_lack_facts[tool]:
            message = (
                f"“{tool}” needs no exemption: it reads, or declares neither facts nor preview."
            )
            found.append(source.problem(path, message, "Take this line out.", key=True))
    return found


def _key_problems(source: Document, text: str) -> Iterator[Problem]:
    value = source.value
    for key in value:
        if key not in KEYS:
            fix = f"Use only {', '.join(KEYS)}."
            yield source.problem((key,), f"“{key}” is not a key here.", fix, key=True)
    for key in ("policy", "name", "policies"):
        if key not in value:
            yield source.problem((), f"“{key}” is missing.", f"Add “{key}: …”.")
        elif not isinstance(value[key], str) or not value[key].strip():
            yield source.problem((key,), f"“{key}” must be text.")
    if isinstance(value.get("policies"), str):
        line = source.place(("policies",), key=True).line
        if not LITERAL_BLOCK.search(text.split("\n")[line - 1]):
            fix = "Write “policies: |” and indent the rules below it."
            yield source.problem(("policies",), "The rules need a literal block.", fix, key=True)


def _limit_problems(source: Document) -> Iterator[Problem]:
    limits = source.value.get("limits")
    if limits is None:
        return
    if not isinstance(limits, dict):
        fix = "Write one “name: number” a line."
        yield source.problem(("limits",), "Limits are not a group of keys.", fix)
        return
    for name, number in limits.items():
        if not (name.isascii() and name.isidentifier()):
            fix = "Use letters, digits and _ in names."
            yield source.problem(("limits", name), f"“{name}” can't be a limit's name.", fix)
        elif not _whole(number):
            fix = "Use a whole number, such as 50000."
            yield source.problem(("limits", name), f"“{name}” is not a whole number.", fix)


def _exemption_problems(source: Document) -> Iterator[Problem]:
    stated = source.value.get(EXEMPTIONS)
    if stated is None:
        return
    if not isinstance(stated, dict):
        fix = "Write one “tool: reason” a line."
        yield source.problem((EXEMPTIONS,), "Exemptions are not a group of keys.", fix)
        return
    for tool, why in stated.items():
        if not _is_text(why):
            fix = "Say in a sentence why a change may go although nobody knows what it does."
            yield source.problem((EXEMPTIONS, tool), f"“{tool}” is exempted without a reason.", fix)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER


def _indent(text: str, after_line: int) -> int:
    """The indentation of the block that starts after a line."""
    for line in text.split("\n")[after_line:]:
        if line.strip():
            return len(line) - len(line.lstrip(" "))
    return 0
