"""Teams and their page: who is in which, what each decides, and who may change that."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts import services
from apps.accounts.domain.teams import TeamScope, TeamTerms
from apps.accounts.models import Membership, Team, User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from tests.factories.accounts import TeamFactory, everyone
from tests.factories.catalog import apply_toys

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
PAGE = "/accounts/users/teams/"


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def seats(**chosen: str) -> dict[str, str]:
    return {f"person-{User.objects.get(username=name).pk}": seat for name, seat in chosen.items()}


def names(team: Team) -> dict[str, bool]:
    rows = Membership.objects.filter(team=team).values_list("user__username", "leads")
    return dict(rows)


def told(kind: str) -> list[dict[str, Any]]:
    return [e.payload for e in Event.objects.filter(kind=kind).order_by("id")]


class TestThePage:
    def test_a_team_is_made_with_bounds_members_and_a_lead(
        self, client_as: ClientAs, tmp_path: Any
    ) -> None:
        apply_toys(tmp_path)
        client = client_as("admin")
        form = text(client.get(f"{PAGE}new/"))
        domain = re.search(r'name="domains" value="([^"]+)"', form)
        job = re.search(r'name="jobs" value="([^"]+)"', form)
        assert domain
        assert job

        given = {
            "seen": "0",
            "name": "  Small   refunds ",
            "domains": [domain[1]],
            "jobs": [job[1]],
            "most": "500.50",
            "highest_risk": "2",
            **seats(operator="member", operator2="lead"),
        }
        response = client.post(f"{PAGE}new/", given)

        assert response.status_code == 302
        team = Team.objects.get(name="Small refunds")
        assert team.scope == TeamScope(frozenset({domain[1]}), frozenset({job[1]}), 50_050, 2)
        assert names(team) == {"operator": False, "operator2": True}
        page = text(client.get(PAGE))
        assert "Small refunds" in page
        assert "$500.50" in page
        assert "operator2, lead" in page
        (payload,) = told("team.created")
        assert payload["widens"] is True
        assert payload["new"]["most_cents"] == 50_050
        assert payload["new"]["leads"] == ["operator2"]

    @pytest.mark.parametrize(
        ("changes", "field", "words"),
        [
            ({"name": ""}, "name", "This field is required."),
            ({"name": "everyone"}, "name", "There is a team everyone already"),
            ({"most": "a lot"}, "most", "Write an amount such as 500 or 500.00."),
            ({"most": "-1"}, "most", "greater than or equal to 0"),
            ({"most": "1.234"}, "most", "no more than 2 decimal places"),
            ({"most": "9" * 16}, "most", "digits"),
            ({"highest_risk": "9"}, "highest_risk", "Select a valid choice"),
            ({"domains": ["nowhere"]}, "domains", "Select a valid choice"),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field_and_nothing_is_written(
        self,
        client_as: ClientAs,
        people: People,
        changes: dict[str, Any],
        field: str,
        words: str,
    ) -> None:
        given = {"seen": "0", "name": "New", **seats(operator="member"), **changes}

        response = client_as("admin").post(f"{PAGE}new/", given)

        assert response.status_code == 422
        assert words in text(response)
        assert response.context["form"].errors.keys() == {field}
        assert list(Team.objects.values_list("name", flat=True)) == ["Everyone"]

    def test_two_who_change_it_at_once_are_told(self, client_as: ClientAs, people: People) -> None:
        team = everyone()
        given = {"name": "All", "seen": str(team.number), **seats(operator="member")}
        assert client_as("admin").post(f"{PAGE}{team.pk}/", given).status_code == 302

        second = client_as("admin2").post(f"{PAGE}{team.pk}/", {**given, "name": "Mine"})

        assert second.status_code == 409
        assert "Somebody changed this team meanwhile" in text(second)
        assert Team.objects.get().name == "All"

    def test_only_an_empty_team_is_removed(self, client_as: ClientAs, people: People) -> None:
        client, team = client_as("admin"), everyone()

        kept = client.post(f"{PAGE}{team.pk}/remove/")
        assert kept.status_code == 409
        assert "Everyone has 2 members: take them out first." in text(kept)
        client.post(f"{PAGE}{team.pk}/", {"name": "Everyone", "seen": team.number})
        assert "takes-nobody" in text(client.get(PAGE))
        assert client.post(f"{PAGE}{team.pk}/remove/").status_code == 302

        assert not Team.objects.exists()
        assert "There is no team" in text(client.get(PAGE))
        assert [len(told(f"team.{kind}")) for kind in ("changed", "removed")] == [1, 1]
        assert "in no team: decides nothing" in text(client.get("/accounts/users/"))
        assert client.post(f"{PAGE}{team.pk}/remove/").status_code == 404

    def test_a_name_is_text_wherever_it_stands(self, client_as: ClientAs, people: People) -> None:
        team = TeamFactory.create(name="<b>\u202eX", domains=["gone"])
        Membership.objects.create(team=team, user=people["operator"])
        for url in (PAGE, f"{PAGE}{team.pk}/", "/accounts/users/"):
            page = text(client_as("admin").get(url))
            assert "<b>" not in page
        assert "gone (not there now)" in text(client_as("admin").get(f"{PAGE}{team.pk}/"))


class TestNobodyWidensTheirOwn:
    def test_an_admin_in_a_team_changes_neither_it_nor_its_members(self, people: People) -> None:
        team = TeamFactory.create(most_cents=5)
        Membership.objects.create(team=team, user=people["admin"])
        wider = TeamTerms("Wider", TeamScope(), members=frozenset({people["admin"].pk}))

        with pytest.raises(NotPermittedError, match="another admin changes it"):
            services.change_team(
                actor=people["admin"], team_id=team.pk, seen=team.number, terms=wider
            )
        services.change_team(actor=people["admin2"], team_id=team.pk, seen=team.number, terms=wider)

        assert Team.objects.get(pk=team.pk).scope.is_unbounded
        assert [p["widens"] for p in told("team.changed")] == [True]

    def test_nor_does_one_add_themselves(self, people: People) -> None:
        terms = TeamTerms("Mine", TeamScope(), members=frozenset({people["admin"].pk}))

        with pytest.raises(NotPermittedError):
            services.make_team(actor=people["admin"], terms=terms)
        assert not Team.objects.filter(name="Mine").exists()

    def test_an_admin_who_cannot_act_yet_changes_none(self, people: People) -> None:
        people["admin"].granted_by = people["admin2"]

        with pytest.raises(NotPermittedError):
            services.make_team(actor=people["admin"], terms=TeamTerms("Mine", TeamScope()))
        with pytest.raises(NotPermittedError):
            services.remove_team(actor=people["admin"], team_id=TeamFactory.create().pk)

    def test_an_auditor_is_in_no_team(self, people: People) -> None:
        terms = TeamTerms("Odd", TeamScope(), members=frozenset({people["auditor"].pk}))

        with pytest.raises(InvalidInputError):
            services.make_team(actor=people["admin"], terms=terms)

    def test_a_change_that_narrows_is_not_called_wider(self, people: People) -> None:
        team, member = everyone(), people["operator"].pk
        narrow = TeamTerms("Everyone", TeamScope(most_cents=5), members=frozenset({member}))

        services.change_team(actor=people["admin"], team_id=team.pk, seen=1, terms=narrow)

        assert [p["widens"] for p in told("team.changed")] == [False]
        with pytest.raises(ConflictError):
            services.change_team(actor=people["admin"], team_id=team.pk, seen=1, terms=narrow)


class TestWhoComesIn:
    def made(self, **more: Any) -> set[str]:
        user, _ = services.create_user(actor=None, username="nora", full_name="Nora", **more)
        return set(Team.objects.filter(memberships__user=user).values_list("name", flat=True))

    def test_a_new_operator_is_put_where_new_ones_go(self, people: People) -> None:
        TeamFactory.create(name="Others")

        assert self.made(role="operator") == {"Everyone"}
        assert [p["username"] for p in told("team.joined")] == ["nora"]

    def test_or_where_the_admin_says(self, people: People) -> None:
        assert self.made(role="operator", teams=[TeamFactory.create(name="Others")]) == {"Others"}

    def test_or_nowhere(self, people: People) -> None:
        assert self.made(role="operator", teams=[]) == set()

    def test_other_roles_begin_without(self, people: People) -> None:
        assert self.made(role="product_manager") == set()

    def test_the_form_has_the_default_chosen(self, client_as: ClientAs, people: People) -> None:
        client, other = client_as("admin"), TeamFactory.create(name="Others")
        page = text(client.get("/accounts/users/"))
        assert re.search(rf'name="teams" value="{everyone().pk}"[^>]* checked', page)
        assert not re.search(rf'name="teams" value="{other.pk}"[^>]* checked', page)

        given = {"username": "nora", "role": "operator", "teams": [str(other.pk)]}
        client.post("/accounts/users/create/", given)

        assert names(other) == {"nora": False}

    def test_another_role_leaves_every_team_and_an_operator_begins_anew(
        self, people: People
    ) -> None:
        admin, person = people["admin"], people["operator"]
        narrow = TeamFactory.create(most_cents=5)
        Membership.objects.create(team=narrow, user=person, leads=True)

        services.change_role(actor=admin, user_id=person.pk, role="product_manager")
        assert not person.memberships.exists()
        services.change_role(actor=admin, user_id=person.pk, role="operator")

        assert [one.team for one in person.memberships.all()] == [everyone()]
        assert len(told("team.left")) == 2

    def test_on_the_server(self, people: People) -> None:
        team, out = TeamFactory.create(name="Others", most_cents=500), StringIO()

        call_command(
            *["people", "invite", "nora", "--role", "operator", "--team", "others"], stdout=out
        )
        call_command("people", "teams", stdout=out)
        call_command("people", "list", stdout=out)

        assert names(team) == {"nora": False}
        assert '"most_cents":500' in out.getvalue()
        assert re.search(r"operator  nora  invited  Others", out.getvalue())
        with pytest.raises(CommandError, match="no team Lost: choose among Everyone, Others"):
            call_command("people", "invite", "ida", "--role", "operator", "--team", "Lost")
