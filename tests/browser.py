"""Which browser of this machine the tests and the photographs use."""

from __future__ import annotations

import os
import shutil

# Debian's first; the shell draws no windows and menus for nobody. `.ci/run` looks for the same.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Where it is; nothing if there is none. ``TOWER_CHROMIUM`` names another."""
    found = (shutil.which(name) for name in NAMES)
    return os.environ.get("TOWER_CHROMIUM") or next(filter(None, found), None)
