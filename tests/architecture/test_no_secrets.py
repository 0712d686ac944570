"""No secret lies in the tree: what a scanner of ours or of somebody else's would find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from detect_secrets.core.scan import get_plugins, scan_file
from detect_secrets.settings import transient_settings
from django.conf import settings

from apps.accounts.domain import tokens
from tests.docs.test_links import COMMITTED

ROOT = Path(settings.BASE_DIR)
# Those that know a kind of secret by its shape. What guesses by entropy or by a variable's name
# finds digests and tests' own passwords.
KINDS = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "CloudantDetector",
    "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector",
    "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector",
    "SendGridDetector", "SlackDetector", "SquareOAuthDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip
SETTINGS = {"plugins_used": [{"name": kind} for kind in KINDS]}


def found_in(path: Path) -> list[str]:
    """Kinds and lines of secrets in a file, never what they are."""
    text = path.read_text(errors="replace")
    ours = [f"token of ours: {word[:8]}" for word in tokens._SHAPE.findall(text)]
    # The scan asks each line many times. It also quotes the values of YAML and the like, and knows
    # a secret of AWS by its quotes.
    if "aws" not in text.lower() and not any(shape.search(text) for shape in shapes()):
        return ours
    return [f"{s.type}: line {s.line_number}" for s in scan_file(str(path))] + ours


def shapes() -> Iterator[re.Pattern[str]]:
    """What the scanner looks for in each line, to be looked for in a whole file."""
    for detector in get_plugins():
        yield from detector.denylist


def test_no_file_of_the_tree_holds_a_secret() -> None:
    with transient_settings(SETTINGS):
        found = {name: told for name in COMMITTED if (told := found_in(ROOT / name))}

    assert COMMITTED
    assert found == {}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("settings.py", "-----BEGIN " + "PRIVATE KEY-----"),
        ("settings.py", "aws = 'AKIA" + "Q7ZX2MNB4RTYUI3P'"),
        ("settings.yaml", "aws_key: " + "a1B2c3D4e5" * 4),
        ("settings.py", "ghp_" + "a1B2" * 9),
        ("settings.py", tokens.mint(bytes(range(20)))),
    ],
)
def test_a_secret_would_be_found(name: str, secret: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(f"{secret}\n")

    with transient_settings(SETTINGS):
        assert found_in(file)
