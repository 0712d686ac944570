"""New tools are read from their server, and believed from a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.catalog.domain import offers
from apps.catalog.domain.served import ServedTool, ServedTools
from apps.catalog.models import Domain, Tool, ToolDraft
from apps.kernel.documents import load
from tests.catalog.serving import Toys, hints, serving, tool
from tests.factories.catalog import apply_toys

As = Callable[[str], Client]
NEW = "/catalog/new/tools/"
TOLD = {"server": "desk", "domain": "shop", "domain_name": "Shop desk"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def toys(settings: Any) -> Iterator[Toys]:
    preview = tool("tower_preview", "tool", annotations=hints(read_only_hint=True))
    preview.input_schema["properties"]["args"] = {"type": "object"}
    with serving(
        tool("find", "order_id", annotations=hints(read_only_hint=True)),
        tool("refund", "order_id", annotations=hints(read_only_hint=False)),
        preview,
        tool("tower_lookup", "idempotency_key"),
        tool("read"),
    ) as served:
        settings.TOOL_SERVERS = {"desk": served.url}
        settings.TOOL_SERVERS_FILE = ""
        yield served


def asked(client: Client, **more: str) -> Any:
    return client.post(NEW, {**TOLD, "step": "ask", **more})


def digests(page: Any) -> dict[str, str]:
    return {f"digest:{row.tool.name}": row.digest for row in page.context["rows"]}


def begun(client: Client, page: Any, **more: str) -> Any:
    return client.post(NEW, {**TOLD, **digests(page), "step": "begin", **more})


FIND = {"pick:find": "1", "effect:find": "read"}
REFUND = {
    "pick:refund": "1",
    "effect:refund": "irreversible",
    "idempotency:refund": "lookup",
    "preview:refund": "tower_preview",
    "lookup:refund": "tower_lookup",
}


def test_picked_tools_get_a_draft_with_the_servers_schema(
    toys: Toys, people: Any, client_as: As
) -> None:
    admin = client_as("admin")
    page = asked(admin)
    text = page.content.decode()
    assert page.status_code == 200
    assert "The server says: reads only" in text
    assert 'value="read" selected' not in text, "nothing is chosen for anybody"
    assert "“read” is the name of an effect class" in text

    done = begun(admin, page, note="a beginning", **FIND, **REFUND)

    assert done["Location"] == "/catalog/tools/?domain=shop"
    found = {d.tool.name: d for d in ToolDraft.objects.select_related("tool")}
    assert {d.state for d in found.values()} == {"in_review"}
    entry = load(found["refund"].text, exact=True).value
    assert entry == {
        "name": "refund",
        "effect": "irreversible",
        "idempotency": "lookup",
        "preview": "tower_preview",
        "lookup": "tower_lookup",
        "input_schema": toys.tools[1].input_schema,
    }
    assert Domain.objects.get().server.slug == "desk"
    listed = admin.get("/catalog/tools/").content.decode()
    assert "Not published yet" in listed
    assert admin.get("/catalog/tools/shop/refund/")["Location"].endswith("/draft/")
    second = client_as("admin2")
    told = {"revision": 1, "note": "seen"}
    assert second.post("/catalog/tools/shop/refund/draft/publish/", told).status_code == 302
    tool_row = Tool.objects.get(name="refund")
    assert tool_row.current_number == 1
    version = tool_row.versions.get()
    assert version.served_digest == tool_row.live_digest != ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "Pick at least one tool."),
        ({"pick:find": "1"}, "Say what a call does."),
        (
            {"pick:refund": "1", "effect:refund": "read"},
            "The server says that it changes something",
        ),
        ({**REFUND, "lookup:refund": ""}, "Choose the tool that says whether"),
        ({**REFUND, "preview:refund": "find"}, "“find” can&#x27;t be asked that."),
        ({"pick:read": "1", "effect:read": "read"}, "is the name of an effect class"),
        ({**FIND, "digest:find": "other"}, "describes it otherwise now"),
    ],
)
def test_what_isnt_said_or_cant_be_is_asked_again(
    toys: Toys, people: Any, client_as: As, more: dict[str, str], said: str
) -> None:
    admin = client_as("admin")

    answer = begun(admin, asked(admin), **more)

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Tool.objects.exists()
    assert not Domain.objects.exists()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"server": "nobody"}, "nobody"),
        ({"server": "No Way"}, "Use small letters"),
        ({"domain_name": ""}, "It is a new domain: give it a name."),
        ({"domain": ""}, "This field is required"),
    ],
)
def test_who_cant_be_asked_is_said(
    toys: Toys, people: Any, client_as: As, told: dict[str, str], said: str
) -> None:
    answer = asked(client_as("admin"), **told)

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert answer.context["rows"] is None


def test_a_server_that_doesnt_answer_is_said_and_what_was_typed_stays(
    people: Any, client_as: As, settings: Any
) -> None:
    settings.TOOL_SERVERS = {"desk": "http://127.0.0.1:9/mcp"}

    answer = asked(client_as("admin"))

    assert answer.status_code == 422
    assert 'id="trouble"' in answer.content.decode()
    assert 'value="Shop desk"' in answer.content.decode()


def test_an_empty_server_says_so(toys: Toys, people: Any, client_as: As) -> None:
    toys.tools = []

    assert "lists no tool" in asked(client_as("admin")).content.decode()


def test_names_that_are_taken_and_other_servers_are_refused(
    toys: Toys, people: Any, client_as: As, tmp_path: Path
) -> None:
    admin = client_as("admin")
    begun(admin, asked(admin), **FIND)
    again = asked(admin)
    assert "It is in the catalog already." in again.content.decode()
    apply_toys(tmp_path)

    other = asked(admin, domain="toys")

    assert other.status_code == 422
    assert "are offered by the server “toys”" in other.content.decode()


def test_only_admins_ask(toys: Toys, people: Any, client_as: As) -> None:
    for role in ("operator", "product_manager", "auditor"):
        assert asked(client_as(role)).status_code == 403


def test_what_a_server_says_of_a_tool_may_be_anything() -> None:
    broken = {"type": 7}
    listing = ServedTools(
        {
            "a": ServedTool("a", problem="It is larger than 256 kB."),
            "b": ServedTool("b", input_schema=broken),
            "c" * 100: ServedTool("c" * 100),
            "..": ServedTool(".."),
            "d": ServedTool("d", input_schema={"type": "object"}),
        },
        twice=("d",),
    )

    rows = offers.rows(listing, frozenset())

    assert all(row.why_not for row in rows), [row.why_not for row in rows]


def test_many_tools_are_shown_in_parts_that_can_be_sent(
    toys: Toys, people: Any, client_as: As
) -> None:
    toys.tools = [tool(f"t{n:03}", "idempotency_key") for n in range(250)]
    admin = client_as("admin")

    page = asked(admin, part="2")

    text = page.content.decode()
    assert [row.tool.name for row in page.context["rows"]] == [f"t{n:03}" for n in range(200, 250)]
    assert "201–250" in text  # noqa: RUF001  # as the page writes a range
    assert 'name="part" value="2"' in text
    keys = ("pick", "effect", "idempotency", "preview", "lookup")
    first = asked(admin)
    assert len(first.context["rows"]) == 100
    names = [row.tool.name for row in first.context["rows"]]
    sent = {f"{key}:{name}": "" for key in keys for name in names}
    done = begun(admin, first, **{**sent, "pick:t001": "1", "effect:t001": "read"})
    assert done.status_code == 302
    assert asked(admin, part="99").context["part"] == 2
    toys.tools = [tool(f"t{n}") for n in range(2_001)]
    assert "lists more than 2000 tools" in asked(admin).content.decode()
