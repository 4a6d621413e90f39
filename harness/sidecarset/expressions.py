"""Expressions over one quantity, as resourcesPolicy has them: `max(cpu*50%, 50m) + 10m`.

    sum     = product (("+" | "-") product)* product = unary (("*" | "/") unary)* unary   = "-" unary | "("
    sum ")" | ("max" | "min") "(" sum "," sum ")" | "cpu" | "memory" | number [suffix | "%"]

Values are exact, in cores and bytes. Knows nothing of containers.
"""

from __future__ import annotations

import re
from fractions import Fraction

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?(?:[eE]\d+)?)(%|[A-Za-z]+)?|([A-Za-z]+)|([-+*/(),]))")
SUFFIXES = {
    "": Fraction(1),
    "%": Fraction(1, 100),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(10 ** (3 * power)) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(2 ** (10 * power)) for power, suffix in enumerate("KMGTPE", 1)},
}
FUNCTIONS = {"max": max, "min": min}


class BadExpression(ValueError):
    """Not an expression, or one without a value; the message says why."""


def quantity(text: str) -> Fraction:
    """A Kubernetes quantity such as `100m` or `1.5Gi`; BadExpression."""
    found = TOKEN.fullmatch(str(text))
    if not found or not found.group(1) or found.group(2) == "%":
        raise BadExpression(f"not a quantity: {text!r}")
    return _number(found.group(1), found.group(2) or "")


def evaluate(text: str, variable: str, value: Fraction) -> Fraction:
    """The expression's value where `variable` (cpu or memory) has that value; BadExpression."""
    return _Parser(text, variable, value).whole()


def _number(digits: str, suffix: str) -> Fraction:
    if suffix not in SUFFIXES:
        raise BadExpression(f"unknown suffix {suffix!r}")
    return Fraction(digits) * SUFFIXES[suffix]


class _Parser:
    """Recursive descent; evaluates as it goes."""

    def __init__(self, text: str, variable: str, value: Fraction) -> None:
        self._tokens = _tokens(text)
        self._variable, self._value = variable, value

    def whole(self) -> Fraction:
        result = self._sum()
        if self._tokens:
            raise BadExpression(f"unexpected {_shown(self._tokens[0])}")
        return result

    def _next(self) -> str | Fraction:
        if not self._tokens:
            raise BadExpression("ends too early")
        return self._tokens.pop(0)

    def _skip(self, *symbols: str) -> str | None:
        if self._tokens and self._tokens[0] in symbols:
            return str(self._tokens.pop(0))
        return None

    def _expect(self, symbol: str) -> None:
        if not self._skip(symbol):
            raise BadExpression(f"expected {symbol!r}")

    def _sum(self) -> Fraction:
        result = self._product()
        while operator := self._skip("+", "-"):
            other = self._product()
            result = result + other if operator == "+" else result - other
        return result

    def _product(self) -> Fraction:
        result = self._unary()
        while operator := self._skip("*", "/"):
            other = self._unary()
            if operator == "/" and not other:
                raise BadExpression("division by zero")
            result = result * other if operator == "*" else result / other
        return result

    def _unary(self) -> Fraction:
        token = self._next()
        if isinstance(token, Fraction):
            return token
        if token == "-":
            return -self._unary()
        if token == "(":
            return self._close(self._sum())
        if token in FUNCTIONS:
            self._expect("(")
            first = self._sum()
            self._expect(",")
            return self._close(FUNCTIONS[token](first, self._sum()))
        if token == self._variable:
            return self._value
        raise BadExpression(f"unexpected {token!r}")

    def _close(self, value: Fraction) -> Fraction:
        self._expect(")")
        return value


def _tokens(text: str) -> list[str | Fraction]:
    tokens: list[str | Fraction] = []
    position = 0
    while position < len(text.rstrip()):
        found = TOKEN.match(text, position)
        if not found:
            raise BadExpression(f"unexpected {text[position:].strip()!r}")
        digits, suffix, word, symbol = found.groups()
        tokens.append(_number(digits, suffix or "") if digits else word or symbol)
        position = found.end()
    return tokens


def _shown(token: str | Fraction) -> str:
    return repr(token if isinstance(token, str) else str(token))
