"""Reads about people and what the frame of every page shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Case, Exists, OuterRef, Prefetch, Q, When
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from apps.accounts.domain.keeping import KEPT
from apps.accounts.domain.limits import SEEN, is_over
from apps.accounts.domain.navigation import ShownEntry
from apps.accounts.domain.preferences import chosen
from apps.accounts.domain.roles import Role
from apps.accounts.models import (
    ApiToken,
    Identity,
    Membership,
    OpenSession,
    SavedView,
    ServiceAccount,
    Team,
    User,
)
from apps.accounts.registry import entries, notices, permissions
from apps.audit import selectors as audit
from apps.audit.domain.actors import Actor, ActorKind

CHANGED = ("user.created", "user.password_reset", "user.enabled", "user.role_changed")
SHOWN_VIEWS = 200
VOUCHED_FOR = timedelta(days=7)  # for so long two people are taken for one


def tie_between(user: User, others: Mapping[User, str]) -> str:
    """Whether this person and one of the others may be one person, since one made or reset the
    other's account lately: the end of a sentence "You …", or nothing. ``others`` says what each
    did ("has voted")."""
    others = {other: did for other, did in others.items() if other.pk != user.pk}
    if not others:
        return ""
    made = changed_accounts([user, *others], within=VOUCHED_FOR)
    for other, did in others.items():
        if (user.username, other.pk) in made:
            return f"made or reset the account of {other.display_name}, who {did}"
        if (other.username, user.pk) in made:
            return f"have an account that {other.display_name}, who {did}, made or reset"
    return ""


def changed_accounts(users: Sequence[User], *, within: timedelta) -> set[tuple[str, int]]:
    """Which of these accounts people made, reset, enabled or gave another role lately, as pairs of
    the user name of who did it and the id of the account. Read from the log, which nobody edits."""
    since = timezone.now() - within
    events = audit.events_about("user", [user.pk for user in users], kinds=CHANGED, since=since)
    done = [(Actor.parse(event.actor), int(event.subject_id)) for event in events]
    return {(by.name, pk) for by, pk in done if by.kind == ActorKind.USER}


def navigation(user: User, path: str) -> list[ShownEntry]:
    """The pages this person may open, with the one we are on marked."""
    shown, home = [], reverse("dashboards:home")
    for entry in entries():
        if not user.may(entry.permission):
            continue
        try:
            url = reverse(entry.name)
        except NoReverseMatch:  # an installation without that app
            continue
        current = path == url if url == home else path.startswith(url)
        shown.append(ShownEntry(entry, url, current))
    return shown


def saved_views(user: User, page: str) -> list[SavedView]:
    """A person's own views of a page, then those that colleagues share, each by name; so many at
    most that no colleague's take the place of one's own."""
    shared, own = Q(shared=True, owner__is_active=True), Q(owner=user)
    views = SavedView.objects.filter(shared | own, page=page).select_related("owner")
    first = Case(When(own, then=0), default=1)
    return list(views.order_by(first, "name", "pk")[:SHOWN_VIEWS])


def page_context(request: HttpRequest) -> dict[str, Any]:
    """What ``base.html`` needs on every page: who may see which page, and where we are."""
    user: Any = getattr(request, "user", None)
    known = bool(user and user.is_authenticated)
    may = {p.name.replace(".", "_"): known and user.may(p.name) for p in permissions()}
    return {
        "may": may,
        "environment": settings.ENV,
        "left_out": getattr(request, "left_out", ()),
        "kept_form": request.session.get(KEPT) if known else None,
        "frame": SimpleLazyObject(lambda: _frame(request, user if known else None)),
    }


def _frame(request: HttpRequest, user: User | None) -> dict[str, Any]:
    looks = chosen(request.COOKIES, user.preferences if user else {})
    return {
        "theme": looks["theme"],
        "density": looks["density"],
        "keys": "on" if looks["single_keys"] else "off",
        "now_iso": timezone.now().isoformat(),
        "prefix": settings.TOWER_PREFIX,
        "origins": " ".join(settings.LIVE_ORIGINS),
        "home": home(),
        "provider": provider_name(),
        "passwords": settings.PASSWORDS,
        "navigation": navigation(user, request.path) if user else [],
        "notices": notices() if user else (),
    }


def user_by_id(user_id: int) -> User | None:
    """A person, or nobody."""
    return User.objects.filter(pk=user_id).first()


def people_by_name(names: Collection[str]) -> list[User]:
    """Those of these user names that there are."""
    return list(User.objects.filter(username__in=names))


def people() -> list[User]:
    """Everybody who has, or had, a log-in, with who vouched for them so far, and whether the
    identity provider says who they are (``is_of_provider``)."""
    mine = Identity.objects.filter(user=OuterRef("pk"), issuer=settings.OIDC_ISSUER)
    rows = User.objects.select_related("granted_by").annotate(is_of_provider=Exists(mine))
    with_teams = Membership.objects.select_related("team").order_by("team__name", "team")
    rows = rows.prefetch_related(Prefetch("memberships", with_teams, to_attr="seats"))
    return list(rows.order_by("-is_active", "role", "username"))


@dataclass(frozen=True, slots=True)
class ShownTeam:
    """A team with its members by user name; ``leads`` are among them."""

    team: Team
    members: tuple[User, ...]
    leads: tuple[User, ...]


def teams() -> list[ShownTeam]:
    """All of them by name. Two queries."""
    seats = Membership.objects.select_related("user").order_by("user__username")
    rows = Team.objects.prefetch_related(Prefetch("memberships", seats, to_attr="seats"))
    return [_shown(team) for team in rows.order_by("name", "pk")]


def _shown(team: Team) -> ShownTeam:
    seats: list[Membership] = team.seats  # type: ignore[attr-defined]  # prefetched
    leads = tuple(seat.user for seat in seats if seat.leads)
    return ShownTeam(team, tuple(seat.user for seat in seats), leads)


def teams_of(user: User) -> list[Team]:
    """The teams that this person is in, as they are now. One query."""
    return list(Team.objects.filter(memberships__user=user).order_by("name", "pk"))


def seats_of_and_leads(user: User) -> list[Membership]:
    """The memberships of this person, and of everybody who leads a team, with who and which. One
    query."""
    rows = Membership.objects.filter(Q(user=user) | Q(leads=True))
    return list(rows.select_related("user", "team").order_by("team__name", "pk"))


def all_leads() -> list[Membership]:
    """Whoever leads a team, with who and which. One query."""
    return list(Membership.objects.filter(leads=True).select_related("user", "team"))


def team_by_id(team_id: int) -> ShownTeam | None:
    """A team with its members, or nothing."""
    return next((one for one in teams() if one.team.pk == team_id), None)


def people_for_teams() -> list[User]:
    """Whoever can be in a team: everybody but auditors, whose account isn't disabled."""
    rows = User.objects.filter(is_active=True).exclude(role=Role.AUDITOR)
    return list(rows.order_by("username"))


