"""Another body for a function of the product, for a while: a fault, or a mutant.

The function object stays and only its code is changed, so that whoever imported it by name has the
other one too.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any


def function(module: ModuleType, name: str) -> FunctionType:
    """The function or method ``name`` (``after`` or ``UndoPlan.next``) of a module."""
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, cached_property):
        found = found.func
    elif isinstance(found, staticmethod | classmethod):
        found = found.__func__
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType), f"{module.__name__}.{name} is no function"
    return found


def compiled(module: ModuleType, tree: ast.Module, name: str) -> CodeType:
    """The code of ``name`` as it is in ``tree``, which is carried out in a namespace of its own."""
    other = ModuleType(module.__name__)
    other.__file__ = module.__file__
    exec(compile(tree, str(module.__file__), "exec"), other.__dict__)  # noqa: S102  # our own source
    return function(other, name).__code__


@contextmanager
def with_code(whole: FunctionType, code: CodeType) -> Iterator[None]:
    """The function does what ``code`` says, for as long as this lasts."""
    before = whole.__code__
    whole.__code__ = code
    try:
        yield
    finally:
        whole.__code__ = before


@contextmanager
def planted(path: str, old: str, new: str) -> Iterator[None]:
    """The function at ``path`` (``apps.calls.domain.retry:decide``) reads ``new`` where it reads
    ``old``, which has to stand in it once."""
    module_name, name = path.split(":")
    module = importlib.import_module(module_name)
    whole = function(module, name)
    source, written = inspect.getsource(module), inspect.getsource(whole)
    assert written.count(old) == 1, f"{path} doesn't say {old!r} once"
    tree = ast.parse(source.replace(written, written.replace(old, new)))
    with with_code(whole, compiled(module, tree, name)):
        yield


def shown(node: ast.AST) -> str:
    """A piece of source in one line."""
    return " ".join(textwrap.dedent(ast.unparse(node)).split())
