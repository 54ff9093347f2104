"""The query options of OGC SensorThings 1.1 (a careful part of OData), read and applied. Pure.

`options` reads `$filter`, `$orderby`, `$select`, `$expand`, `$top`, `$skip`, `$count` and
`$resultFormat=dataArray`; what is not offered is refused by name (`UnsupportedError`), what is
ungrammatical with the place (`QueryError`).

Filters: `eq ne gt ge lt le`, `and or not`, parentheses, `contains`, `startswith`, `endswith` and
`substringof`, `st_within` and `geo.intersects` of a place and a polygon; numbers, 'texts', dates and
times of ISO 8601 (a date begins at midnight UTC), `true`, `false`, `null`; `tolower`, `toupper`,
`trim`, `length`, `year` … `second`, `date` and `now` (in UTC). An interval is compared by its start.

Not offered: arithmetic, `before`, `during`, `overlaps` and their like, `in`, other functions of
geometry, other result formats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

PAGE: Final = 100
LARGEST: Final = 1000
DEEPEST: Final = 4  # of $expand
NESTED: Final = 40  # parentheses of a filter
TERMS: Final = 100  # comparisons of a filter
LONGEST: Final = 4000  # characters of an option
COMPARE: Final = ("eq", "ne", "gt", "ge", "lt", "le")
FUNCTIONS: Final = ("contains", "startswith", "endswith", "substringof")
PLACES: Final = ("st_within", "geo.intersects")
_TEXT: Final[Mapping[str, Callable[[str], Any]]] = {
    "tolower": str.lower, "toupper": str.upper, "trim": str.strip, "length": len,
}  # fmt: skip
_TIME: Final = ("year", "month", "day", "hour", "minute", "second", "date")

Path = tuple[str, ...]
Expression = tuple[Any, ...]
_WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+ -]\d\d:?\d\d)"
_TOKEN = re.compile(
    rf"\s*(?:(?P<time>{_WHEN})|(?P<date>\d{{4}}-\d\d-\d\d)(?![\w:])"
    r"|geography(?P<place>'[^']*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<text>'(?:[^']|'')*')|(?P<word>@?[A-Za-z_][\w.@]*(?:/@?[A-Za-z_][\w.@]*)*)"
    r"|(?P<sign>[(),]))"
)
_ORDER = re.compile(r"(@?[A-Za-z_][\w.@]*(?:/@?[A-Za-z_][\w.@]*)*)(?:\s+(asc|desc))?")


class QueryError(ValueError):
    """A query that cannot be understood; the text says where and what."""


class UnsupportedError(QueryError):
    """A query of the standard that this interface does not answer."""


@dataclass(frozen=True)
class Options:
    """`filter` None: all. `select` None: everything. `expand`: name → its own options."""

    top: int = PAGE
    skip: int = 0
    count: bool = False
    filter: Expression | None = None
    orderby: tuple[tuple[Path, bool], ...] = ()  # path, descending
    select: tuple[str, ...] | None = None
    expand: Mapping[str, Options] = field(default_factory=dict)
    token: str = ""  # where the page before ended
    array: bool = False  # $resultFormat=dataArray
    given: Mapping[str, str] = field(default_factory=dict)  # as they were written


def options(given: Mapping[str, str], depth: int = 0) -> Options:
    """The options of a request, or of one `$expand`. Raises `QueryError`."""
    known: dict[str, Any] = {}
    for name, text in given.items():
        if len(text) > LONGEST:
            raise QueryError(f"{name} has more than {LONGEST} characters")
        if name == "$top":
            known["top"] = min(_whole(name, text), LARGEST)
        elif name == "$skip":
            known["skip"] = _whole(name, text)
        elif name == "$count":
            if text not in ("true", "false"):
                raise QueryError(f"$count={text}: wanted true or false")
            known["count"] = text == "true"
        elif name == "$filter":
            known["filter"] = expression(text)
        elif name == "$orderby":
            known["orderby"] = _orderby(text)
        elif name == "$select":
            names = tuple(part.strip() for part in text.split(","))
            known["select"] = tuple("@iot.id" if n == "id" else n for n in names if n)
        elif name == "$expand":
            if depth >= DEEPEST:
                raise QueryError(f"$expand goes deeper than {DEEPEST} levels")
            known["expand"] = _expand(text, depth)
        elif name == "$skiptoken":
            known["token"] = text
        elif name == "$resultFormat" and text == "dataArray" and not depth:
            known["array"] = True
        elif name.startswith("$"):
            raise UnsupportedError(f"{name} is not offered here")
        # What has no $ is nobody's option (OData 4.01 §5.2) and is passed over.
    return Options(**known, given=dict(given))


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise QueryError(f"{name}={text[:20]}: wanted a whole number")
    return int(text)


def _orderby(text: str) -> tuple[tuple[Path, bool], ...]:
    found = []
    for part in text.split(","):
        match = _ORDER.fullmatch(part.strip())
        if match is None:
            raise UnsupportedError(f"$orderby={part.strip()[:40]}: wanted a property, asc or desc")
        found.append((_path(match[1]), match[2] == "desc"))
    return tuple(found)


def _path(word: str) -> Path:
    return tuple("@iot.id" if part == "id" else part for part in word.split("/"))


def _split(text: str, sign: str) -> list[str]:
    """Parts between signs that stand in no parentheses and no text."""
    parts, depth, quoted = [""], 0, False
    for c in text:
        if c == "'":
            quoted = not quoted
        elif not quoted:
            depth += (c == "(") - (c == ")")
        if c == sign and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += c
    if depth or quoted:
        raise QueryError(f"{text[:60]}: a parenthesis or a quotation mark is not closed")
    return [part.strip() for part in parts if part.strip()]


def _expand(text: str, depth: int) -> dict[str, Options]:
    found: dict[str, Options] = {}
    for part in _split(text, ","):
        name, _open, inner = part.partition("(")
        if _open and not inner.endswith(")"):
            raise QueryError(f"$expand={part[:60]}: wanted NAME or NAME(options)")
        given = {}
        for one in _split(inner[:-1], ";") if _open else ():
            option, equals, value = one.partition("=")
            if not equals:
                raise QueryError(f"$expand={part[:60]}: {one[:40]} is no option")
            given[option.strip()] = value.strip()
        first, _slash, rest = name.strip().partition("/")
        if rest:  # Datastreams/ObservedProperty
            given = {"$expand": rest + (f"({inner}" if _open else "")}
        more = options(given, depth + 1)
        if first in found:
            both = {**found[first].expand, **more.expand}
            more = Options(**{**vars(found[first]), "expand": both})
        found[first] = more
    return found


# --- filters ------------------------------------------------------------------------------------


def expression(text: str) -> Expression:
    """A filter as a tree: ("and", a, b), ("lt", operand, operand), ("contains", …); operands are
    ("path", names) and ("value", v). Raises `QueryError`."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if not text[at:].strip():
                break
            raise QueryError(f"$filter: cannot be read from {text[at : at + 40]!r} on")
        assert match.lastgroup is not None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    reader = _Reader(tokens)
    found = reader.alternatives(0)
    reader.end()
    return found


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at, self._terms = tokens, 0, 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, *wanted: str) -> bool:
        if self._peek()[1] in wanted and self._peek()[0] in ("word", "sign"):
            self._at += 1
            return True
        return False

    def _demand(self, sign: str) -> None:
        if not self._take(sign):
            raise QueryError(f"$filter: wanted {sign!r} before {self._rest()}")

    def _rest(self) -> str:
        return repr(
            " ".join(text for _, text in self._tokens[self._at : self._at + 4]) or "the end"
        )

    def end(self) -> None:
        if self._peek()[0] != "end":
            raise QueryError(f"$filter: {self._rest()} is too much")

    def alternatives(self, depth: int) -> Expression:
        if depth > NESTED:
            raise QueryError("$filter: too many parentheses")
        found = self._all(depth)
        while self._take("or"):
            found = ("or", found, self._all(depth))
        return found

    def _all(self, depth: int) -> Expression:
        found = self._one(depth)
        while self._take("and"):
            found = ("and", found, self._one(depth))
        return found

    def _one(self, depth: int) -> Expression:
        if self._take("not"):
            if depth > NESTED:
                raise QueryError("$filter: too many parentheses")
            return ("not", self._one(depth + 1))
        if self._take("("):
            found = self.alternatives(depth + 1)
            self._demand(")")
            return found
        self._terms += 1
        if self._terms > TERMS:
            raise QueryError(f"$filter: at most {TERMS} comparisons")
        left = self._operand()
        if left[0] in FUNCTIONS or left[0] in PLACES:
            if self._peek()[1] in ("eq", "ne") and self._peek()[0] == "word":
                turn = self._take("ne")
                if not turn:
                    self._take("eq")
                kind, value = self._operand()[:2]
                if kind != "value" or not isinstance(value, bool):
                    raise QueryError(f"$filter: {left[0]} is compared with true or false")
                return left if value != turn else ("not", left)
            return left
        kind, text = self._peek()
        if kind != "word" or text not in COMPARE:
            if kind == "word" and text in ("add", "sub", "mul", "div", "mod"):
                raise UnsupportedError(f"$filter: {text} is not offered here")
            raise QueryError(f"$filter: wanted one of {', '.join(COMPARE)} before {self._rest()}")
        self._at += 1
        return (text, left, self._operand())

    def _operand(self, depth: int = 0) -> Expression:
        if depth > NESTED:
            raise QueryError("$filter: too many parentheses")
        kind, text = self._peek()
        self._at += 1
        if kind == "number":
            return ("value", float(text))
        if kind == "text":
            return ("value", text[1:-1].replace("''", "'"))
        if kind == "time":
            try:
                return ("value", datetime.fromisoformat(text.replace(" ", "+")))
            except ValueError:
                raise QueryError(f"$filter: {text} is no time") from None
        if kind == "date":
            try:
                return ("value", datetime.fromisoformat(text).replace(tzinfo=UTC))
            except ValueError:
                raise QueryError(f"$filter: {text} is no day") from None
        if kind == "place":
            return ("value", _polygon(text[1:-1]))
        if kind != "word":
            self._at -= 1
            raise QueryError(f"$filter: wanted a property or a value before {self._rest()}")
        if text in ("true", "false", "null"):
            return ("value", {"true": True, "false": False, "null": None}[text])
        if self._peek() == ("sign", "("):
            if text in _TEXT or text in _TIME or text == "now":
                self._at += 1
                inner = () if text == "now" else (self._operand(depth + 1),)
                self._demand(")")
                return ("call", text, *inner)
            if text not in FUNCTIONS and text not in PLACES:
                raise UnsupportedError(f"$filter: the function {text} is not offered here")
            self._at += 1
            first = self._operand(depth + 1)
            self._demand(",")
            second = self._operand(depth + 1)
            self._demand(")")
            return (text, second, first) if text == "substringof" else (text, first, second)
        return ("path", _path(text))


