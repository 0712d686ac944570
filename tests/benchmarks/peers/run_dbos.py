"""DBOS: workflows of ten steps that do nothing, called from threads, started or enqueued."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import psycopg
from dbos import DBOS, DBOSConfig

STEPS = 10


@DBOS.step()
def step(n: int) -> int:
    return n + 1


@DBOS.workflow()
def ten_steps(n: int) -> int:
    for _ in range(STEPS):
        n = step(n)
    return n


def called(runs: int, threads: int) -> None:
    """Each of some threads calls one workflow after the other."""

    def work(mine: int) -> None:
        for _ in range(mine):
            check(ten_steps(0))

    working = [threading.Thread(target=work, args=(runs // threads,)) for _ in range(threads)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()


def started(runs: int, threads: int) -> None:
    """All are started at once; DBOS's own pool carries them out."""
    for handle in [DBOS.start_workflow(ten_steps, 0) for _ in range(runs)]:
        check(handle.get_result())


def enqueued(runs: int, threads: int) -> None:
    """All are put on a queue and taken up by whichever process polls it; a handle would poll for
    its result, so one cheap query waits for the whole queue."""
    for _ in range(runs):
        DBOS.enqueue_workflow("bench", ten_steps, 0)
    while left(f"select count(*) from dbos.workflow_status where status in ({OPEN})"):
        time.sleep(0.02)


def left(query: str) -> int:
    row = watcher[0].execute(query).fetchone()
    return int(row[0]) if row else 0


def check(n: Any) -> None:
    if n != STEPS:
        raise RuntimeError(f"a workflow ended after {n} steps")


watcher: list[psycopg.Connection] = []
OPEN = "'ENQUEUED', 'PENDING', 'DELAYED'"
WAYS = {"called": called, "started": started, "queue": enqueued}


def main(url: str, threads: int, way: str, number: int) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "sys_db_pool_size": max(8, threads + 4),
        "max_executor_threads": threads,
        "log_level": "ERROR",
        "executor_id": f"bench-{number}",
        "application_version": "1",
        "notification_listener_polling_interval_sec": 0.05,
    }
    watcher.append(psycopg.connect(url, autocommit=True))
    DBOS(config=config)
    DBOS.launch()
    if way == "queue":
        DBOS.register_queue("bench", worker_concurrency=threads * 2, polling_interval_sec=0.05)
    WAYS[way](threads * 2, threads)
    tell(ready=threads * 2 * STEPS)
    for line in sys.stdin:
        runs = max(1, json.loads(line)["runs"] // threads) * threads
        WAYS[way](runs, threads)
        tell(steps=runs * STEPS)
    DBOS.destroy()


def tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
