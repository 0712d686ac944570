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
from tests.catalog.serving import serving, tool
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
