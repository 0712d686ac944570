"""Tool servers of the catalog: begun, published, shown, asked, applied and taken out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.audit.models import Event
from apps.catalog import adapters
from apps.catalog.models import (
    Domain,
    ServerCheck,
    Tool,
    ToolServer,
    ToolServerDraft,
    ToolServerVersion,
)
from apps.catalog.services import (
    PackError,
    apply_packs,
    begin_server,
    export_packs,
    watch_servers,
    write_files,
)
from apps.catalog.services.kinds import SERVERS
from apps.documents import services
from apps.kernel.errors import ConflictError, InvalidInputError, TowerError, UnavailableError
from apps.kernel.patching import dumped
from apps.ops.selectors import health, troubles
from apps.oversight.models import Approval
from tests.catalog.serving import Toys, redirect, serving, tool
from tests.documents.test_races import together
from tests.factories.approvals import ApprovalFactory
from tests.factories.catalog import PACK, write_pack

As = Callable[[str], Client]
pytestmark = pytest.mark.django_db
ENTRY: dict[str, Any] = {
    "slug": "toys",
    "name": "Toy desk",
    "url": "https://tools.example.com/mcp",
    "key": {"env": "TOWER_SERVER_KEY_TOYS"},
}
KEY = "sk-proj-abcdef0123456789ABCDEF"
NEW = "/catalog/new/server/"
TOLD = {
    "domain": "shop",
    "domain_name": "Shop desk",
    "slug": "desk",
    "name": "Desk",
    "url": "https://tools.example.com/mcp",
}


@pytest.fixture(autouse=True)
def nobody_else(settings: Any) -> None:
    """No operator says where a server is."""
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, ""


def write_toys(folder: Path, server: dict[str, Any] | None = None, **change: Any) -> Path:
    """The toy shop with a document of its server."""
    stated = {"slug": "toys", "protocol": "mcp", **(server or {})}
    told = {"server": stated, "server_files": ["servers/toys.yaml"]}
    pack = write_pack(folder, change=told)
    (pack / "servers").mkdir(exist_ok=True)
    text = f"# behind the counter\n{dumped({**ENTRY, **change})}"
    (pack / "servers" / "toys.yaml").write_text(text)
    return pack


def apply_toys(folder: Path, **change: Any) -> Any:
    return apply_packs([write_toys(folder, **change)])


def toys() -> ToolServer:
    return ToolServer.objects.select_related("domain").get(slug="toys")


def submitted(people: dict[str, User], text: str, subject: ToolServer | None = None) -> Any:
    subject = subject or toys()
    old = ToolServerDraft.objects.filter(server=subject).first()
    draft = services.save_draft(
        SERVERS, subject, text=text, revision=old.revision if old else 0, author=people["admin"]
    )
    return services.submit_draft(
        SERVERS, subject, revision=draft.revision, author=people["admin"], note="because"
    )


def approve(people: dict[str, User], *by: str, subject: ToolServer | None = None) -> Any:
    subject, version = subject or toys(), None
    for name in by:
        draft = ToolServerDraft.objects.get(server=subject)
        version = services.publish_draft(
            SERVERS, subject, revision=draft.revision, approver=people[name], note="agreed"
        )
    return version


def publish(people: dict[str, User], text: str, *by: str) -> Any:
    submitted(people, text)
    return approve(people, *(by or ("admin2",)))


def text_of(**change: Any) -> str:
    return dumped({k: v for k, v in {**ENTRY, **change}.items() if v is not None})


def begun(client: Client, **more: str) -> Any:
    return client.post(NEW, {**TOLD, **more})


def test_a_server_is_begun_reviewed_and_called_once_it_is_published(
    people: dict[str, User], client_as: As
) -> None:
    admin = client_as("admin")
    done = begun(admin, key="TOWER_SERVER_KEY_DESK")
    assert done["Location"] == "/catalog/servers/desk/draft/"
    server = ToolServer.objects.get()
    assert (server.name, server.domain.slug) == ("Desk", "shop")
    page = admin.get("/catalog/servers/desk/draft/").content.decode()
    assert "TOWER_SERVER_KEY_DESK, which is not set" in page
    assert admin.get("/catalog/servers/desk/")["Location"].endswith("/draft/")
    assert "Not published yet" in admin.get("/catalog/servers/").content.decode()
    assert "Desk: next server is being written" in admin.get("/home/needs/").content.decode()
    with pytest.raises(UnavailableError, match="No address is known"):
        adapters.look_up("desk")

    draft = ToolServerDraft.objects.get()
    services.submit_draft(
        SERVERS, server, revision=draft.revision, author=people["admin"], note="because"
    )
    with pytest.raises(UnavailableError):  # nor while it is reviewed
        adapters.look_up("desk")
    approve(people, "admin2", subject=server)

    assert adapters.look_up("desk").url == TOLD["url"]
    assert Domain.objects.get().server == server
    assert Event.objects.filter(kind="server.published", subject_id="desk").count() == 1


def test_nothing_is_sent_before_publication_and_only_where_it_may(
    people: dict[str, User], client_as: As, settings: Any
) -> None:
    admin = client_as("admin")
    asks = {"server": "desk", "domain": "shop", "domain_name": "", "step": "ask"}
    with serving(tool("find", "order_id")) as served:
        begun(admin, url=served.url)
        watch_servers(every=timedelta(0))
        early = admin.post("/catalog/new/tools/", asks)
        assert early.status_code == 422
        assert "begun and not published" in early.content.decode()
        server = ToolServer.objects.get()
        draft = ToolServerDraft.objects.get()
        services.look(SERVERS, server, draft.text)
        services.submit_draft(
            SERVERS, server, revision=draft.revision, author=people["admin"], note="because"
        )
        approve(people, "admin2", subject=server)
        watch_servers(every=timedelta(0))
        blocked = admin.post("/catalog/new/tools/", asks).content.decode()
        assert "TOWER_CATALOG_HOSTS" in blocked
        assert served.seen == [], "not a byte was sent"

        settings.CATALOG_HOSTS = ["127.0.0.1"]
        listed = admin.post("/catalog/new/tools/", asks)
        assert [row.tool.name for row in listed.context["rows"]] == ["find"]
        assert served.seen


def test_a_server_that_is_only_begun_is_nobodys_trouble(people: Any, client_as: As) -> None:
    begun(client_as("admin"))

    watch_servers(every=timedelta(0))

    assert not ServerCheck.objects.exists()
    assert not [t for t in troubles.troubles(health.overview()) if t.kind == "tool_server"]
    assert "servers/desk" not in client_as("operator").get("/system/").content.decode()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"slug": "No Way"}, "Use small letters"),
        ({"slug": "d\u0435sk"}, "Use small letters"),  # a Cyrillic e
        ({"slug": "desk\n"}, "Use small letters"),
        ({"domain_name": ""}, "It is a new domain: give it a name."),
        ({"key": "SECRET_KEY"}, "beginning with TOWER_SERVER_KEY_"),
        ({"key": "TOWER_MODEL_KEY_A"}, "beginning with TOWER_SERVER_KEY_"),
        ({"url": f"https://tools.example.com/{KEY}"}, "looks like a key"),
    ],
)
def test_what_cannot_be_begun_is_said(
    people: Any, client_as: As, told: dict[str, str], said: str
) -> None:
    answer = begun(client_as("admin"), **told)

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not ToolServer.objects.exists()
    assert not Domain.objects.exists()


def test_of_two_who_begin_the_same_server_one_does(people: Any, client_as: As) -> None:
    begun(client_as("admin"))

    again = begun(client_as("admin2"), url="https://other.example/mcp")

    assert again.status_code == 422
    assert "There is a tool server “desk” already." in again.content.decode()
    assert ToolServerDraft.objects.get().author == people["admin"]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_publish_at_once_one_does(tmp_path: Path, people: dict[str, User]) -> None:
    apply_toys(tmp_path)
    for n in range(4):
        draft = submitted(people, text_of(name=f"Name {n}"))
        told = {"revision": draft.revision, "note": "agreed"}

        results = together(
            [
                partial(services.publish_draft, SERVERS, toys(), approver=people[name], **told)
                for name in ("admin2", "admin3")
            ]
        )

        assert sum(isinstance(result, ToolServerVersion) for result in results) == 1
        assert sum(isinstance(result, TowerError) for result in results) == 1
    assert sorted(ToolServerVersion.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_begin_at_once_one_does(people: dict[str, User]) -> None:
    for n in range(4):
        told = {**TOLD, "slug": f"desk{n}", "key": ""}

        results = together(
            [partial(begin_server, author=people[who], **told) for who in ("admin", "admin2")]
        )

        assert sorted(isinstance(result, ConflictError) for result in results) == [False, True]
    assert ToolServerDraft.objects.count() == 4


def test_another_address_takes_approvals_back_and_needs_two(
    tmp_path: Path, people: dict[str, User]
) -> None:
    apply_toys(tmp_path)
    asked = ApprovalFactory.create(domain_slug="toys", tool_name="refund")
    others = ApprovalFactory.create(domain_slug="toys", tool_name="another")
    ServerCheck.objects.create(server=toys(), is_answering=True)

    assert publish(people, text_of(name="Toys")).number == 2  # a name needs one, and voids nothing
    assert Approval.objects.get(pk=asked.pk).state == "pending"
    assert ServerCheck.objects.exists()
    assert publish(people, text_of(url="https://other.example/mcp")) is None
    assert adapters.look_up("toys").url == ENTRY["url"]
    version = approve(people, "admin3")

    assert version.number == 3
    assert adapters.look_up("toys").url == "https://other.example/mcp"
    states = dict(Approval.objects.values_list("pk", "state"))
    assert (states[asked.pk], states[others.pk]) == ("void", "pending")
    assert not ServerCheck.objects.exists(), "it is asked anew"


def test_while_an_operator_says_where_it_is_a_document_changes_nothing(
    tmp_path: Path, people: dict[str, User], client_as: As, settings: Any
) -> None:
    settings.TOOL_SERVERS = {"toys": "http://127.0.0.1:1/mcp"}
    apply_toys(tmp_path)
    asked = ApprovalFactory.create(domain_slug="toys", tool_name="refund")
    text = text_of(url="https://other.example/mcp")

    findings = services.look(SERVERS, toys(), text)
    publish(people, text, "admin2", "admin3")

    assert "The environment or the file of servers says where" in str(findings.problems[0])
    assert Approval.objects.get(pk=asked.pk).state == "pending"
    assert adapters.look_up("toys").url == "http://127.0.0.1:1/mcp"
    page = client_as("operator").get("/catalog/servers/toys/").content.decode()
    assert "The environment says where it is, not its document" in page


def test_a_document_comes_before_the_address_of_a_pack_and_both_pages_say_so(
    tmp_path: Path, people: dict[str, User], client_as: As
) -> None:
    old = "https://old.example/mcp"
    apply_packs([write_pack(tmp_path, change={"server": {"slug": "toys", "url": old}})])
    admin = client_as("admin")
    page = admin.get("/catalog/servers/toys/").content.decode()
    assert "It has no document: the pack says where it is." in page
    assert f"{NEW}?slug=toys&amp;domain=toys" in page
    told = {**TOLD, "slug": "toys", "domain": "toys", "url": ENTRY["url"]}
    assert admin.post(NEW, told)["Location"] == "/catalog/servers/toys/draft/"
    draft = admin.get("/catalog/servers/toys/draft/").content.decode()
    assert f"Its pack states {old}, which is no longer called then." in draft
    assert f"Address: {old} → {ENTRY['url']}" in draft
    assert adapters.look_up("toys").url == old

    found = ToolServerDraft.objects.get()
    services.submit_draft(
        SERVERS, toys(), revision=found.revision, author=people["admin"], note="because"
    )
    assert approve(people, "admin2") is None, "its tools are called elsewhere then: two say so"
    approve(people, "admin3")

    assert adapters.look_up("toys").url == ENTRY["url"]
    page = admin.get("/catalog/servers/toys/").content.decode()
    assert f"Its pack states <code>{old}</code>. Nothing is called there" in page
    report = apply_packs([tmp_path / "toys"])
    (said,) = [p for p in report.problems if p.path == "server.url"]
    assert "The document v1 of “toys” says where it is." in str(said)
    assert adapters.look_up("toys").url == ENTRY["url"]


def test_a_first_document_that_says_what_the_pack_does_needs_one(
    tmp_path: Path, people: dict[str, User], client_as: As
) -> None:
    url = ENTRY["url"]
    apply_packs([write_pack(tmp_path, change={"server": {"slug": "toys", "url": url}})])

    client_as("admin").post(NEW, {**TOLD, "slug": "toys", "domain": "toys", "url": url})
    found = ToolServerDraft.objects.get()
    services.submit_draft(
        SERVERS, toys(), revision=found.revision, author=people["admin"], note="because"
    )

    assert approve(people, "admin2").number == 1


def test_a_discarded_draft_takes_only_a_server_with_it_that_nothing_else_knows(
    tmp_path: Path, people: dict[str, User], client_as: As
) -> None:
    apply_packs([write_pack(tmp_path)])
    admin = client_as("admin")
    for slug in ("toys", "desk"):
        begun(admin, slug=slug)
        server = ToolServer.objects.get(slug=slug)
        services.discard(SERVERS, server, revision=1, actor=people["admin"])

    assert [s.slug for s in ToolServer.objects.all()] == ["toys"]
    assert Tool.objects.filter(server__slug="toys").exists()
    assert begun(admin, slug="toys").status_code == 302


def test_a_text_with_a_key_is_not_even_a_draft(
    tmp_path: Path, people: dict[str, User], client_as: As
) -> None:
    apply_toys(tmp_path)
    text = f"{text_of()}# {KEY}\n"
    with pytest.raises(InvalidInputError, match="looks like a key"):
        services.save_draft(SERVERS, toys(), text=text, revision=0, author=people["admin"])
    page = "/catalog/servers/toys/draft/save/"
    answer = client_as("admin").post(
        page, {"text": text, "revision": 0}, HTTP_ACCEPT="application/json"
    )

    assert answer.status_code == 422
    assert KEY not in answer.json()["message"]
    assert not ToolServerDraft.objects.exists()


def test_a_version_is_never_changed(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    with pytest.raises(IntegrityError), transaction.atomic():
        ToolServerVersion.objects.update(document={})


@pytest.mark.parametrize("server", [{}, {"url": "https://old.example/mcp"}])
def test_a_server_goes_round_with_its_pack(tmp_path: Path, server: dict[str, str]) -> None:
    def on_an_empty_tower(make: Callable[[], Any]) -> Any:
        before = transaction.savepoint()
        try:
            return make()
        finally:
            transaction.savepoint_rollback(before)

    def first() -> dict[str, str]:
        apply_toys(tmp_path, server=server)
        return export_packs()

    def again() -> dict[str, str]:
        write_files(tmp_path / "out", files, replace=False)
        apply_packs([tmp_path / "out"])
        assert not apply_packs([tmp_path / "out"]).has_changes
        assert adapters.look_up("toys").url == ENTRY["url"]
        assert ToolServer.objects.get().url == server.get("url", "")
        return export_packs()

    files = on_an_empty_tower(first)

    assert files["toys/servers/toys.yaml"].startswith("# behind the counter\n")
    assert on_an_empty_tower(again) == files


def test_a_domain_with_nothing_but_a_server_goes_round(
    people: dict[str, User], client_as: As, tmp_path: Path
) -> None:
    begun(client_as("admin"))
    server = ToolServer.objects.get()
    services.submit_draft(SERVERS, server, revision=1, author=people["admin"], note="because")
    assert "server_files" not in export_packs()["shop/pack.yaml"], "a draft isn't published"
    approve(people, "admin2", subject=server)

    files = export_packs()
    write_files(tmp_path, files, replace=False)

    report = apply_packs([tmp_path])
    assert not report.has_changes
    assert set(files) == {"shop/pack.yaml", "shop/servers/desk.yaml"}
    assert export_packs() == files


def test_a_pack_brings_a_new_version_and_takes_approvals_back(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    asked = ApprovalFactory.create(domain_slug="toys", tool_name="refund")

    report = apply_toys(tmp_path, url="https://other.example/mcp")

    changed = {(line.what, line.name) for line in report.lines if line.change == "changed"}
    assert changed == {("server document", "toys")}
    assert adapters.look_up("toys").number == 2
    assert Approval.objects.get(pk=asked.pk).state == "void"


def test_what_was_edited_in_the_browser_is_not_overwritten(
    tmp_path: Path, people: dict[str, User]
) -> None:
    apply_toys(tmp_path)
    publish(people, text_of(name="Edited"))

    report = apply_toys(tmp_path)

    assert ("tool server", "toys", "kept") in {(x.what, x.name, x.change) for x in report.lines}
    with pytest.raises(PackError, match="nothing was applied"):
        apply_toys(tmp_path, name="Another")


def test_a_pack_takes_no_server_of_another_domain_over(tmp_path: Path) -> None:
    apply_toys(tmp_path)
    other = write_toys(tmp_path / "other", name="Mine")
    main = (other / "pack.yaml").read_text()
    (other / "pack.yaml").write_text(
        main.replace("slug: toys\n  name: Toy", "slug: mine\n  name: Toy", 1)
    )
    assert "slug: mine" in (other / "pack.yaml").read_text()

    with pytest.raises(PackError) as caught:
        apply_packs([other])

    said = [str(p) for p in caught.value.problems]
    assert any("The tool server “toys” belongs to another domain, toys." in line for line in said)


def test_a_pack_with_a_key_or_a_bad_address_is_refused_with_its_place(tmp_path: Path) -> None:
    for change, words in (({"key": KEY}, "looks like a key"), ({"url": "ftp://x"}, "https://")):
        with pytest.raises(PackError) as caught:
            apply_toys(tmp_path, **change)

        problem = caught.value.problems[0]
        assert words in str(problem)
        assert not any(KEY in str(p) for p in caught.value.problems)
        assert problem.file.endswith("toys.yaml")
        assert not ToolServer.objects.exists()


@pytest.fixture
def served(settings: Any) -> Iterator[Toys]:
    settings.CATALOG_HOSTS = ["127.0.0.1"]
    with serving(tool("find_order", "order_id"), tool("refund", "order_id")) as found:
        yield found


def test_a_pack_is_checked_against_the_server_that_its_document_names(
    served: Toys, tmp_path: Path
) -> None:
    served.tools = [served.tools[0]]

    report = apply_toys(tmp_path, url=served.url, key={"file": "gone"})
    said = "\n".join(map(str, report.problems))
    assert "names no folder" in said, "which isn't called without its key"
    with pytest.raises(PackError) as caught:
        apply_packs([write_without_key(tmp_path, served.url)])

    assert "The tool server doesn't serve “refund”." in str(caught.value.problems[0])


def write_without_key(folder: Path, url: str) -> Path:
    pack = write_toys(folder)
    (pack / "servers" / "toys.yaml").write_text(text_of(url=url, key=None))
    return pack


def test_what_a_pack_leaves_unsaid_is_asked_where_the_catalogs_document_says(
    served: Toys, tmp_path: Path
) -> None:
    apply_packs([write_without_key(tmp_path, served.url)])
    seen = len(served.seen)
    tools = [{k: v for k, v in t.items() if k != "input_schema"} for t in PACK["tools"]]

    apply_packs([write_pack(tmp_path / "later", change={"tools": tools})])

    assert len(served.seen) > seen


def test_a_name_that_turns_to_a_private_address_is_not_called(
    people: dict[str, User], client_as: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was public when it was reviewed, and leads inside when it is called."""
    begun(client_as("admin"), url="http://rebound.example.com/mcp")
    server = ToolServer.objects.get()
    services.submit_draft(SERVERS, server, revision=1, author=people["admin"], note="because")
    approve(people, "admin2", subject=server)
    for address in ("127.0.0.1", "169.254.169.254", "10.0.0.5", "::ffff:a9fe:a9fe"):
        family = 10 if ":" in address else 2
        row = (family, 1, 6, "", (address, 80))
        monkeypatch.setattr("socket.getaddrinfo", lambda *a, row=row, **k: [row])

        with pytest.raises(UnavailableError, match="is not called") as caught:
            adapters.ask(adapters.resolve("desk"))

        assert "allow_hosts" not in str(caught.value)


