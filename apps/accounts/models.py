"""People who use the tower, and the service accounts of systems that do."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower, Now

from apps.accounts.domain.roles import Role
from apps.accounts.domain.standing import (
    HINDRANCES,
    NEEDS_SECOND_FACTOR,
    Standing,
    standing,
)
from apps.accounts.domain.teams import NAME_MOST, TeamScope, scope_of
from apps.accounts.registry import allows
from apps.accounts.registry import permission as known
from apps.audit.domain.actors import Actor
from apps.kernel.models import JSONField


class User(AbstractUser):
    """A person with exactly one role, so that who decides and who publishes never blur."""

    role = models.CharField(
        max_length=20, choices=[(r.value, r.value.replace("_", " ")) for r in Role]
    )
    preferences = JSONField(default=dict, blank=True)
    enrolled_at = models.DateTimeField(null=True)  # when this person set the password themselves
    mfa_since = models.DateTimeField(null=True)  # has an authenticator app or a passkey since then
    # Logged in last at the identity provider, with a second factor there.
    provider_mfa = models.BooleanField(default=False, db_default=False)
    # The admin whose change made or keeps this person one, until another admin has confirmed it;
    # themselves, of one whom the identity provider made an admin.
    granted_by = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role__in=[r.value for r in Role]), name="accounts_user_role"
            )
        ]

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    @property
    def actor(self) -> Actor:
        """How events and rows name this person."""
        return Actor.user(self.username)

    @property
    def standing(self) -> Standing:
        """How far this account has come."""
        return standing(
            is_active=self.is_active,
            is_enrolled=self.enrolled_at is not None,
            is_vouched_for=self.granted_by_id is None,
        )

    @property
    def has_second_factor(self) -> bool:
        """Whether this person's sessions were begun with two factors: one of them here, or both at
        the identity provider where its word counts (``TOWER_OIDC_MFA``)."""
        return self.mfa_since is not None or self.provider_mfa_counts

    @property
    def provider_mfa_counts(self) -> bool:
        """Whether the last log-in at the identity provider was with a second factor there, and its
        word counts."""
        return self.provider_mfa and bool(settings.OIDC_MFA)

    @property
    def hindrance(self) -> str:
        """Why this person can't act (decide, publish, change anything) now, as a sentence; empty if
        nothing hinders them."""
        lacks = settings.REQUIRE_MFA and not self.has_second_factor
        return HINDRANCES[self.standing] or (NEEDS_SECOND_FACTOR if lacks else "")

    def may(self, permission: str) -> bool:
        """Whether this person's role allows ``permission``, and nothing hinders them if it lets
        them act; never for a disabled account."""
        if not self.is_active or not allows(self.role, permission):
            return False
        return not (known(permission).acts and self.hindrance)


class Team(models.Model):
    """People who decide together, and what: see ``domain/teams.py``. Whoever becomes an operator
    and is in no team is put into those that take new ones (``takes_new``)."""

    name = models.CharField(max_length=NAME_MOST)
    domains = JSONField(default=list, blank=True)  # slugs; with none, every one
    jobs = JSONField(default=list, blank=True)
    most_cents = models.BigIntegerField(null=True)
    highest_risk = models.PositiveSmallIntegerField(null=True)
    takes_new = models.BooleanField(default=False, db_default=False)
    number = models.PositiveIntegerField(default=1, db_default=1)  # how often it was written
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(Lower("name"), name="accounts_team_name"),
            models.CheckConstraint(
                condition=models.Q(most_cents=None) | models.Q(most_cents__gte=0),
                name="accounts_team_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(highest_risk=None) | models.Q(highest_risk__range=(1, 4)),
                name="accounts_team_risk",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> TeamScope:
        """What its members may decide."""
        return scope_of(self.domains, self.jobs, self.most_cents, self.highest_risk)


class Membership(models.Model):
    """One person in one team. Whoever leads it is called as its lead."""

    # A team that has members can't be removed.
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    leads = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="accounts_membership_once")
        ]


class Identity(models.Model):
    """Who the person of an account is at an identity provider: what the issuer calls the subject,
    which is given to nobody else. An account has it from its first log-in there, and for good."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="identity")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="accounts_identity_once")
        ]


class Enrolment(models.Model):
    """A code with which a person sets the password of their account, once and for a while. A new
    one replaces the one before; one that was used is gone."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()


class Totp(models.Model):
    """An authenticator app. ``last_step`` is the last step of time of which a code was used."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="totp")
    secret = models.TextField()  # sealed
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())


class RecoveryCode(models.Model):
    """One of the codes for whoever lost the device. One that was used is gone."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="accounts_recoverycode_once")
        ]


class Passkey(models.Model):
    """A key that never leaves a person's device, and counts its signatures if it can."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=60)
    host = models.CharField(max_length=253)  # the name of the site that it is bound to
    credential_id = models.CharField(max_length=1400, unique=True)
    data = models.BinaryField()
    sign_count = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)


class LogInGuard(models.Model):
    """Tries to log in to one account, known or not, under the digest of its name."""

    name = models.CharField(max_length=64, primary_key=True)
    failures = models.IntegerField()
    last_at = models.DateTimeField(db_index=True)
    locked_until = models.DateTimeField()


class OpenSession(models.Model):
    """Whose a session is, and whence it was begun."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="open_sessions")
    key = models.CharField(max_length=40, unique=True)
    began_at = models.DateTimeField(db_default=Now())
    how = models.CharField(max_length=60)
    address = models.CharField(max_length=60)
    agent = models.CharField(max_length=200)


class SavedView(models.Model):
    """A name for what a page is filtered by: ``query`` is written as ``domain.saved`` does."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=60)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2_000, blank=True)
    shared = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="accounts_savedview_one")
        ]
        indexes = [
            models.Index(
                fields=["page"], condition=models.Q(shared=True), name="accounts_savedview_shared"
            )
        ]


class ServiceAccount(models.Model):
    """A company's system that uses the API. It has no password, no role and no session; what it may
    do is what the scopes of its tokens say."""

    name = models.SlugField(unique=True, max_length=60)
    purpose = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    disabled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class Sending(models.Model):
    """The bucket that bounds what a person sends: see ``services.sending``."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    allowance = models.FloatField()  # what was in it at filled_at
    filled_at = models.DateTimeField()


class ApiToken(models.Model):
    """One key of a service account. The token itself is shown once; here is its digest, and the
    bucket that bounds how often it may be used."""

    account = models.ForeignKey(ServiceAccount, on_delete=models.PROTECT, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    shown = models.CharField(max_length=20)
    scopes = JSONField(default=list)
    rate_per_minute = models.PositiveIntegerField(default=600)
    allowance = models.FloatField(default=600)  # requests left in the bucket at refilled_at
    refilled_at = models.DateTimeField(db_default=Now())
    jobs = JSONField(default=list)  # names of those it may start; empty: every one
    starts_per_hour = models.PositiveIntegerField(null=True)  # empty: no bound
    starts_left = models.FloatField(default=0)  # at starts_filled_at
    starts_filled_at = models.DateTimeField(db_default=Now())
    usd_per_day = models.DecimalField(max_digits=12, decimal_places=2, null=True)  # empty: no bound
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rate_per_minute__gte=1), name="accounts_apitoken_rate"
            )
        ]

    def state(self, now: datetime) -> str:
        """active, expired or revoked."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"
