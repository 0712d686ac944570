from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.catalog import selectors
from apps.catalog.models import ContractVersion, Domain, Job, ToolVersion
from apps.catalog.services import PackError, Report, apply_packs
from apps.kernel.errors import NotFoundError
from tests.catalog.serving import hints, serving, tool
from tests.factories.catalog import CONTRACT, PACK, apply_toys, write_pack

pytestmark = pytest.mark.django_db


def changes(report: Report) -> dict[str, str]:
    return {f"{x.what} {x.name}": x.change for x in report.lines if x.change != "unchanged"}


def test_apply_makes_versioned_rows(tmp_path: Path) -> None:
    report = apply_toys(tmp_path)

    assert changes(report)["job toys-refund"] == "new"
    version, contract = selectors.contract_for_run("toys-refund")
    assert (version.number, contract.decisions.votes) == (1, 2)
    tools = selectors.tool_versions_for(version)
    assert tools["refund"].effect == "irreversible"
    assert tools["refund"].document["facts"] == {"owner": "string", "amount_cents": "long"}
    assert version.resolved["agents"] == {
        "toys-reference": selectors.agent_version("toys-reference").pk
    }


def test_applying_twice_changes_nothing(tmp_path: Path) -> None:
    apply_toys(tmp_path)

    report = apply_toys(tmp_path)

    assert not changes(report)
    assert ContractVersion.objects.count() == 1


def test_a_change_makes_a_new_version_and_says_what_it_means(tmp_path: Path) -> None:
    apply_toys(tmp_path)

    report = apply_toys(tmp_path, contract=CONTRACT.replace("votes: 2", "votes: 1"))

    assert changes(report) == {"job toys-refund": "changed"}
    detail = next(x.detail for x in report.lines if x.what == "job")
    assert detail == ("Votes needed to approve: 2 → 1",)
    assert [v.number for v in ContractVersion.objects.all()] == [2, 1]


def test_a_changed_tool_gives_its_contracts_a_new_version(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    tools = [PACK["tools"][0], {**PACK["tools"][1], "title": "Refund it"}]

    report = apply_toys(tmp_path, change={"tools": tools})

    assert changes(report) == {"tool refund": "changed", "job toys-refund": "changed"}
    version, _ = selectors.contract_for_run("toys-refund")
    assert selectors.tool_versions_for(version)["refund"].number == 2


def test_a_dry_run_reports_and_writes_nothing(tmp_path: Path) -> None:
    report = apply_packs([write_pack(tmp_path)], dry_run=True)

    assert report.dry_run
    assert changes(report)["domain toys"] == "new"
    assert not Domain.objects.exists()


def test_every_error_of_every_file_comes_at_once_and_nothing_is_applied(tmp_path: Path) -> None:
    broken = CONTRACT.replace("votes: 2", "vots: 2").replace("[refund]", "[refnd]")
    pack = write_pack(
        tmp_path, contract=broken, change={"jobs": ["jobs/refund.yaml", "jobs/no.yaml"]}
    )

    with pytest.raises(PackError) as caught:
        apply_packs([pack])

    said = [str(p) for p in caught.value.problems]
    assert any("decisions.vots" in s and "Did you mean “votes”?" in s for s in said), said
    assert any("“refnd” is not one of the contract's tools" in s for s in said)
    assert any("pack.yaml" in s and "jobs/no.yaml can't be read" in s for s in said)
    assert not Domain.objects.exists()


def test_a_file_outside_the_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("job: x")
    pack = write_pack(tmp_path, change={"jobs": ["../secret.yaml"]})

    with pytest.raises(PackError, match="1 problem") as caught:
        apply_packs([pack])

    assert "lies outside the pack" in str(caught.value.problems[0])


def test_a_failure_while_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("apps.catalog.services.applying.publish_version", fail)

    with pytest.raises(RuntimeError, match="the disk is full"):
        apply_toys(tmp_path)

    assert not ToolVersion.objects.exists()
    assert not Domain.objects.exists()


@pytest.mark.parametrize("is_in_pack", [True, False])
def test_schemas_left_out_are_asked_of_the_server(
    is_in_pack: bool, tmp_path: Path, settings: Any
) -> None:
    served = tool("find_order", "order_id")
    tools = [{"name": "find_order", "effect": "read"}, PACK["tools"][1]]

    with serving(served, tool("refund", "order_id")) as toys:
        server = {"slug": "toys"} | ({"url": toys.url} if is_in_pack else {})
        settings.TOOL_SERVERS = {} if is_in_pack else {"toys": toys.url}
        apply_toys(tmp_path, change={"tools": tools, "server": server})

    version, _ = selectors.contract_for_run("toys-refund")
    found = selectors.tool_versions_for(version)["find_order"].document["input_schema"]
    assert found == served.input_schema


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "properties.a"),
        ({"type": "object", "properties": {"a": {"pattern": "(?=b)"}}}, "properties.a.pattern"),
        ({"type": "object", "$ref": "#"}, "refers to itself"),
    ],
)
def test_a_schema_of_a_server_that_cannot_be_used_is_refused_with_tool_property_and_fix(
    tmp_path: Path, settings: Any, schema: dict[str, Any], place: str
) -> None:
    tools = [{"name": "find_order", "effect": "read"}, PACK["tools"][1]]
    with serving(tool("find_order", input_schema=schema), tool("refund", "order_id")) as toys:
        settings.TOOL_SERVERS = {"toys": toys.url}
        with pytest.raises(PackError) as caught:
            apply_toys(tmp_path, change={"tools": tools})

    (said,) = [p for p in caught.value.problems if "can't be used" in p.message]
    assert "“find_order”" in said.message
    assert place in said.message
    assert said.path == "tools[0].name"
    assert said.fix
    assert not Domain.objects.exists()