def holds(tree: Expression, value: Callable[[Path], Any]) -> bool:
    """Whether a filter holds, `value` giving the property at a path."""
    kind = tree[0]
    if kind == "and":
        return holds(tree[1], value) and holds(tree[2], value)
    if kind == "or":
        return holds(tree[1], value) or holds(tree[2], value)
    if kind == "not":
        return not holds(tree[1], value)
    left, right = (_value(part, value) for part in tree[1:])
    if kind in PLACES:
        return _inside(left, right)
    if kind in FUNCTIONS:
        if not isinstance(left, str) or not isinstance(right, str):
            return False
        if kind == "startswith":
            return left.startswith(right)
        return left.endswith(right) if kind == "endswith" else right in left
    return _compared(kind, left, right)


def _value(operand: Expression, value: Callable[[Path], Any]) -> Any:
    if operand[0] == "path":
        return value(operand[1])
    if operand[0] == "value":
        return operand[1]
    if operand[0] == "call":
        return _called(operand[1], *(_value(part, value) for part in operand[2:]))
    raise QueryError("$filter: a function yields true or false and is compared with nothing else")


def _called(name: str, *given: Any) -> Any:
    if name == "now":
        return datetime.now(UTC)
    if name in _TEXT:
        return _TEXT[name](given[0]) if isinstance(given[0], str) else None
    moment = _moment(given[0]) if isinstance(given[0], str | datetime) else None
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    if name == "date":
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return getattr(moment, name)


