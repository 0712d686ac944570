"""Settings, read from the environment only; the sections stand in the order of the floors.

Every variable is explained in ``docs/deployment.md``.
"""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from pathlib import Path
from typing import Any

from csp.constants import NONCE
from django.core.exceptions import ImproperlyConfigured

from apps.accounts.configuration import people_settings
from apps.catalog.domain.egress import hosts_of
from apps.catalog.domain.servers import read_entries
from apps.kernel import databases
from apps.kernel.environment import (
    choice,
    count,
    counts,
    flag,
    hosts,
    listed,
    live_origins,
    origin,
    parsed,
    prefix,
    seconds,
    secret,
    web_address,
)

BASE_DIR = Path(__file__).resolve().parent.parent


def _join_running_tower() -> None:
    """A command typed in another shell joins the tower that `make up` runs from this checkout:
    its addresses lie in a private file. Variables that are set win."""
    told = Path(os.environ.get("TOWER_VAR", BASE_DIR / "var")) / "run" / "environment.json"
    if "DATABASE_URL" not in os.environ and told.is_file():
        for name, value in json.loads(told.read_text()).items():
            os.environ.setdefault(name, value)


_join_running_tower()
PROCESS = os.environ.get("TOWER_PROCESS", "tower")
ENV = choice("TOWER_ENV", "development", "production", "test")
VAR_DIR = Path(os.environ.get("TOWER_VAR", BASE_DIR / "var"))
PRODUCTION = ENV == "production"
DEBUG = False
if PRODUCTION and os.environ.get("TOWER_FAILPOINT"):
    raise ImproperlyConfigured("TOWER_FAILPOINT kills processes, for tests: unset it here.")


def _secret_key() -> str:
    if key := secret("SECRET_KEY", "SECRET_KEY_FILE", least=50 if PRODUCTION else 0):
        return key
    if PRODUCTION:
        raise ImproperlyConfigured("Set SECRET_KEY or SECRET_KEY_FILE: production has no default.")
    return secrets.token_urlsafe(50)


def _address(name: str, default: str) -> str:
    """Where a server is; production has no default, and none of the well-known passwords."""
    given = os.environ.get(name, "")
    if PRODUCTION and not given:
        raise ImproperlyConfigured(f"Set {name}: production has no default.")
    return given or default


POOLER = choice("TOWER_POOLER", "", "transaction")


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = listed("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]", production=PRODUCTION)
TOWER_ORIGIN = origin("TOWER_ORIGIN", "http://127.0.0.1:8000")
TOWER_PREFIX = prefix("TOWER_PREFIX")
# Pages of these may hold a live connection. On one's own machine both its names are the tower.
LIVE_ORIGINS = live_origins(TOWER_ORIGIN, production=PRODUCTION)
CSRF_TRUSTED_ORIGINS = [TOWER_ORIGIN]
FORCE_SCRIPT_NAME = TOWER_PREFIX or None

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_ace",
    "django_htmx",
    "django_rq",
    "apps.audit",
    "apps.web",
    "apps.accounts",
    "apps.redaction",
    "apps.documents",
    "apps.policy",
    "apps.oversight",
    "apps.catalog",
    "apps.runs",
    "apps.workers",
    "apps.outcomes",
    "apps.ops",
    "apps.dashboards",
    "apps.api",
    "controltower.apps.ControlTower",
]
EVIDENCE_READERS = listed("TOWER_EVIDENCE_READERS")
if flag("TOWER_PRACTICE", default=True):
    INSTALLED_APPS.append("controltower.practice")
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "apps.audit.views.CallerMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.accounts.views.machines.TokenMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.authn.SessionLimits",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.api.views.addresses.AddressMiddleware",
    "apps.accounts.views.sending.SendingMiddleware",
    "apps.accounts.authn.PageMiddleware",
]
ROOT_URLCONF = "controltower.urls"
ASGI_APPLICATION = "controltower.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "apps.accounts.selectors.page_context",
                "apps.oversight.selectors.waiting_context",
                "apps.runs.selectors.stops.stops_context",
            ],
            "builtins": ["apps.web.templatetags.tower"],
        },
    }
]

# --- kernel: where truth and bells live
try:
    _READ = databases.postgres(_address("DATABASE_URL", databases.DEFAULT_DATABASE))
    if PRODUCTION and _READ.get("password") in {"tower", "postgres", "password"}:
        raise ImproperlyConfigured(
            "DATABASE_URL has a password that anybody would try first: set another one."
        )
    DATABASES = {"default": databases.of_django(_READ, process=PROCESS, pooler=POOLER)}
    REDIS_URL = databases.redis_url(_address("REDIS_URL", databases.DEFAULT_REDIS))
except databases.AddressError as error:
    raise ImproperlyConfigured(str(error)) from error
DATABASE_ROLE = os.environ.get("TOWER_DATABASE_ROLE", "")  # whom migrate lets use the tables
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [REDIS_URL],
        "OPTIONS": {"serializer": "apps.kernel.jsoncache.JsonSerializer"},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}

# --- accounts
globals().update(people_settings(production=PRODUCTION))
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = TOWER_PREFIX or "/"

# --- web security
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", NONCE],
        "style-src": ["'self'", "'unsafe-inline'"],  # Plotly and Ace set style attributes
        "img-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'", *(o.replace("http", "ws", 1) for o in LIVE_ORIGINS)],
        "worker-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
if PRODUCTION:
    SECURE_SSL_REDIRECT = flag("TOWER_SSL_REDIRECT", default=True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # A cookie named __Host- must be the whole host's.
    _KIND = "__Secure-" if TOWER_PREFIX else "__Host-"
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_KIND}sessionid", f"{_KIND}csrftoken"

