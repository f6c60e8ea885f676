"""Read the text of a DARTS `Genotype` as data: nothing of it is ever run."""

from __future__ import annotations

import ast
from typing import Any

from ..errors import InvalidArchitectureError

_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_LONGEST = 20_000


def read_genotype(text: str) -> dict[str, Any]:
    """Return the fields of `Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)`.

    Fields may be given by keyword or by position; their values are lists, tuples, strings, integers and
    `range(...)`.

    Raises
    ------
    InvalidArchitectureError
        If the text is anything else; the message quotes the part that is not understood.
    """
    if len(text) > _LONGEST:
        raise InvalidArchitectureError(f"expected at most {_LONGEST:,} characters, got {len(text):,}")
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidArchitectureError("expected text like Genotype(normal=[('sep_conv_3x3', 0), ...], ...)") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise InvalidArchitectureError(f"expected Genotype(...), got {_quote(call)}")
    if len(call.args) > len(_FIELDS):
        raise InvalidArchitectureError(f"expected at most {len(_FIELDS)} fields in Genotype(...), got {len(call.args)}")
    fields = {name: _value(node) for name, node in zip(_FIELDS, call.args, strict=False)}
    for keyword in call.keywords:
        if keyword.arg not in _FIELDS or keyword.arg in fields:
            raise InvalidArchitectureError(
                f"expected each of {', '.join(_FIELDS)} once in Genotype(...), got {keyword.arg!r}"
            )
        fields[keyword.arg] = _value(keyword.value)
    return fields


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element) for element in node.elts]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        bounds = [_value(argument) for argument in node.args]
        if 1 <= len(bounds) <= 2 and all(isinstance(bound, int) and abs(bound) < 1000 for bound in bounds):
            return list(range(*bounds))
    raise InvalidArchitectureError(f"expected a list, a string, an integer or range(...), got {_quote(node)}")


def _quote(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."
