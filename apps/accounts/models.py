"""People who use the tower."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from apps.accounts.domain.roles import Permission, Role, allows


class User(AbstractUser):
    """A person with exactly one role, so that who decides and who publishes never blur."""

    role = models.CharField(
        max_length=20, choices=[(r.value, r.value.replace("_", " ")) for r in Role]
    )
    preferences = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role__in=[r.value for r in Role]), name="accounts_user_role"
            )
        ]

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    def may(self, permission: str) -> bool:
        """Whether this person's role allows ``permission``; never for a disabled account."""
        return self.is_active and allows(self.role, Permission(permission))
