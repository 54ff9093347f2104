"""Canonical JSON after RFC 8785: one value, one byte string, so that a digest means something.

Numbers are written as ECMAScript writes them (RFC 8785 section 3.2.2.3), keys are sorted by
their UTF-16 code units (3.2.3), strings are escaped no more than needed (3.2.2.2).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

# Escapes what RFC 8785 does and nothing else: quote, backslash, U+0000 to U+001F.
from json.encoder import encode_basestring as escaped
from typing import Any

_MAX_INTEGER = 2**53 - 1
_MAX_DEPTH = 100


class CanonicalError(ValueError):
    """The value has no canonical JSON form; the text says where and why."""


def dumps(value: object) -> bytes:
    """The canonical JSON of `value` (RFC 8785) as UTF-8.

    `value` is built from mappings with text keys, lists, tuples, text, booleans, None, integers
    up to 2^53 - 1 in size (RFC 7493 section 2.2: a larger one must be sent as text) and finite
    floats. Anything else raises `CanonicalError` with the path to it.
    """
    parts: list[str] = []
    _write(value, parts.append, "$", 0)
    return "".join(parts).encode()


def loads(data: bytes) -> Any:
    """Parse `data`; `CanonicalError` unless it is exactly the canonical form of what it says."""
    try:
        value = json.loads(data, parse_int=_integer)
        same = dumps(value) == data
    except (ValueError, OverflowError, RecursionError) as error:
        raise CanonicalError(f"not canonical JSON: {error}") from None
    if not same:
        raise CanonicalError("not canonical JSON: order, spacing, number or escape differs")
    return value


def _integer(text: str) -> float:
    """A double of whole value beyond 2^53 is written without point or exponent: read it as one."""
    value = int(text)
    return value if abs(value) <= _MAX_INTEGER else float(value)


def number(value: float) -> str:
    """A finite IEEE 754 double as ECMAScript's Number::toString writes it (ECMA-262 section 6.1.6.1.20)."""
    if not math.isfinite(value):
        raise CanonicalError(f"{value} is no JSON number")
    if value == 0:
        return "0"
    # repr gives the shortest digits that read back as the same double; only the layout differs.
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # 0.digits x 10^point: the place of the decimal point, counted from the first digit
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    n = len(digits)
    if n <= point <= 21:
        text = digits + "0" * (point - n)
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = digits[0] + (f".{digits[1:]}" if n > 1 else "") + f"e{point - 1:+d}"
    return sign + text


def _string(text: str, path: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise CanonicalError(f"{path}: lone surrogate in text") from None
    return escaped(text)


def _in_order(keys: Mapping[str, object]) -> list[str]:
    """By UTF-16 code units, which for ASCII is the order of Python's own."""
    if all(map(str.isascii, keys)):
        return sorted(keys)
    return sorted(keys, key=lambda k: k.encode("utf-16-be"))


def _write(value: object, put: Any, path: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise CanonicalError(f"{path}: nested deeper than {_MAX_DEPTH}")
    if value is None:
        put("null")
    elif value is True or value is False:
        put("true" if value else "false")
    elif isinstance(value, str):
        put(_string(value, path))
    elif isinstance(value, int):
        if abs(value) > _MAX_INTEGER:
            raise CanonicalError(f"{path}: integer beyond 2^53 - 1; write it as text")
        put(int.__repr__(value))
    elif isinstance(value, float):
        try:
            put(number(value))
        except CanonicalError as error:
            raise CanonicalError(f"{path}: {error}") from None
    elif isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise CanonicalError(f"{path}: key {key!r} is not text")
        texts = {key: _string(key, path) for key in value}
        put("{")
        for i, key in enumerate(_in_order(value)):
            put(f"{',' if i else ''}{texts[key]}:")
            _write(value[key], put, f"{path}.{key}", depth + 1)
        put("}")
    elif isinstance(value, list | tuple):
        put("[")
        for i, item in enumerate(value):
            if i:
                put(",")
            _write(item, put, f"{path}[{i}]", depth + 1)
        put("]")
    else:
        raise CanonicalError(f"{path}: {type(value).__name__} has no JSON form")