def test_a_redirect_of_a_documents_server_leads_nowhere(
    served: Toys, tmp_path: Path, settings: Any
) -> None:
    with serving(tool("find", "order_id")) as elsewhere:
        apply_packs([write_without_key(tmp_path, served.url)])
        served.answer = redirect(elsewhere.url)
        with pytest.raises(UnavailableError, match="307"):
            adapters.ask(adapters.resolve("toys"))
        assert elsewhere.seen == []


def test_pages_say_where_it_is_called_and_whether_its_key_is_there(
    tmp_path: Path, people: Any, client_as: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_toys(tmp_path)
    client = client_as("operator")
    page = client.get("/catalog/servers/toys/").content.decode()
    assert "TOWER_SERVER_KEY_TOYS, which is not set" in page
    assert "/catalog/tools/toys/refund/" in page
    assert "/catalog/jobs/toys-refund/" in page
    assert "Read its tools" not in page, "an operator can't"
    assert "misconfigured" in client.get("/catalog/servers/").content.decode()

    monkeypatch.setenv("TOWER_SERVER_KEY_TOYS", "k3y-canary")
    page = client.get("/catalog/servers/toys/").content.decode()
    listed = client.get("/catalog/servers/").content.decode()
    assert "key found" in page
    assert "its document, v1" in " ".join(listed.split())
    assert "k3y-canary" not in page + listed
    admin = client_as("admin").get("/catalog/servers/toys/").content.decode()
    assert "/catalog/new/tools/?server=toys&amp;domain=toys" in admin
    assert client.get("/catalog/servers/nobody/").status_code == 404


def test_only_an_admin_begins_or_changes_one(tmp_path: Path, people: Any, client_as: As) -> None:
    apply_toys(tmp_path)
    client = client_as("operator")
    assert client.get(NEW).status_code == 403
    assert begun(client).status_code == 403
    assert client.post("/catalog/servers/toys/draft/save/", {"text": "x"}).status_code == 403


def test_how_servers_stand_costs_the_same_for_one_and_three() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            standings = adapters.standings()
        assert {s.address.url for s in standings if s.address} >= {"https://a.example.com/mcp"}
        return len(found)

    ToolServer.objects.create(slug="a1", name="A", url="https://a.example.com/mcp")
    one = queries()
    for slug in ("a2", "a3"):
        ToolServer.objects.create(slug=slug, name="A", url="https://a.example.com/mcp")
    assert queries() == one


def test_a_server_whose_entry_is_wrong_is_not_said_to_be_unknown(
    client_as: As, settings: Any
) -> None:
    ToolServer.objects.create(slug="a1", name="A")
    settings.TOOL_SERVERS = {"a1": "ftp://a.example.com"}

    page = " ".join(client_as("admin").get("/catalog/servers/a1/").content.decode().split())

    assert "TOWER_TOOL_SERVERS: a1" in page
    assert "It has no document.</p>" in page