def test_a_server_without_address_is_named_with_what_to_set(tmp_path: Path) -> None:
    pack = write_pack(
        tmp_path, change={"tools": [{"name": "find_order", "effect": "read"}], "jobs": []}
    )

    with pytest.raises(PackError) as caught:
        apply_packs([pack])

    assert "TOWER_TOOL_SERVERS" in str(caught.value.problems[0])


def _edit_in_browser(job: Job) -> None:
    """What a published draft leaves behind, seen from a pack."""
    Job.objects.filter(pk=job.pk).update(applied_digest="what the pack said before")


def test_a_version_edited_in_the_browser_is_not_overwritten(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    _edit_in_browser(Job.objects.get())
    changed = CONTRACT.replace("votes: 2", "votes: 1")

    with pytest.raises(PackError) as caught:
        apply_toys(tmp_path, contract=changed)

    assert "--force" in str(caught.value.problems[0])
    report = apply_packs([write_pack(tmp_path, contract=changed)], force=True)
    assert changes(report)["job toys-refund"] == "changed"


def test_the_command_prints_the_difference_and_fails_with_places(tmp_path: Path) -> None:
    pack, out = write_pack(tmp_path), StringIO()

    call_command("catalog", "apply", str(pack), stdout=out)

    assert "+ job toys-refund: new" in out.getvalue()
    write_pack(tmp_path, contract=CONTRACT.replace("name: Refund a toy\n", ""))
    with pytest.raises(CommandError, match=r"refund\.yaml:\d+:\d+: name: “name” is missing"):
        call_command("catalog", "apply", str(pack))


def test_an_unknown_job_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        selectors.contract_for_run("nobody")


REFUND = tool("refund", "order_id")


def test_what_contradicts_the_server_is_refused_with_the_place_and_nothing_is_applied(
    tmp_path: Path, settings: Any
) -> None:
    tools = [
        {**PACK["tools"][0], "name": "find_ordr"},
        {**PACK["tools"][1], "preview": "try_it"},
    ]
    with serving(tool("find_order", "order_id"), REFUND) as toys:
        settings.TOOL_SERVERS = {"toys": toys.url}
        with pytest.raises(PackError) as caught:
            apply_toys(tmp_path, change={"tools": tools, "jobs": []})

    said = [str(p) for p in caught.value.problems]
    assert any(
        "tools[0].name: The tool server doesn't serve" in s and "find_order" in s for s in said
    )
    assert any("tools[1].preview: The preview of “refund” is “try_it”" in s for s in said)
    assert not Domain.objects.exists()


def test_what_a_server_only_hints_at_is_told_and_applied(tmp_path: Path, settings: Any) -> None:
    hinted = tool("refund", "order_id", annotations=hints(read_only_hint=True))
    with serving(tool("find_order", "order_id"), hinted) as toys:
        settings.TOOL_SERVERS = {"toys": toys.url}
        out = StringIO()
        call_command("catalog", "apply", str(write_pack(tmp_path)), stdout=out)

    assert (
        "tools[1].effect: “refund” is declared as irreversible, but the server's" in out.getvalue()
    )
    assert Domain.objects.exists()


def test_facts_without_a_preview_are_warned_of_when_the_pack_is_applied(tmp_path: Path) -> None:
    """Nobody could supply them, so every change would be held."""
    report = apply_toys(tmp_path)

    (warning,) = [p for p in report.problems if p.path == "tools[1].facts"]
    assert not warning.is_error
    assert "nobody can supply them" in warning.message
    assert "Add “preview: <tool name>”" in warning.fix


def test_a_pack_that_states_its_schemas_is_applied_while_its_server_is_down(
    tmp_path: Path, settings: Any
) -> None:
    settings.TOOL_SERVERS = {"toys": "http://127.0.0.1:9/mcp"}

    report = apply_toys(tmp_path)

    assert any("Its tools were not checked" in str(problem) for problem in report.problems)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("read", "the name of an effect class"),
        ("irreversible", "the name of an effect class"),
        ("..", "can't stand in an address"),
        ("refund\n", "characters that are not allowed"),
        ("re/fund", "characters that are not allowed"),
        ("x" * 81, "too long"),
    ],
)
def test_a_name_that_cannot_be_addressed_is_refused(name: str, said: str, tmp_path: Path) -> None:
    tools = [{**PACK["tools"][0], "name": name}]

    with pytest.raises(PackError) as caught:
        apply_toys(tmp_path, change={"tools": tools, "jobs": [], "policies": []})

    assert said in str(caught.value.problems[0])
    assert "tools[0].name" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    "url", ["ftp://x/mcp", "http://169.254.169.254/", "python:os", "http://a:b@x/"]
)
def test_an_address_that_cannot_be_called_is_refused_in_the_pack(url: str, tmp_path: Path) -> None:
    with pytest.raises(PackError) as caught:
        apply_toys(tmp_path, change={"server": {"slug": "toys", "url": url}})

    assert "server.url" in str(caught.value.problems[0])
