"""The commit floor: one small transaction (a one-row insert) a step, from a few connections.

``autocommit``: one statement that is its own transaction, the cheapest there is; ``explicit``:
BEGIN, the insert, COMMIT, as a transaction of more than one statement would be.
"""

from __future__ import annotations

import json
import sys
import threading
import uuid

import psycopg

TABLE = """
create table if not exists floor_step (
    id uuid primary key, run_id uuid not null, seq int not null, result jsonb not null,
    at timestamptz not null default now())
"""
INSERT = "insert into floor_step (id, run_id, seq, result) values (%s, %s, %s, %s)"


def work(connection: psycopg.Connection, rows: int, way: str) -> None:
    run = uuid.uuid4()
    for seq in range(rows):
        row = [uuid.uuid4(), run, seq, '{"n": 1}']
        if way == "autocommit":
            connection.execute(INSERT, row)
        else:
            with connection.transaction():
                connection.execute(INSERT, row)


def main(url: str, connections: int, way: str) -> None:
    opened = [psycopg.connect(url, autocommit=True) for _ in range(connections)]
    opened[0].execute(TABLE)
    tell(ready=0)
    for line in sys.stdin:
        rows = json.loads(line)["runs"] // connections
        threads = [threading.Thread(target=work, args=(c, rows, way)) for c in opened]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tell(steps=rows * connections)


def tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
