"""The commit floor: one small transaction (a one-row insert) a step, from a few connections."""

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


def work(connection: psycopg.Connection, rows: int) -> None:
    run = uuid.uuid4()
    for seq in range(rows):
        connection.execute(INSERT, [uuid.uuid4(), run, seq, '{"n": 1}'])


def main(url: str, connections: int) -> None:
    opened = [psycopg.connect(url, autocommit=True) for _ in range(connections)]
    opened[0].execute(TABLE)
    tell(ready=0)
    for line in sys.stdin:
        rows = json.loads(line)["runs"] // connections
        threads = [threading.Thread(target=work, args=(c, rows)) for c in opened]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tell(steps=rows * connections)


def tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
