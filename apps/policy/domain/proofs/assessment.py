"""What a solver's findings come to: which sentences hold, and what a draft makes weaker.

Nothing is proved by silence: what the solver didn't say before its time was over is not known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.policy.domain.proofs.defaults import IDLE
from apps.policy.domain.proofs.sentences import Sentence

Json = Mapping[str, Any]


class Status(StrEnum):
    """In the order in which people should read them."""

    BROKEN = "broken"  # here is a request
    UNKNOWN = "unknown"  # nobody knows
    SILENT = "silent"  # it speaks of no request that there could be
    WAIVED = "waived"  # it need not hold, says the policy
    PROVED = "proved"  # for every request


ORDER = list(Status)


@dataclass(frozen=True, slots=True)
class Witness:
    """A request that shows something about a tool, as Cedar itself answers it."""

    tool: str
    example: Json


@dataclass(frozen=True, slots=True)
class SentenceFinding:
    """A sentence, and what is known of it. ``tools``: of how many it was proved."""

    id: str
    says: str
    is_own: bool
    status: Status
    why: str = ""
    tools: int = 0
    shown: tuple[Witness, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def breaks(self) -> bool:
        return self.status is Status.BROKEN


@dataclass(frozen=True, slots=True)
class Assessment:
    """Of one text, beside the one in force where there is one. ``undecided``: tools of which it is
    not known whether they are judged more easily, with the reason."""

    findings: tuple[SentenceFinding, ...] = ()
    weaker: tuple[Witness, ...] = ()
    stricter: tuple[Witness, ...] = ()
    undecided: Mapping[str, str] = field(default_factory=dict)
    compared: bool = False

    @property
    def broken(self) -> tuple[SentenceFinding, ...]:
        return tuple(f for f in self.findings if f.breaks)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing that another try could find out."""
        return not self.undecided and all(f.status is not Status.UNKNOWN for f in self.findings)

    @property
    def headline(self) -> str:
        """How the text stands to the one in force, in a few words."""
        if self.undecided:
            return f"Not known for {_tools(len(self.undecided))}, which counts as weaker"
        if not self.weaker and not self.stricter:
            return "The same answer to every request"
        weaker, stricter = _count(self.weaker), _count(self.stricter)
        return f"Weaker for {weaker}, stricter for {stricter}"


def _count(shown: Sequence[Witness]) -> str:
    return _tools(len({s.tool for s in shown})) if shown else "none"


def _tools(count: int) -> str:
    return f"{count} tool" if count == 1 else f"{count} tools"


def assessed(
    sentences: Sequence[Sentence],
    tools: Sequence[str],
    lines: Sequence[Json],
    *,
    ended: str,
    compared: bool,
) -> Assessment:
    """Put the solver's lines together. ``ended``: why it ended before it was done."""
    refused = {line["tool"]: str(line["why"]) for line in lines if line["kind"] == "refused"}
    done = {line["tool"] for line in lines if line["kind"] == "tool"}
    missing = {tool: _unsaid(ended) for tool in tools if tool not in done}
    silent = {**missing, **{tool: _untranslated(why) for tool, why in refused.items()}}
    by_id: dict[str, list[Json]] = defaultdict(list)
    for line in lines:
        if line["kind"] == "sentence":
            by_id[line["id"]].append(line)
    rules = tuple(str(line["rule"]) for line in lines if line["kind"] == "rule")
    found = [
        _rules_finding(s, rules, silent, _last_word(lines))
        if s.twin == IDLE and not s.waived
        else _finding(s, by_id[s.id], silent)
        for s in sentences
    ]
    undecided = dict(silent) if compared else {}
    for line in lines:
        if line["kind"] in ("weaker", "stricter") and line["status"] == "unknown":
            undecided[line["tool"]] = str(line["why"])
    return Assessment(
        findings=tuple(sorted(found, key=lambda f: (ORDER.index(f.status), not f.is_own))),
        weaker=_shown(lines, "weaker"),
        stricter=_shown(lines, "stricter"),
        undecided=undecided,
        compared=compared,
    )


def _unsaid(ended: str) -> str:
    return f"The solver said nothing of it: {ended or 'it ended early'}"


def _untranslated(why: str) -> str:
    return f"A rule uses what proofs don't model: {why}"


def _last_word(lines: Sequence[Json]) -> bool:
    return any(line["kind"] == "end" for line in lines)


def _shown(lines: Iterable[Json], kind: str) -> tuple[Witness, ...]:
    return tuple(
        Witness(line["tool"], line["example"])
        for line in lines
        if line["kind"] == kind and line["status"] == "broken"
    )


def _finding(
    sentence: Sentence, lines: Sequence[Json], silent: Mapping[str, str]
) -> SentenceFinding:
    def found(status: Status, why: str = "", **more: Any) -> SentenceFinding:
        says = sentence.says
        return SentenceFinding(sentence.id, says, sentence.is_own, status, why, **more)

    if sentence.waived:
        return found(Status.WAIVED, sentence.waived)
    broken = [line for line in lines if line["status"] == "broken"]
    if broken:
        return found(Status.BROKEN, shown=tuple(Witness(b["tool"], b["example"]) for b in broken))
    unknown = [str(line["why"]) for line in lines if line["status"] in ("unknown", "refused")]
    if unknown or silent:
        return found(Status.UNKNOWN, next(iter([*unknown, *silent.values()])))
    proved = sum(line["status"] == "holds" for line in lines)
    if not proved:
        return found(Status.SILENT, "No tool of this policy can meet its condition")
    return found(Status.PROVED, tools=proved)


def _rules_finding(
    sentence: Sentence, rules: tuple[str, ...], silent: Mapping[str, str], is_done: bool
) -> SentenceFinding:
    """A rule that can never apply is no danger: it is told, and holds nothing up."""
    status, why = Status.PROVED, ""
    if silent or not is_done:
        status, why = Status.UNKNOWN, next(iter(silent.values()), _unsaid(""))
    elif rules:
        status, why = Status.SILENT, f"Never applies, whatever is asked: {', '.join(rules)}"
    return SentenceFinding(sentence.id, sentence.says, sentence.is_own, status, why, rules=rules)


def as_json(found: Assessment) -> dict[str, Any]:
    """As it is kept."""
    return {
        "findings": [
            {
                "id": f.id,
                "says": f.says,
                "is_own": f.is_own,
                "status": f.status.value,
                "why": f.why,
                "tools": f.tools,
                "shown": [_kept(s) for s in f.shown],
                "rules": list(f.rules),
            }
            for f in found.findings
        ],
        "weaker": [_kept(s) for s in found.weaker],
        "stricter": [_kept(s) for s in found.stricter],
        "undecided": dict(found.undecided),
        "compared": found.compared,
    }


def _kept(shown: Witness) -> dict[str, Any]:
    return {"tool": shown.tool, "example": shown.example}


def from_json(kept: Json) -> Assessment:
    """Read what was kept."""
    return Assessment(
        findings=tuple(
            SentenceFinding(
                **{
                    **f,
                    "status": Status(f["status"]),
                    "shown": _read(f["shown"]),
                    "rules": tuple(f["rules"]),
                }
            )
            for f in kept["findings"]
        ),
        weaker=_read(kept["weaker"]),
        stricter=_read(kept["stricter"]),
        undecided=kept["undecided"],
        compared=kept["compared"],
    )


def _read(shown: Iterable[Json]) -> tuple[Witness, ...]:
    return tuple(Witness(s["tool"], s["example"]) for s in shown)
