"""Forks processes of the product from one that has imported it already.

Each line on its standard input names what to run: ``{"argv", "env", "log", "limits", "settings"}``;
the child's
number is the answer. A child is a session of its own and behaves like ``manage.py <argv>`` started
by hand, two seconds sooner. ``["web", port]`` serves the site.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from typing import Any

import django
import uvicorn
from django.conf import settings
from django.core.management import call_command

django.setup()

from apps.calls.executor import ToolClient  # noqa: E402  # Django is set up before its models load

LIMITS = {
    "nofile": resource.RLIMIT_NOFILE,
    "as": resource.RLIMIT_AS,
    "nproc": resource.RLIMIT_NPROC,
}


def become(order: dict[str, Any]) -> None:
    """Be the process that was asked for; never returns."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, number)
    os.environ.update(order["env"])
    importlib.reload(importlib.import_module("apps.kernel.failpoints"))
    for name, value in order["settings"].items():
        setattr(settings, name, value)
    _poison(os.environ.get("PROOF_POISON", ""))
    for name, value in order["limits"].items():
        resource.setrlimit(LIMITS[name], (value, value))
    if "PROOF_USER" in os.environ:
        os.setuid(int(os.environ["PROOF_USER"]))
    code = 1
    try:
        name, *rest = order["argv"]
        if name == "web":
            uvicorn.run(
                importlib.reload(importlib.import_module("controltower.asgi")).application,
                port=int(rest[0]),
                lifespan="off",
                log_level="warning",
                timeout_graceful_shutdown=5,
            )
        else:
            call_command(name, *rest)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _poison(tool: str) -> None:
    """Let the very attempt to call this tool crash the process, as a broken library would."""
    call = ToolClient.call

    async def crash(self: ToolClient, server: str, name: str, *rest: Any, **options: Any) -> Any:
        if name == tool:
            os.abort()
        return await call(self, server, name, *rest, **options)

    if tool:
        ToolClient.call = crash  # type: ignore[method-assign]


def main() -> None:
    for module in (
        "apps.workers.management.commands.worker",
        "apps.workers.management.commands.sweep",
        "apps.runs.tasks",
        "controltower.asgi",
        "controltower.urls",
        "encodings.idna",  # what a process that lost its rights can't read any more
        "rq.worker.base",
    ):
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            become(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
