"""A process without a free file handle still reads the answer that came."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import resource
from apps.calls.domain import envelope
used = len(__import__("os").listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, used - 1))
try:
    open("/dev/null")
    raise SystemExit("files can still be opened")
except OSError:
    pass
answer = b'{"jsonrpc": "2.0", "id": 1, "result": {"done": true}}'
print(envelope._text(answer)[0] == answer.decode())
"""


def test_an_answer_is_read_though_no_file_can_be_opened() -> None:
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "True", done.stderr
