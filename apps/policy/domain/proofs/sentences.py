"""What has to hold of every request, said in plain words beside a policy.

A condition is written as ``facts.amount_cents: above limits.refund_cents``; each becomes an
expression of Cedar, so that one reading of it serves the solver and Cedar itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.kernel.documents import Document, Problem
from apps.policy.domain.request import CONVERSATION, RUN

KEY = "invariants"
FIELDS = ("id", "says", "tools", "when", "when_rule", "approved", "never", "always", "waived")
GROUPS_OF_TOOLS = ("all", "reads", "changes", "irreversible")
ANSWERS = ("permit", "hold", "deny")
NOBODY, ANYBODY, NOT_BY = "by nobody", "by anybody", "not by "
NAME = re.compile(r"[a-z][a-z0-9-]{0,59}")
PATH = re.compile(r"(facts|conversation|run|agent|limits)\.([A-Za-z_][A-Za-z0-9_]*)")
COMPARED = {"above": ">", "below": "<", "at least": ">=", "at most": "<="}
MOST = 50  # sentences of one policy


@dataclass(frozen=True, slots=True)
class Sentence:
    """``condition``: of which requests it speaks, as Cedar. ``twin``: it compares a request with
    another one that differs in this; then ``answer`` says nothing. ``waived`` is why it need not
    hold. ``is_own``: the document says it; the others hold for every tower."""

    id: str
    says: str
    tools: str | tuple[str, ...] = "changes"
    condition: str = ""
    approved: str = NOBODY
    always: bool = False  # else never
    answer: str = "permit"
    twin: str = ""
    waived: str = ""
    is_own: bool = False
    needs: tuple[str, ...] = field(default=())  # facts without which it says nothing of a tool


class WrongConditionError(ValueError):
    """What is wrong with a condition, for the person who wrote it."""


def cedar_of(path: str, wanted: Any) -> str:
    """One condition as Cedar. Raises ``WrongConditionError``."""
    if isinstance(wanted, str) and wanted.startswith("not "):
        return _negated(path, wanted.removeprefix("not "))
    return _known(path, _test(path, wanted), wanted)


def _negated(path: str, wanted: str) -> str:
    if wanted in ("known", "missing"):
        return cedar_of(path, "missing" if wanted == "known" else "known")
    return _known(path, f"!({_test(path, wanted)})", wanted)


def _known(path: str, test: str, wanted: Any) -> str:
    """A fact that isn't known is neither this nor that."""
    group, _, name = path.partition(".")
    if group != "facts" or wanted in ("missing", "known"):
        return test
    return f"(context.facts has {name} && {test})"


def _test(path: str, wanted: Any) -> str:
    left = _term(path)
    if isinstance(wanted, bool) or wanted in ("yes", "no"):
        return left if wanted is True or wanted == "yes" else f"!{left}"
    if isinstance(wanted, int):
        return f"{left} == {wanted}"
    if not isinstance(wanted, str):
        raise WrongConditionError("a condition is yes, no, a word, a number, or a comparison")
    if wanted in ("missing", "known"):
        return _presence(path, wanted)
    return _comparison(left, wanted) or f"{left} == {_quoted(wanted)}"


def _presence(path: str, wanted: str) -> str:
    group, _, name = path.partition(".")
    if group != "facts":
        raise WrongConditionError("only facts can be missing")
    known = f"context.facts has {name}"
    return known if wanted == "known" else f"!({known})"


def _comparison(left: str, wanted: str) -> str:
    for words, sign in COMPARED.items():
        if wanted.startswith(f"{words} "):
            return f"{left} {sign} {_number(wanted.removeprefix(words).strip())}"
    verb, _, rest = wanted.partition(" ")
    if verb == "contains" and rest:
        return f"{left}.contains({_quoted(rest)})"
    if verb == "lacks" and rest:
        return f"!{left}.contains({_quoted(rest)})"
    if verb == "like" and rest:
        return f"{left} like {_quoted(rest)}"
    return ""


def _number(written: str) -> str:
    if PATH.fullmatch(written):
        return _term(written)
    plain = written.replace(",", "").replace("_", "")
    if not re.fullmatch(r"-?[0-9]{1,18}", plain):
        raise WrongConditionError(f"“{written}” is neither a whole number nor a limit or fact")
    return plain


def _term(path: str) -> str:
    if path == "arguments":
        return "context.arguments"
    found = PATH.fullmatch(path)
    if found is None:
        raise WrongConditionError(f"“{path}” is none of facts.…, conversation.…, run.…, agent.…")
    group, name = found.groups()
    known = {"conversation": CONVERSATION, "run": RUN, "agent": ("kind", "model")}.get(group)
    if known is not None and name not in known:
        raise WrongConditionError(f"there is no “{path}”: use one of {', '.join(known)}")
    return f"principal.{name}" if group == "agent" else f"context.{group}.{name}"


def _quoted(text: str) -> str:
    """A text as Cedar writes it: its escapes are JSON's, but for those by number."""
    return re.sub(r"\\u([0-9a-f]{4})", r"\\u{\1}", json.dumps(text, ensure_ascii=False))


def read_sentences(value: Any) -> list[Sentence]:
    """The sentences of a document that are written as they should be."""
    entries = value if isinstance(value, list) else []
    return [s for entry in entries if not list(_faults(entry)) and (s := _sentence(entry))]