# --- runs: lanes are RQ queues; an entry is an invitation to drain one
LANES = ["urgent", "normal"]
RQ_QUEUES = {lane: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": -1} for lane in LANES}
RQ = {"COMMIT_MODE": "auto"}  # bells are rung from on_commit by apps.runs.dispatch itself
DRAIN_SECONDS = seconds("TOWER_DRAIN_SECONDS", 20)
LINGER_SECONDS = seconds("TOWER_LINGER_SECONDS", 10)
BELLS_PER_LANE = count("TOWER_BELLS_PER_LANE", 4, most=1_000)
LEASE_SECONDS = seconds("TOWER_LEASE_SECONDS", 30)
ALLOW_CLOCK_SKEW = flag("TOWER_ALLOW_CLOCK_SKEW", default=False)
# A work-horse that makes no progress for this long is ended. Less than a lease: its worker says in
# which step it hung before the lease runs out and another horse hangs in the same.
STUCK_SECONDS = seconds("TOWER_STUCK_SECONDS", 20)
SWEEP_SECONDS = seconds("TOWER_SWEEP_SECONDS", 5)
NOTICE_SECONDS = seconds("TOWER_NOTICE_SECONDS", 15)  # how long something may stand still unsaid
IN_FLIGHT = count("TOWER_IN_FLIGHT", 200, most=10_000)
# Runs that may wait for their first step, by class with all that matters more: see decision 0014.
QUEUE_BOUNDS = counts(
    "TOWER_QUEUE_BOUNDS", {"C1": 200_000, "C2": 120_000, "C3": 20_000}, '{"C3": 5000}'
)
# Runs that a later engine began are left to its workers (N and N-1 side by side in a deploy).
ENGINE_VERSION = count("TOWER_ENGINE_VERSION", 2, most=2**15 - 1)
INSTANCE = os.environ.get("TOWER_INSTANCE", "")  # of the launcher: names one start of a tower
RELEASE = os.environ.get("TOWER_RELEASE") or str(
    tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
)
FINISH_SECONDS = seconds("TOWER_FINISH_SECONDS", 25)  # after SIGTERM
# Read entry by entry, by apps.catalog.adapters.addresses: one that is wrong stops its server only.
TOOL_SERVERS: dict[str, Any]
TOOL_SERVERS, TOOL_SERVERS_PROBLEM = read_entries(
    os.environ.get("TOWER_TOOL_SERVERS", "").strip() or "{}"
)
TOOL_SERVERS_FILE = os.environ.get("TOWER_TOOL_SERVERS_FILE", "")
# How often each is asked for its tools: that it is away, or a tool changed, is seen after so long
# and five seconds more.
SERVER_CHECK_SECONDS = seconds("TOWER_SERVER_CHECK_SECONDS", 15, least=1, most=3600)
CATALOG_HOSTS = parsed("TOWER_CATALOG_HOSTS", hosts_of)  # where documents may lead
MODEL_KEYS = os.environ.get("TOWER_MODEL_KEYS", "")
SERVER_KEYS = os.environ.get("TOWER_SERVER_KEYS", "")
MODEL = os.environ.get("TOWER_MODEL", "")
MODEL_NAME = os.environ.get("TOWER_MODEL_NAME", "")
MODEL_URL = web_address("TOWER_MODEL_URL")
MODEL_KEY = os.environ.get("TOWER_MODEL_KEY", "")
MODEL_OUTPUT = choice(
    "TOWER_MODEL_OUTPUT", *(("json", "tools") if MODEL == "local" else ("tools", "json"))
)
COOL_DOWN_MINUTES = count("TOWER_COOL_DOWN_MINUTES", 60, most=10_080)  # after a rejection
QUESTIONS_PER_MINUTE = count("TOWER_QUESTIONS_PER_MINUTE", 60, most=100_000)  # of an agent
APPROVAL_KEY_FILE = os.environ.get("TOWER_APPROVAL_KEY_FILE", str(VAR_DIR / "approval.key"))
REDACTION_KEY_FILE = os.environ.get("TOWER_REDACTION_KEY_FILE", str(VAR_DIR / "redaction.keys"))
AUDIT_CHECKPOINTS = os.environ.get("TOWER_AUDIT_CHECKPOINTS", str(VAR_DIR / "audit.checkpoints"))
AUDIT_SHIP_TO = os.environ.get("TOWER_AUDIT_SHIP_TO", "")
AUDIT_TSA, AUDIT_TSA_ROOTS = (
    web_address("TOWER_AUDIT_TSA"),
    os.environ.get("TOWER_AUDIT_TSA_ROOTS", ""),
)
if AUDIT_TSA and not AUDIT_TSA_ROOTS:
    raise ImproperlyConfigured(
        "TOWER_AUDIT_TSA needs TOWER_AUDIT_TSA_ROOTS: it must be a PEM file."
    )
APPROVAL_KEYRING_FILE = os.environ.get("TOWER_APPROVAL_KEYRING_FILE", f"{APPROVAL_KEY_FILE}.ring")

# --- files and time
STATIC_URL = f"{TOWER_PREFIX}/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "controltower.staticfinder.PlotlyFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if ENV == "test"
        else "controltower.staticfinder.ModuleStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = ENV == "test"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False

LEVELS = ("INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "apps.web.adapters.lines.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": choice("TOWER_LOG_LEVEL", *LEVELS)},
    "loggers": {n: {"level": "WARNING"} for n in ("rq", "httpx", "httpx2", "mcp")},
}
