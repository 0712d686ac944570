"""Tool servers and agents of the released state go on as they were when models and tool servers
become documents, and an upgrade can be taken back and made again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.catalog import adapters
from apps.catalog.domain.servers import Source
from apps.catalog.models import Agent, Domain, Tool, ToolServer, ToolServerVersion
from apps.catalog.services import apply_packs
from apps.kernel.errors import UnavailableError
from tests.catalog.test_tool_servers import apply_toys as apply_documents
from tests.documents.test_upgrade_entries import migrate
from tests.factories.catalog import PACK, write_pack

pytestmark = pytest.mark.django_db(transaction=True)
RELEASED = [("catalog", "0007_entries_are_documents")]
WITH_MODELS = [("catalog", "0009_versions_are_kept")]
URL = "http://127.0.0.1:3/mcp"


@pytest.fixture(autouse=True)
def nobody_else(settings: Any) -> Iterator[None]:
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, ""
    yield
    migrate()


def rows(old: Any) -> list[tuple[Any, ...]]:
    servers = old.get_model("catalog", "ToolServer").objects.order_by("slug", "tools__name")
    return list(servers.values_list("slug", "protocol", "url", "tools__name", "domains__slug"))


def write(folder: Path) -> Path:
    """A pack that states where its server is, as far as the released state knew it."""
    live = {**PACK["agents"][1], "model": "careful"}
    agents = [PACK["agents"][0], live]
    return write_pack(folder, change={"server": {"slug": "toys", "url": URL}, "agents": agents})


def test_a_tower_of_the_released_state_goes_on(tmp_path: Path, people: dict[str, User]) -> None:
    apply_packs([write(tmp_path)])
    old = migrate(RELEASED)
    assert not {"catalog_toolserverversion", "catalog_languagemodel"} & set(
        connection.introspection.table_names()
    )
    old.get_model("catalog", "ToolServer").objects.create(slug="other")
    before = rows(old)

    migrate()

    server = ToolServer.objects.get(slug="toys")
    names = set(ToolServer.objects.values_list("name", "domain", "current_number"))
    assert names == {("toys", None, 0), ("other", None, 0)}
    assert rows(migrate()) == before
    assert Domain.objects.get().server == server
    assert {t.server_id for t in Tool.objects.all()} == {server.pk}
    assert (adapters.look_up("toys").url, adapters.look_up("toys").source) == (URL, Source.PACK)
    agent = Agent.objects.get(slug="toys-model").versions.get()
    assert (agent.document["model"], agent.document.get("models")) == ("careful", None)
    assert not apply_packs([write(tmp_path)]).has_changes


def test_rows_of_the_release_before_may_still_be_written(people: dict[str, User]) -> None:
    """Its processes go on while this one's start."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_toolserver (slug, protocol, url) VALUES ('a', 'mcp', '')"
        )

    server = ToolServer.objects.get()
    assert (server.name, server.current_number, server.domain) == ("", 0, None)


def test_an_upgrade_is_taken_back_and_made_again(tmp_path: Path, people: dict[str, User]) -> None:
    apply_documents(tmp_path, server={"url": URL}, key={"file": "toys"})
    assert ToolServerVersion.objects.exists()

    old = migrate(WITH_MODELS)
    assert ("toys", "mcp", URL) in {row[:3] for row in rows(old)}
    migrate()

    assert not ToolServerVersion.objects.exists()
    assert adapters.look_up("toys").source is Source.PACK
    apply_documents(tmp_path, server={"url": URL}, key={"file": "toys"})
    assert ToolServerVersion.objects.get().number == 1
    with pytest.raises(UnavailableError, match="TOWER_SERVER_KEYS names no folder"):
        adapters.resolve("toys")
