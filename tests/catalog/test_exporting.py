"""What is exported, applied to an empty tower and exported again is the same to the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as told
from hypothesis import strategies as st

from apps.catalog.models import Agent, Domain, Tool
from apps.catalog.services import apply_packs, export_packs, write_files
from apps.kernel.errors import ConflictError
from apps.kernel.patching import dumped
from tests.factories.catalog import CONTRACT, PACK, apply_toys, policy_text, write_pack

pytestmark = pytest.mark.django_db
PACKS = settings.BASE_DIR / "docs" / "examples"


def exported(**options: Any) -> dict[str, str]:
    return export_packs(**options)


def on_an_empty_tower(make: Callable[[], Any]) -> Any:
    """What ``make`` returns, everything it wrote undone."""
    before = transaction.savepoint()
    try:
        return make()
    finally:
        transaction.savepoint_rollback(before)


def applied(files: dict[str, str]) -> dict[str, str]:
    with TemporaryDirectory() as folder:
        write_files(Path(folder), files, replace=False)
        apply_packs([folder])
        assert not apply_packs([folder]).has_changes
    return exported()


def test_a_pack_goes_round(tmp_path: Path) -> None:
    def first() -> dict[str, str]:
        apply_toys(tmp_path)
        return exported()

    files = on_an_empty_tower(first)

    assert sorted(files) == [
        "toys/agents/toys-model.yaml",
        "toys/agents/toys-reference.yaml",
        "toys/jobs/toys-refund.yaml",
        "toys/pack.yaml",
        "toys/policies/toys.yaml",
        "toys/prompts/toys-agent.md",
        "toys/tools/find_order.yaml",
        "toys/tools/refund.yaml",
    ]
    assert files["toys/jobs/toys-refund.yaml"] == CONTRACT
    assert on_an_empty_tower(lambda: applied(files)) == files


def test_what_is_exported_changes_nothing_where_it_came_from(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    write_files(tmp_path / "out", exported(), replace=False)

    report = apply_packs([tmp_path / "out"])

    assert not report.has_changes


text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
).filter(lambda t: "\r\n" not in t)
odd = st.sampled_from(
    ["<<", "- a", "a: b", "#", "null", "yes", "1e3", "2020-01-01", "\u2028", "\ufeffx", " x ",
     "“”", "{x}".replace("x", "order_id"), "|", "'", '"', "\\", "\u0085", "🙂", "a\rb", "~"]
)  # fmt: skip
words = text | odd
plain = words.filter(lambda t: "{" not in t and "}" not in t)
names = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True).filter(
    lambda n: n.strip(".") and n not in {"read", "draft", "write", "irreversible", "refund"}
)
slugs = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,12}", fullmatch=True)


@st.composite
def tools(draw: Any) -> dict[str, Any]:
    bounds = st.integers(min_value=-(2**64), max_value=2**64)
    bounded = st.fixed_dictionaries({"type": st.just("integer"), "minimum": bounds})
    properties = draw(st.dictionaries(words, bounded, max_size=3))
    effect = draw(st.sampled_from(["read", "write"]))
    entry: dict[str, Any] = {"name": draw(names), "effect": effect}
    if draw(st.booleans()):
        entry |= {"title": draw(plain), "sentence": draw(plain)}
    schema = {"type": "object", "description": draw(words), "properties": properties}
    return {**entry, "input_schema": schema}


def alone(purpose: str) -> str:
    """The contract with another purpose, and with the one tool that changes something."""
    said = "purpose: >\n  A customer who sends a toy back gets the money back.\n"
    listed = "  - name: find_order\n    timeout_s: 5\n"
    return CONTRACT.replace(listed, "").replace(said, f"purpose: {purpose}")


@told(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=plain,
    made=st.lists(tools(), max_size=3, unique_by=lambda t: t["name"].casefold()),
    agents=st.lists(
        st.fixed_dictionaries(
            {"slug": slugs, "name": plain, "model": plain,
             "settings": st.just({}) | st.just({"temperature": 0.5, "seed": 2**31 - 1})}
        ),
        max_size=2, unique_by=lambda a: a["slug"],
    ),
    prompts=st.dictionaries(slugs, words | st.just("") | st.just("\n\n x\n"), max_size=2),
    comment=st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=30),
    purpose=plain,
)  # fmt: skip
def test_hostile_names_and_texts_go_round(
    name: str, made: list[Any], agents: list[Any], prompts: dict[str, str], comment: str,
    purpose: str,
) -> None:  # fmt: skip
    files = {
        "toys/pack.yaml": dumped(
            {
                "domain": {"slug": "toys", "name": name},
                "server": {"slug": "toys"},
                "tools": [PACK["tools"][1]],
                "tool_files": [f"tools/{i}.yaml" for i in range(len(made))],
                "agents": [PACK["agents"][0]],
                "agent_files": [f"agents/{i}.yaml" for i in range(len(agents))],
                "prompts": [{"slug": s, "file": f"{s}.md"} for s in prompts],
                "policies": ["toys.yaml"],
                "jobs": ["refund.yaml"],
            }
        ),
        **{f"toys/tools/{i}.yaml": f"# {comment}\n{dumped(t)}" for i, t in enumerate(made)},
        **{
            f"toys/agents/{i}.yaml": f"{dumped({**a, 'kind': 'model'})}# {comment}"
            for i, a in enumerate(agents)
        },
        **{f"toys/{s}.md": body for s, body in prompts.items()},
        "toys/toys.yaml": f"# {comment}\n{policy_text()}",
        "toys/refund.yaml": f"# {comment}\n{alone(dumped(purpose))}",
    }  # fmt: skip

    once = on_an_empty_tower(lambda: applied(files))
    again = on_an_empty_tower(lambda: applied(once))

    assert again == once
    bodies = set(once.values())
    for path, body in files.items():
        assert path == "toys/pack.yaml" or body in bodies, path


def test_one_domain_of_several(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    Domain.objects.create(slug="other", name="Other")

    assert {path.split("/")[0] for path in exported()} == {"toys", "other"}
    assert {path.split("/")[0] for path in exported(domain="toys")} == {"toys"}
    with pytest.raises(CommandError, match="There is no domain “x”"):
        call_command("catalog", "export", str(tmp_path / "out"), "--domain", "x")


def test_a_pack_whose_job_names_anothers_agent_goes_round(tmp_path: Path) -> None:
    """Whatever the order of the folders is."""
    other = {
        "other/pack.yaml": dumped(
            {
                "domain": {"slug": "other", "name": "Other"},
                "server": {"slug": "other"},
                "tools": [],
                "agents": [{"slug": "zz", "name": "Z", "kind": "model"}],
            }
        )
    }

    def first() -> dict[str, str]:
        write_files(tmp_path / "both", other, replace=False)
        write_pack(tmp_path / "both", contract=CONTRACT.replace("toys-reference", "zz"))
        apply_packs([tmp_path / "both"])
        return exported()

    files = on_an_empty_tower(first)

    assert on_an_empty_tower(lambda: applied(files)) == files


def test_what_would_be_lost_stops_it(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    Tool.objects.filter(name="refund").update(name="refund2")

    with pytest.raises(CommandError, match=r"toys/tools/refund2\.yaml doesn't say"):
        call_command("catalog", "export", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over_unless_said(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    out = StringIO()
    call_command("catalog", "export", str(tmp_path / "out"), stdout=out)
    assert out.getvalue() == "8 files of 1 packs written.\n"

    with pytest.raises(CommandError, match="is there already"):
        call_command("catalog", "export", str(tmp_path / "out"))
    call_command("catalog", "export", str(tmp_path / "out"), "--replace", stdout=out)


def test_agents_that_an_older_release_made_are_with_their_domain(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    Agent.objects.update(domain=None)
    Domain.objects.update(server=None)

    files = exported()

    assert "toys/agents/toys-model.yaml" in files
    assert "toys/agents/toys-reference.yaml" in files
    assert "slug: toys" in files["toys/pack.yaml"]


def test_diff_says_what_apply_would_change_and_changes_nothing(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    pack, out = write_pack(tmp_path, contract=CONTRACT.replace("votes: 2", "votes: 1")), StringIO()

    call_command("catalog", "diff", str(pack), "--json", stdout=out)

    said = json.loads(out.getvalue())
    assert (said["format"], said["has_changes"], said["is_applied"]) == (1, True, False)
    changed = [line for line in said["lines"] if line["change"] != "unchanged"]
    assert [line["name"] for line in changed] == ["toys-refund"]
    assert changed[0]["detail"] == ["Votes needed to approve: 2 → 1"]
    again = StringIO()
    call_command("catalog", "diff", str(pack), stdout=again)
    assert "Votes needed to approve: 2 → 1" in again.getvalue()


def check(*folders: Path) -> tuple[int, Any]:
    """As a machine without a tower runs it: nobody listens where the database should be."""
    env = os.environ | {
        "DATABASE_URL": "postgres://nobody:x@127.0.0.1:9/none",
        "REDIS_URL": "redis://127.0.0.1:9/0",
    }
    command = [sys.executable, "manage.py", "catalog", "check", *map(str, folders), "--json"]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_check_needs_no_tower_and_names_file_line_field_and_fix(tmp_path: Path) -> None:
    tools = [{**PACK["tools"][0], "idempotencyy": "keyed"}, PACK["tools"][1]]
    pack = write_pack(
        tmp_path, change={"tools": tools}, contract=CONTRACT.replace("votes: 2", "votes: 0")
    )
    good = write_pack(tmp_path / "good")

    code, said = check(pack)
    fine, clean = check(good, PACKS / "pack")

    assert (code, fine) == (1, 0)
    assert (said["format"], said["errors"]) == (1, len(said["problems"]))
    first = said["problems"][0]
    assert set(first) == {"severity", "file", "line", "column", "field", "problem", "fix"}
    assert first["file"] == str(pack / "pack.yaml")
    assert (first["field"], first["fix"]) == (
        "tools[0].idempotencyy",
        "Did you mean “idempotency”?",
    )
    assert first["line"] > 1
    assert (clean["errors"], clean["warnings"]) == (0, 2)
    assert any("state no input_schema" in p["problem"] for p in clean["problems"])
    assert check(pack) == (code, said), "the same each time"


def test_a_file_of_a_tool_is_judged_at_its_own_lines(tmp_path: Path) -> None:
    files = {
        "x/pack.yaml": dumped(
            {
                "domain": {"slug": "x", "name": "X"},
                "server": {"slug": "x"},
                "tools": [],
                "tool_files": ["tools/a.yaml", "tools/b.yaml"],
            }
        ),
        "x/tools/a.yaml": "name: a\neffect: write\nidempotency: lookup\ninput_schema: {}\n",
        "x/tools/b.yaml": "name: a\neffect: read\ninput_schema: {}\n",
    }
    write_files(tmp_path, files, replace=False)
    out = StringIO()

    with pytest.raises(SystemExit):
        call_command("catalog", "check", str(tmp_path), "--json", stdout=out)

    said = [(p["file"], p["line"], p["field"]) for p in json.loads(out.getvalue())["problems"]]
    assert said == [
        (str(tmp_path / "x/tools/a.yaml"), 3, "idempotency"),
        (str(tmp_path / "x/tools/b.yaml"), 1, "name"),
    ]


def test_what_cant_be_read_is_said_and_nothing_is_waited_for(tmp_path: Path) -> None:
    pipe, round_about = write_pack(tmp_path / "a"), write_pack(tmp_path / "b")
    named = tmp_path / os.fsdecode(b"\xff")
    write_pack(named, contract=CONTRACT.replace("votes: 2", "votes: 0"))
    for pack in (pipe, round_about):
        (pack / "jobs" / "refund.yaml").unlink()
    os.mkfifo(pipe / "jobs" / "refund.yaml")
    (round_about / "jobs" / "refund.yaml").symlink_to("refund.yaml")

    code, said = check(pipe, round_about, tmp_path / ("x" * 300), named / "toys")

    assert code == 1
    files = [p["file"] for p in said["problems"] if p["severity"] == "error"]
    assert len(files) == 4
    assert any(r"\udcff" in json.dumps(p) for p in said["problems"])


def test_a_refusal_has_every_key_for_a_machine(tmp_path: Path, monkeypatch: Any) -> None:
    def meanwhile(*_: Any, **__: Any) -> None:
        raise ConflictError("Another version was published meanwhile.")

    for command in ("apply", "diff"):
        for refused in (False, True):
            if refused:
                monkeypatch.setattr(
                    "apps.catalog.management.commands.catalog.apply_packs", meanwhile
                )
            out = StringIO()
            with pytest.raises(CommandError):
                call_command("catalog", command, str(tmp_path), "--json", stdout=out)
            said = json.loads(out.getvalue())
            assert set(said) == {"format", "has_changes", "is_applied", "lines", "problems"}
            assert (said["is_applied"], len(said["problems"])) == (False, 1)


def test_a_folder_that_cant_be_written_is_said(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    (tmp_path / "out").write_text("a file")

    with pytest.raises(CommandError, match="out"):
        call_command("catalog", "export", str(tmp_path / "out"))