_POLYGON = re.compile(r"\s*(?:SRID=4326;)?\s*POLYGON\s*\(\s*\(([^()]*)\)\s*\)\s*", re.IGNORECASE)


def _polygon(text: str) -> tuple[tuple[float, float], ...]:
    """The corners (longitude, latitude) of a polygon without holes, as WKT writes it."""
    match = _POLYGON.fullmatch(text)
    if match is None:
        raise UnsupportedError(f"$filter: {text[:40]}: wanted POLYGON((longitude latitude, …))")
    try:
        corners = tuple((float(x), float(y)) for x, y in map(str.split, match[1].split(",")))
    except ValueError:
        raise QueryError(f"$filter: {text[:40]}: wanted POLYGON((longitude latitude, …))") from None
    if len(corners) < 4 or corners[0] != corners[-1]:
        raise QueryError("$filter: a polygon has three corners at least, and ends where it began")
    return corners


def _inside(place: Any, corners: Any) -> bool:
    """Whether a place (GeoJSON point) lies in a polygon, by the crossings of a ray to the east."""
    if isinstance(corners, dict):
        place, corners = corners, place
    if not isinstance(place, dict) or not isinstance(corners, tuple):
        return False
    place = place.get("geometry") or place
    if place.get("type") != "Point":
        return False
    x, y = place["coordinates"][:2]
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise(corners):
        if (y1 > y) != (y2 > y):
            crossings += x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
    return crossings % 2 == 1


