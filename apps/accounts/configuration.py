"""The settings about people: how they log in, what their passwords are worth, how long a session
lives. ``controltower.settings`` takes them over as they are."""

from __future__ import annotations

from typing import Any

from apps.kernel.environment import count, flag

DAYS_30 = 30 * 24


def people_settings(*, production: bool) -> dict[str, Any]:
    """Every setting of this app, read from the environment now. Raises ``ImproperlyConfigured`` for
    a variable that can't be used."""
    return {
        **_logging_in(),
        **_sessions(),
        # Whoever acts has a second factor; elsewhere than in production it is offered.
        "REQUIRE_MFA": flag("TOWER_REQUIRE_MFA", default=production),
    }


def _logging_in() -> dict[str, Any]:
    return {
        "AUTH_USER_MODEL": "accounts.User",
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.Argon2PasswordHasher"],
        "AUTH_PASSWORD_VALIDATORS": _validators(),
        "LOGIN_URL": "accounts:login",
        "LOGIN_REDIRECT_URL": "dashboards:home",
        "LOGOUT_REDIRECT_URL": "accounts:login",
        "ENROLMENT_HOURS": count("TOWER_ENROLMENT_HOURS", 24, most=DAYS_30),
    }


def _validators() -> list[dict[str, Any]]:
    """What a password has to be: ASVS 6.2 (length before anything else, no common ones)."""
    django = "django.contrib.auth.password_validation"
    return [
        {"NAME": f"{django}.UserAttributeSimilarityValidator"},
        {"NAME": f"{django}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
        {"NAME": f"{django}.CommonPasswordValidator"},
        {"NAME": f"{django}.NumericPasswordValidator"},
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
