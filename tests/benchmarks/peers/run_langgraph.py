"""LangGraph: a graph of ten nodes that do nothing, checkpointed by PostgresSaver, sync.

A saver holds a lock around its connection, so each thread has a saver and a graph of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import uuid
from typing import Any, TypedDict

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg import Connection
from psycopg.rows import dict_row

STEPS = 10


class State(TypedDict):
    n: int


def step(state: State) -> State:
    return {"n": state["n"] + 1}


def graph_on(url: str) -> Any:
    connection = Connection.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row)
    saver = PostgresSaver(connection)
    saver.setup()
    builder = StateGraph(State)
    names = [f"step{i}" for i in range(STEPS)]
    for name in names:
        builder.add_node(name, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


def work(graph: Any, runs: int) -> None:
    for _ in range(runs):
        config = {"configurable": {"thread_id": str(uuid.uuid4())}}
        done = graph.invoke({"n": 0}, config, durability="sync")
        if done["n"] != STEPS:
            raise RuntimeError(f"a run ended after {done['n']} steps")


def main(url: str, threads: int) -> None:
    graphs = [graph_on(url) for _ in range(threads)]
    for graph in graphs:
        work(graph, 3)
    tell(ready=3 * STEPS * threads)
    for line in sys.stdin:
        runs = max(1, json.loads(line)["runs"] // threads)
        working = [threading.Thread(target=work, args=(g, runs)) for g in graphs]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        tell(steps=runs * threads * STEPS)


def tell(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
