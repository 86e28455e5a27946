"""Values that headers write as expressions of numbers: what C makes of them, where that needs no compiler. Pure."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

_NUMBER = r"(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)[uUlLfF]*"
_NAME = r"[A-Z_][A-Z0-9_]*"  # as macros and constants are called
_CAST = r"\([ \t]*[A-Za-z_]\w*(?:[ \t]+[A-Za-z_]\w*)*[ \t]*\**[ \t]*\)(?=[ \t]*[\w(~+-])"
_TERM = rf"(?:[-+~!( \t]|{_CAST})*(?:{_NUMBER}|{_NAME}|'(?:[ -~]|\\.[0-9a-fA-F]*)')[ \t)]*"
_EXPRESSION = re.compile(rf"{_TERM}(?:(?:<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%|&^<>?:]){_TERM})*")
_TEXT = re.compile(r"\"[ !#-~]*\"")
_CASTS = re.compile(_CAST)
_SUFFIX = re.compile(r"(?<=[0-9a-fA-F])[uUlL]+\b")
_OCTAL = re.compile(r"(?<![\w.])0(?=[0-7]+\b)")
_LONGEST = 500

_OPERATORS: Mapping[type[ast.AST], Callable[..., int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.RShift: lambda number, bits: number >> min(bits, 64),
    ast.LShift: lambda number, bits: number << min(bits, 64),
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}


def constant(text: str) -> str:
    """What a macro stands for if that is a number, a text, or made of numbers and other constants; else empty. Blanks
    are single."""
    text = " ".join(text.split())
    if len(text) > _LONGEST or not (_TEXT.fullmatch(text) or _EXPRESSION.fullmatch(text)):
        return ""
    return text if text.count("(") == text.count(")") else ""


def same(was: str, now: str) -> bool:
    """Whether two constants have one value, as far as that can be told: ``1`` and ``(1 << 0)``."""
    return was == now or (number(was) is not None and number(was) == number(now))


def number(text: str) -> int | None:
    """The value of an expression of whole numbers. Casts are taken for what makes no other number of one."""
    plain = _OCTAL.sub("0o", _SUFFIX.sub("", _CASTS.sub(" ", text))).strip()
    try:
        return _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _value(node: ast.expr) -> int:
    """Raises TypeError, KeyError, ValueError for what is no such expression."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise TypeError(node)
