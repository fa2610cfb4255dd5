"""The texts below the attributes of a class, for `help()`."""

from __future__ import annotations

import ast
import inspect
import textwrap


def attributes(cls: type) -> str:
    """One line for each attribute of the class that has a text below it; empty if there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):
        return ""
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    lines: list[str] = []
    for one, below in zip(node.body, node.body[1:]):
        if not (isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            text = " ".join(below.value.value.split())
            lines.append(f"        {one.target.id}: {ast.unparse(one.annotation)}\n            {text}")
    return "\n".join(lines)