def _compared(kind: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return {"eq": left is right, "ne": left is not right}.get(kind, False)
    if isinstance(left, bool) or isinstance(right, bool):
        return {"eq": left is right, "ne": left is not right}.get(kind, False)
    if isinstance(left, datetime) is not isinstance(right, datetime):
        left, right = _moment(left), _moment(right)
        if left is None or right is None:
            return False
    number = isinstance(left, int | float)
    if number is not isinstance(right, int | float):
        return kind == "ne"
    if kind == "eq":
        return bool(left == right)
    if kind == "ne":
        return bool(left != right)
    if kind in ("ge", "gt"):
        return bool(left > right or (kind == "ge" and left == right))
    return bool(left < right or (kind == "le" and left == right))


def _moment(given: Any) -> datetime | None:
    if isinstance(given, datetime):
        return given
    try:
        found = datetime.fromisoformat(str(given).partition("/")[0])
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def paths(tree: Expression | None) -> set[Path]:
    """Every property that a filter asks for."""
    if tree is None or tree[0] == "value":
        return set()
    if tree[0] == "path":
        return {tree[1]}
    return set().union(*(paths(part) for part in tree[1:] if isinstance(part, tuple)))


def between(tree: Expression | None, path: Path) -> tuple[datetime | None, datetime | None]:
    """What a filter says of a time at least: [from, to], None for open. What stands in `or` and
    `not` says nothing."""
    if tree is None:
        return None, None
    if tree[0] == "and":
        pairs = [between(part, path) for part in tree[1:]]
        lows = [low for low, _ in pairs if low is not None]
        highs = [high for _, high in pairs if high is not None]
        return max(lows, default=None), min(highs, default=None)
    if tree[0] not in COMPARE:
        return None, None
    kind, left, right = tree
    if right == ("path", path):
        kind, left, right = (
            {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}.get(kind, kind),
            right,
            left,
        )
    if left != ("path", path) or right[0] != "value":
        return None, None
    moment = _moment(right[1])
    low = moment if kind in ("gt", "ge", "eq") else None
    return low, moment if kind in ("lt", "le", "eq") else None


def ordered(
    rows: list[Any], by: tuple[tuple[Path, bool], ...], value: Callable[[Any, Path], Any]
) -> list[Any]:
    """Rows in the wanted order; what has no value comes last, as the database of FROST has it."""
    for path, descending in reversed(by):

        def key(row: Any, path: Path = path) -> tuple[int, Any]:
            found = value(row, path)
            if found is None or (isinstance(found, float) and math.isnan(found)):
                return (2, 0)
            if isinstance(found, int | float):
                return (0, found)
            if isinstance(found, datetime):
                return (0, found.timestamp())
            return (1, str(found))

        known = [row for row in rows if key(row)[0] < 2]
        rest = [row for row in rows if key(row)[0] == 2]
        rows = sorted(known, key=key, reverse=descending) + rest
    return rows
