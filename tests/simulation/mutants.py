"""``python -m tests.simulation.mutants``: which slips in the pure core would nobody notice?

Each comparison, connective, number and sum in the product's decisions is changed, one at a time. A
mutant is found when a world breaks an invariant (or breaks down) within some seeds, else when the
module's own tests fail. What is left is printed: slips that nothing notices, and mutants that mean
the same.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simulation import planting
from tests.simulation.world import World

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "apps.calls.domain": (
        *("breaker", "budget", "caps", "fallback", "keys", "limiter", "limits", "lookup", "plan"),
        *("retry", "script"),
    ),
    "apps.runs.domain": (
        *("admission", "barrier", "ends", "finding", "forking", "outcome", "pausing", "undo"),
        *("states", "suspicion"),
    ),
    "apps.oversight.domain": ("rules",),
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}  # fmt: skip
LONGEST_S = 120
SURVIVED, BY_WORLDS, BY_TESTS = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Mutant:
    module: str
    function: str
    line: int
    before: str
    after: str
    tree: ast.Module


def mutants(name: str) -> Iterator[Mutant]:
    """All of one module: each a tree of it with one node changed."""
    source = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text())
    for path, function in _functions(source):
        for number, node in enumerate(ast.walk(function)):
            if not _may_change(node):
                continue
            tree = copy.deepcopy(source)
            other = dict(_functions(tree))[path]
            changed = list(ast.walk(other))[number]
            before = ast.unparse(changed)
            _change(changed)
            ast.fix_missing_locations(tree)
            line = getattr(node, "lineno", function.lineno)
            yield Mutant(name, path, line, before, ast.unparse(changed), tree)


def _functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    found = [(node.name, node) for node in tree.body if isinstance(node, ast.FunctionDef)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            methods = (m for m in node.body if isinstance(m, ast.FunctionDef))
            found += [(f"{node.name}.{m.name}", m) for m in methods]
    return found


def _may_change(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        return type(node.ops[0]) in SWAPS
    if isinstance(node, ast.BoolOp | ast.BinOp):
        return type(node.op) in SWAPS
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}


def _change(node: ast.AST) -> None:
    if isinstance(node, ast.Compare):
        node.ops[0] = SWAPS[type(node.ops[0])]()  # type: ignore[call-overload]  # of its kind
    elif isinstance(node, ast.BoolOp | ast.BinOp):
        node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]  # of its kind
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    elif isinstance(node, ast.Constant):
        node.value += 1  # type: ignore[operator]  # a number


def judged(mutant: Mutant, seeds: int) -> str:
    """Who finds this one: tried in a process of its own, which may hang or break down."""
    process = multiprocessing.get_context("fork").Process(target=_try, args=(mutant, seeds))
    process.start()
    process.join(LONGEST_S)
    if process.is_alive():
        process.kill()
        process.join()
        return "hangs"
    return {SURVIVED: "", BY_TESTS: "tests"}.get(process.exitcode or SURVIVED, "worlds")


def _try(mutant: Mutant, seeds: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    module = importlib.import_module(mutant.module)
    try:
        code = planting.compiled(module, mutant.tree, mutant.function)
    except Exception:  # what isn't even imported is found by everybody
        os._exit(BY_WORLDS)
    with planting.with_code(planting.function(module, mutant.function), code):
        os._exit(BY_WORLDS if _breaks(seeds) else BY_TESTS if _fails(mutant.module) else SURVIVED)


def _breaks(seeds: int) -> bool:
    try:
        for seed in range(seeds):
            World(seed, quiet=True).run()
    except Exception:  # an invariant, or the world itself
        return True
    return False


def _fails(module: str) -> bool:
    _, app, _, name = module.split(".")
    tests = [str(p) for p in (ROOT / "tests" / app / "domain").glob(f"test_{name}*.py")]
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
    return bool(tests) and pytest.main(options) not in {0, 5}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument(
        "--seeds", type=int, default=300, help="worlds that each mutant is tried in"
    )
    parser.add_argument("--module", default="", help="only modules whose name has this in it")
    asked = parser.parse_args()
    names = [f"{room}.{one}" for room, some in MODULES.items() for one in some]
    in_all: Counter[str] = Counter()
    for name in (n for n in names if asked.module in n):
        found: Counter[str] = Counter()
        for mutant in mutants(name):
            who = judged(mutant, asked.seeds)
            found[who or "nobody"] += 1
            if not who:
                print(f"  {mutant.function}:{mutant.line}  {mutant.before}  →  {mutant.after}")  # noqa: T201
        print(f"{name}: {dict(found)}", flush=True)  # noqa: T201
        in_all += found
    print(f"{in_all.total()} mutants: {dict(in_all)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
