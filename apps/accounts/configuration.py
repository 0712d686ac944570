"""The settings about people: how they log in, what their passwords are worth, how long a session
lives. ``controltower.settings`` takes them over as they are."""

from __future__ import annotations

import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from apps.accounts.domain.leaks import service_of
from apps.accounts.domain.provider import issuer_of, roles_of
from apps.kernel.environment import count, flag, listed, parsed, secret

DAYS_30 = 30 * 24


def people_settings(*, production: bool) -> dict[str, Any]:
    """Every setting of this app, read from the environment now. Raises ``ImproperlyConfigured`` for
    a variable that can't be used."""
    return {
        **_logging_in(),
        **_sessions(),
        **_provider(),
        "FORMS_PER_MINUTE": count("TOWER_FORMS_PER_MINUTE", 120, most=100_000),  # of a person
        # Whoever acts has a second factor; elsewhere than in production it is offered.
        "REQUIRE_MFA": flag("TOWER_REQUIRE_MFA", default=production),
    }


def _logging_in() -> dict[str, Any]:
    return {
        "AUTH_USER_MODEL": "accounts.User",
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.Argon2PasswordHasher"],
        "AUTH_PASSWORD_VALIDATORS": _validators(),
        "LEAKED_PASSWORDS": parsed("TOWER_LEAKED_PASSWORDS", service_of),
        "LOGIN_URL": "accounts:login",
        "LOGIN_REDIRECT_URL": "dashboards:home",
        "LOGOUT_REDIRECT_URL": "accounts:login",
        "ENROLMENT_HOURS": count("TOWER_ENROLMENT_HOURS", 24, most=DAYS_30),
    }


def _validators() -> list[dict[str, Any]]:
    """What a password has to be: ASVS 6.2 (length before anything else, none that is common or
    known from leaks)."""
    django = "django.contrib.auth.password_validation"
    return [
        {"NAME": f"{django}.UserAttributeSimilarityValidator"},
        {"NAME": f"{django}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
        {"NAME": f"{django}.CommonPasswordValidator"},
        {"NAME": f"{django}.NumericPasswordValidator"},
        {"NAME": "apps.accounts.adapters.leaks.GuessablePasswordValidator"},
        {"NAME": "apps.accounts.adapters.leaks.LeakedPasswordValidator"},
    ]


def _sessions() -> dict[str, Any]:
    return {
        "SESSION_COOKIE_AGE": count("TOWER_SESSION_HOURS", 12, most=DAYS_30) * 3600,
        "SESSION_IDLE_MINUTES": count("TOWER_SESSION_IDLE_MINUTES", 30, most=DAYS_30 * 60),
        "SESSION_ENGINE": "django.contrib.sessions.backends.db",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_SAMESITE": "Lax",
        "CSRF_FAILURE_VIEW": "apps.accounts.views.sessions.csrf_failed",
    }


def _provider() -> dict[str, Any]:
    """The company's identity provider. What it needs is needed as a whole, and told at the start:
    nobody finds out at the log-in that half of it was set."""
    found: dict[str, Any] = {
        "OIDC_ISSUER": parsed("TOWER_OIDC_ISSUER", issuer_of),
        "OIDC_CLIENT": os.environ.get("TOWER_OIDC_CLIENT", ""),
        "OIDC_SECRET": secret("TOWER_OIDC_SECRET", "TOWER_OIDC_SECRET_FILE"),
        "OIDC_NAME": os.environ.get("TOWER_OIDC_NAME") or "single sign-on",
        "OIDC_SCOPES": os.environ.get("TOWER_OIDC_SCOPES") or "profile",
        "OIDC_ROLE_CLAIM": os.environ.get("TOWER_OIDC_ROLE_CLAIM") or "roles",
        "OIDC_ROLES": parsed("TOWER_OIDC_ROLES", roles_of),
        "OIDC_USERNAME": os.environ.get("TOWER_OIDC_USERNAME") or "preferred_username",
        "OIDC_MFA": listed("TOWER_OIDC_MFA"),
        "PASSWORDS": flag("TOWER_PASSWORDS", default=True),
    }
    _require_whole(found)
    return found


def _require_whole(found: dict[str, Any]) -> None:
    if not found["OIDC_ISSUER"]:
        if not found["PASSWORDS"]:
            raise ImproperlyConfigured(
                "TOWER_PASSWORDS is 0 and there is no TOWER_OIDC_ISSUER: nobody could log in. It"
                " must be 1, or an identity provider has to be set."
            )
        return
    for name in ("CLIENT", "SECRET", "ROLES"):
        if not found[f"OIDC_{name}"]:
            raise ImproperlyConfigured(
                f"TOWER_OIDC_ISSUER needs TOWER_OIDC_{name}: it must be what your identity provider"
                " gave you for the tower (docs/people.md#single-sign-on)."
            )
