"""Pages say lengths of time in a browser as the server does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser

from apps.web.domain import quantities as q

pytestmark = pytest.mark.browser
SCRIPT = Path(settings.BASE_DIR) / "static" / "js" / "quantities.js"
EDGES = [0, 1, 9, 10, 59, 60, 119, 120, 121, 599, 600, 601, 3599, 3600, 5399, 86399, 86400, 200_000]
PARTS = [sign * part for part in (0, 0.4, 0.99) for sign in (1, -1)]
SECONDS = sorted({side * (edge + part) for edge in EDGES for part in PARTS for side in (1, -1)})
WINDOWS = [0, 600, 14_400]


def test_both_say_the_same(chromium: Browser) -> None:
    page = chromium.new_page()
    page.add_script_tag(path=SCRIPT)

    said = page.evaluate(
        """([seconds, windows]) => seconds.map((s) => [
            quantities.agoWords(s), quantities.dueWords(s),
            ...windows.map((w) => quantities.urgency(s, w)),
        ])""",
        [SECONDS, WINDOWS],
    )

    page.close()
    for seconds, words in zip(SECONDS, said, strict=True):
        left = timedelta(seconds=seconds)
        urgent = [q.urgency(left, timedelta(seconds=w)) for w in WINDOWS]
        assert words == [q.ago_words(left), q.due_words(left), *urgent], seconds
