"""Serve the model on the loopback.

``python -m controltower.practice.localmodel --port 0 --announce FILE``

With ``TOWER_MODEL_KEY`` set, requests have to bring that key: a web page in a browser of this
machine can reach the loopback too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controltower.practice.localmodel import missing, weights

LOOPBACK = "127.0.0.1"
ALIAS = "local"
CONTEXT_TOKENS = 4096
ANSWER_TOKENS = 512
CACHE_MIB = 128
NICENESS = 5  # answering people comes first on a small machine


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and serve; 2 when a package is missing."""
    parser = argparse.ArgumentParser(prog="python -m controltower.practice.localmodel")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--announce", type=Path, help="file to write the address to")
    parser.add_argument("--threads", type=int, default=threads())
    options = parser.parse_args(argv)
    path = weights()
    if path is None or missing():
        sys.stderr.write(f"not installed: {', '.join(missing())}; `make up MODEL=local` does it\n")
        return 2
    signals = {signal.SIGTERM, signal.SIGINT}
    # Before llama.cpp makes its threads, which inherit it: the signal is for `sigwait` below.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    os.nice(NICENESS)
    server = start(path, port=options.port, workers=options.threads)
    url = f"{server.listening_address}/v1"
    announce({"model": ALIAS, "pid": os.getpid(), "url": url}, options.announce)
    signal.sigwait(signals)
    # llama.cpp keeps nothing that a clean end would save, and its threads may be in a long answer.
    os._exit(0)


def threads() -> int:
    """One on a small machine: threads that wait for each other crawl when others want the CPU."""
    return 2 if (os.cpu_count() or 1) >= 4 else 1


def start(path: Path, *, port: int, workers: int) -> Any:
    """Load the model and start its server, which runs in threads of its own while it is held."""
    import xllamacpp  # noqa: PLC0415 - an optional package, looked for above

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {ALIAS}
    params.hostnames = [LOOPBACK]
    params.port = port
    params.api_keys = [key] if (key := os.environ.get("TOWER_MODEL_KEY")) else []
    params.cors_origins = f"http://{LOOPBACK}"
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.n_ctx, params.n_parallel, params.n_predict = CONTEXT_TOKENS, 1, ANSWER_TOKENS
    params.n_gpu_layers = 0
    params.cache_ram_mib = CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = workers
    params.n_threads_http = 4
    params.verbosity = 1
    return xllamacpp.Server(params)


def announce(said: dict[str, object], file: Path | None) -> None:
    """Say where the model is; readers of the file see the whole announcement or none."""
    text = json.dumps(said)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
