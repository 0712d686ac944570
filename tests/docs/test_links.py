"""Every relative link of the documentation leads somewhere, and guides lie in ``docs/``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
LINK = re.compile(r"\]\(<?([^)>\s]+)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\bdocs/[\w./-]*\w")


def committed() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


COMMITTED = committed()
PAGES = [name for name in COMMITTED if name.endswith(".md")]


def anchors(page: Path) -> set[str]:
    """What headings are called in links, as GitHub writes it."""
    texts = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def broken(page: Path) -> Iterator[str]:
    for link in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = ROOT in target.parents and target.exists()
        if not there or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    assert list(broken(ROOT / name)) == []


def test_what_code_says_about_the_docs_is_there() -> None:
    """Comments, units, templates and recipes name pages by their path from the root."""
    gone = [
        f"{name}: {path}"
        for name in COMMITTED
        if not name.endswith((".png", ".gz", ".ico", ".woff2")) and name != "CHANGELOG.md"
        for path in NAMED.findall((ROOT / name).read_text(errors="replace"))
        if not (ROOT / path).exists()
    ]
    assert gone == []


def test_guides_lie_outside_the_packages() -> None:
    """Only prompts, which packs read, are Markdown beside code."""
    inside = [n for n in PAGES if n.startswith(("apps/", "controltower/")) and "/prompts/" not in n]
    assert inside == []
