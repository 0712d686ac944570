"""People, from the server: the first admin of a tower, and the second where there is only one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from apps.accounts import selectors, services
from apps.accounts.adapters import oidc
from apps.accounts.domain.provider import LogInError
from apps.accounts.domain.roles import Role
from apps.accounts.models import Team, User
from apps.accounts.selectors import provider_name
from apps.kernel import exactjson
from apps.kernel.errors import TowerError


class Command(BaseCommand):
    help = (
        "invite NAME --role ROLE: make an account, or take one back, and print its enrolment link;"
        " confirm NAME: vouch for an admin; provider: ask the identity provider; list; teams."
        " Whoever runs this has the database anyway, so it needs no second admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        invite = acts.add_parser("invite", help="print a link with which a person enrols")
        invite.add_argument("name")
        invite.add_argument("--role", choices=[str(role) for role in Role])
        invite.add_argument("--full-name", default="")
        invite.add_argument("--team", action="append", help="of a new operator, by name")
        confirm = acts.add_parser("confirm", help="vouch for an admin as the second admin would")
        confirm.add_argument("name")
        acts.add_parser("provider", help="ask the identity provider what a log-in would ask it")
        acts.add_parser("list", help="everybody, with role, standing and teams")
        acts.add_parser("teams", help="every team, with what it decides and who is in it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act']}")(options)
        except TowerError as error:
            raise CommandError(str(error)) from error

    def _invite(self, options: dict[str, Any]) -> None:
        name, role = options["name"], options["role"]
        known = User.objects.filter(username=name).first()
        if known is None and role is None:
            raise CommandError(f"There is no {name} yet: say which role with --role.")
        if known is not None and role not in {None, known.role}:
            raise CommandError(f"{name} is {known.role}: an admin changes roles on the site.")
        if known is None:
            user, code = services.create_user(
                actor=None,
                username=name,
                role=role,
                full_name=options["full_name"],
                teams=self._teams_named(options["team"]),
            )
        else:
            user, code = services.reset_access(actor=None, user_id=known.pk)
        if not code:
            self.stdout.write(f"{user.username} ({user.role}) logs in with {provider_name()}.")
            return
        self.stdout.write(f"{user.username} ({user.role}) enrols once, soon, with this link:")
        self.stdout.write(selectors.enrolment_link(code))

    def _teams_named(self, names: list[str] | None) -> list[Team] | None:
        if not names:
            return None
        known = {team.name.lower(): team for team in Team.objects.all()}
        if lost := [name for name in names if name.lower() not in known]:
            there = ", ".join(sorted(team.name for team in known.values())) or "none"
            raise CommandError(f"There is no team {lost[0]}: choose among {there}.")
        return [known[name.lower()] for name in names]

    def _teams(self, options: dict[str, Any]) -> None:
        for one in selectors.teams():
            names = [f"{p.username}{'*' if p in one.leads else ''}" for p in one.members]
            scope = exactjson.dumps(one.team.scope.to_json())
            self.stdout.write(f"{one.team.name}  {scope}  {', '.join(names) or 'nobody'}")

    def _confirm(self, options: dict[str, Any]) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is no {options['name']}.")
        services.confirm(actor=None, user_id=user.pk)
        self.stdout.write(f"{user.username} is confirmed.")

    def _provider(self, options: dict[str, Any]) -> None:
        if not settings.OIDC_ISSUER:
            raise CommandError("No identity provider is set (TOWER_OIDC_ISSUER).")
        try:
            found = oidc.keys(oidc.published())
        except LogInError as error:
            raise CommandError(f"{settings.OIDC_ISSUER}: {error}") from error
        back = f"{settings.TOWER_ORIGIN}{reverse('accounts:provider_back')}"
        keys = "1 key that signs" if len(found) == 1 else f"{len(found)} keys that sign"
        self.stdout.write(f"{settings.OIDC_ISSUER} answers, with {keys}.")
        self.stdout.write(f"It has to know {settings.OIDC_CLIENT} and send people back to {back}")

    def _list(self, options: dict[str, Any]) -> None:
        for person in selectors.people():
            names = ", ".join(seat.team.name for seat in person.seats)  # type: ignore[attr-defined]  # prefetched
            self.stdout.write(f"{person.role}  {person.username}  {person.standing}  {names}")