def _sentence(entry: Mapping[str, Any]) -> Sentence:
    if "waived" in entry:
        return Sentence(entry["id"], "", waived=str(entry["waived"]).strip(), is_own=True)
    tools = entry.get("tools", "changes")
    return Sentence(
        id=entry["id"],
        says=str(entry["says"]).strip(),
        tools=tools if isinstance(tools, str) else tuple(tools),
        condition=_condition(entry),
        approved=entry.get("approved", NOBODY),
        always="always" in entry,
        answer=entry["always"] if "always" in entry else entry["never"],
        is_own=True,
    )


def _condition(entry: Mapping[str, Any]) -> str:
    parts = [cedar_of(path, wanted) for path, wanted in (entry.get("when") or {}).items()]
    if entry.get("when_rule"):
        parts.append(f"({entry['when_rule']})")
    return " && ".join(parts)


def sentence_problems(source: Document, known: Sequence[str]) -> list[Problem]:
    """What is wrong with the sentences of a document. ``known``: ids of those that hold for every
    tower, which a document can waive and not say anew."""
    stated = source.value.get(KEY)
    if stated is None:
        return []
    if not isinstance(stated, list) or len(stated) > MOST:
        fix = f"Write a list of up to {MOST}: “- id: …”, “says: …”, “when: …”, “never: permit”."
        return [source.problem((KEY,), "Invariants are not a list.", fix)]
    found, seen = [], set()
    for n, entry in enumerate(stated):
        for name, message, fix in _faults(entry, known):
            place: tuple[str | int, ...] = (KEY, n, name) if name else (KEY, n)
            found.append(source.problem(place, message, fix))
        own = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(own, str) and own in seen:
            found.append(source.problem((KEY, n, "id"), f"There are two “{own}”.", "Rename one."))
        seen.add(own)
    return found


Fault = tuple[str, str, str]


def _faults(entry: Any, known: Sequence[str] | None = None) -> Iterator[Fault]:
    """Yield (key, what is wrong, how to mend it)."""
    if not isinstance(entry, dict):
        yield "", "This is no sentence.", "Write id, says, when, and never or always."
        return
    for name in entry:
        if name not in FIELDS:
            yield name, f"“{name}” is not a key here.", f"Use only {', '.join(FIELDS)}."
    if not isinstance(entry.get("id"), str) or not NAME.fullmatch(entry["id"]):
        yield "", "It needs an id.", "Add “id: a-short-name”."
        return
    if "waived" in entry:
        yield from _waiver_faults(entry, known)
        return
    if known is not None and entry["id"] in known:
        fix = "Give it another id, or waive it: “waived: why”."
        yield "id", f"“{entry['id']}” holds for every tower.", fix
    yield from _claim_faults(entry)


def _waiver_faults(entry: Mapping[str, Any], known: Sequence[str] | None) -> Iterator[Fault]:
    if known is not None and entry["id"] not in known:
        yield "id", f"No sentence “{entry['id']}” holds for every tower.", "Take your own one out."
    if set(entry) != {"id", "waived"}:
        yield "waived", "A sentence is waived or said, not both.", "Write id and waived alone."
    if not isinstance(entry["waived"], str) or not entry["waived"].strip():
        yield "waived", "It is waived without a reason.", "Say in a sentence why it need not hold."


def _claim_faults(entry: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(entry.get("says"), str) or not entry["says"].strip():
        yield "", "It doesn't say in words what has to hold.", "Add “says: …”."
    if ("never" in entry) == ("always" in entry):
        yield "", "It says neither never nor always, or both.", "Add “never: permit”."
    for name in ("never", "always"):
        if name in entry and entry[name] not in ANSWERS:
            yield name, f"“{entry[name]}” is no answer.", f"Use one of {', '.join(ANSWERS)}."
    approved = entry.get("approved", NOBODY)
    by = isinstance(approved, str) and (approved in (NOBODY, ANYBODY) or _is_not_by(approved))
    if not by:
        yield (
            "approved",
            f"“{approved}” names no approver.",
            f"Use {NOBODY}, {ANYBODY}, not by ROLE.",
        )
    yield from _tool_faults(entry.get("tools", "changes"))
    yield from _condition_faults(entry)


def _is_not_by(approved: str) -> bool:
    role = approved.removeprefix(NOT_BY)
    return approved.startswith(NOT_BY) and role.isidentifier()


def _tool_faults(tools: Any) -> Iterator[Fault]:
    is_list = isinstance(tools, list) and tools and all(isinstance(tool, str) for tool in tools)
    if not is_list and tools not in GROUPS_OF_TOOLS:
        fix = f"Use {', '.join(GROUPS_OF_TOOLS)}, or a list of tools."
        yield "tools", "It names no tools.", fix


def _condition_faults(entry: Mapping[str, Any]) -> Iterator[Fault]:
    when, rule = entry.get("when") or {}, entry.get("when_rule")
    if not isinstance(when, dict):
        yield "when", "Conditions are not a group of keys.", "Write “facts.amount_cents: above 5”."
        return
    if rule is not None and not isinstance(rule, str):
        yield "when_rule", "It is no expression.", "Write Cedar: context.run.steps > 5."
    for path, wanted in when.items():
        try:
            cedar_of(str(path), wanted)
        except WrongConditionError as error:
            message = str(error)
            yield "when", f"{message[:1].upper()}{message[1:]}.", ""
