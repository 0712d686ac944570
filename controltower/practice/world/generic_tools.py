"""The tools every company offers its agents: think, calculate, hand over to a person."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

from controltower.practice.world.dialect import Dialect
from controltower.practice.world.state import Tables

ALLOWED = set("0123456789+-*/(). ")
MAX_EXPRESSION_CHARS = 1000
BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


def calculate(world: Tables, dialect: Dialect, *, expression: str) -> str:
    """Answer a sum of numbers, + - * / and parentheses, rounded to cents."""
    if not set(expression) <= ALLOWED or len(expression) > MAX_EXPRESSION_CHARS:
        raise dialect.refusal("Invalid characters in expression")
    try:
        return str(round(float(_value(ast.parse(expression, mode="eval").body)), 2))
    except (SyntaxError, ValueError, ArithmeticError, RecursionError) as error:
        raise dialect.refusal(f"{error}") from error


def think(world: Tables, dialect: Dialect, *, thought: str) -> str:
    """Let the agent write a thought down; nothing happens."""
    return ""


def transfer_to_human_agents(world: Tables, dialect: Dialect, *, summary: str) -> str:
    """Hand the conversation over to a person."""
    return "Transfer successful"


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        return BINARY[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    raise ValueError("invalid syntax")