def provider_name() -> str:
    """What people call the identity provider; nothing where there is none."""
    return settings.OIDC_NAME if settings.OIDC_ISSUER else ""


def is_of_provider(user: User) -> bool:
    """Whether the identity provider that is set says who this person is, and which role they have:
    they log in there alone, so that whoever is locked out there is locked out here."""
    if not settings.OIDC_ISSUER:
        return False
    return Identity.objects.filter(user=user, issuer=settings.OIDC_ISSUER).exists()


@dataclass(frozen=True, slots=True)
class ShownSession:
    """A session of one's own: where and how it was begun, and when it was seen last."""

    id: int
    began_at: datetime
    how: str
    address: str
    agent: str
    seen_at: datetime
    is_this: bool


def sessions_of(user: User, session_key: str | None) -> list[ShownSession]:
    """The open sessions of a person, this one first, then by when they were seen last."""
    rows = {row.key: row for row in OpenSession.objects.filter(user=user)}
    found = []
    for session in Session.objects.filter(pk__in=rows, expire_date__gt=timezone.now()):
        stored, row = session.get_decoded(), rows[session.pk]
        if is_over(stored, **session_limits()):
            continue
        seen = datetime.fromtimestamp(stored[SEEN], UTC)
        is_this = row.key == session_key
        found.append(
            ShownSession(row.pk, row.began_at, row.how, row.address, row.agent, seen, is_this)
        )
    return sorted(found, key=lambda one: (not one.is_this, -one.seen_at.timestamp()))


def session_limits() -> dict[str, float]:
    """What a session is measured by, now (see ``domain.limits.is_over``)."""
    return {
        "now_s": timezone.now().timestamp(),
        "idle_s": settings.SESSION_IDLE_MINUTES * 60,
        "longest_s": settings.SESSION_COOKIE_AGE,
    }


def home() -> str:
    """The address of the tower, as people type it."""
    return f"{settings.TOWER_ORIGIN}{settings.TOWER_PREFIX}/"


def home_by_name() -> str:
    """An address of the tower with a name in it, as passkeys need; nothing if none is known."""
    for origin in settings.LIVE_ORIGINS:
        host = (urlsplit(origin).hostname or "").replace(":", "")
        if not host.replace(".", "").isdigit():
            return f"{origin}{settings.TOWER_PREFIX}/"
    return ""


def enrolment_link(code: str) -> str:
    """Where a person enrols with a code. Behind the #, which no server and no log ever sees."""
    return f"{settings.TOWER_ORIGIN}{reverse('accounts:enrol')}#{code}"


def service_accounts() -> list[ServiceAccount]:
    """Every service account with its tokens, the newest first; open accounts before disabled
    ones."""
    tokens = ApiToken.objects.select_related("created_by", "revoked_by").order_by("-created_at")
    now = timezone.now()
    rows = list(
        ServiceAccount.objects.select_related("created_by")
        .prefetch_related(Prefetch("tokens", tokens, to_attr="listed"))
        .order_by("disabled_at", "name")
    )
    for token in (t for row in rows for t in row.listed):  # type: ignore[attr-defined]  # prefetched
        token.state_now = token.state(now)
    return sorted(rows, key=lambda row: (row.disabled_at is not None, row.name))


def service_ids() -> list[int]:
    """The ids of all service accounts, disabled ones too."""
    return list(ServiceAccount.objects.values_list("pk", flat=True))
