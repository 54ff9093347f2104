"""What stands in CP: items with their fields, and parameters.

A device sends the same names in the same order again and again. What names and separators mean is
therefore learned once from a CP that was read part by part without any deviation (`_Layout`), and
the next CP of that layout is only cut into its values, whose numbers are checked; whatever is not
sound is read part by part, so that both say the same of every CP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jingwei.hj212.catalogue import NUMERIC_FIELDS, PARAMETERS, TEXT_FIELDS
from jingwei.hj212.message import Item, LateItems
from jingwei.hj212.values import number

_NAME: Final = re.compile(r"\w[\w.]*(?:-[\w.]+)*")
_INFO_FIELD: Final = re.compile(r"i[0-9]{5}")
_LOG: Final = re.compile(r"=//(.*?)//(?=\s*(?:[;,]|\Z))", re.DOTALL)
_ELLIPSES: Final = ("…", "⋯", "...")
_DISORDER: Final = "Min, Avg and Max are out of order"

# Separators within a log text, while CP is taken apart. Lone surrogates cannot come out of a
# decoder, so they cannot be confused with anything that was sent.
_HIDE: Final = {ord(";"): 0xD800, ord(","): 0xD801}
_SHOW: Final = {hidden: shown for shown, hidden in _HIDE.items()}


class Problems:
    """Deviations by name; the first detail of each is kept and the others counted."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, int]] = {}

    def add(self, name: str, detail: str = "") -> None:
        first, more = self._found.get(name, (detail, -1))
        self._found[name] = (first, more + 1)

    def texts(self) -> tuple[str, ...]:
        if not self._found:
            return ()
        return tuple(
            name
            + (f": {short(detail)}" if detail else "")
            + (f" (and {more} more)" if more else "")
            for name, (detail, more) in self._found.items()
        )


def short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


@dataclass(slots=True)
class Content:
    """What stands in a data segment; `error` set where it cannot be used. `late`: the items where
    the layout was known, instead of `items`."""

    header: dict[str, str]
    items: list[Item]
    params: dict[str, str]
    data_time: str | None
    error: str | None
    late: LateItems | None = None

    def all(self) -> Sequence[Item]:
        return tuple(self.items) if self.late is None else self.late


# ── names of CP, learned once ──────────────────────────────────────────────────────────────────

# name as sent -> (code or "", field or parameter, whether numeric, None or (problem, detail))
_Known = tuple[str, str, bool, tuple[str, str] | None]
_known: dict[str, _Known] = {}
_KNOWN_LIMIT: Final = 16384  # names, of at most 64 characters


def _learn(name: str) -> _Known | None:
    """What a name before '=' in CP means; None where it is no name. The memory is bounded."""
    bare = name.strip()
    if _NAME.fullmatch(bare) is None:
        return None
    problem = ("spaces", bare) if bare != name else None
    code, dash, field = bare.rpartition("-")
    numeric = False
    if dash:
        numeric = field in NUMERIC_FIELDS
        if not numeric and field not in TEXT_FIELDS and _INFO_FIELD.fullmatch(field) is None:
            problem = ("field not in the standard", field)
    elif bare not in PARAMETERS:
        problem = ("parameter not in the standard", bare)
    known = (code, field, numeric, problem)
    if len(name) <= 64:
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        _known[name] = known
    return known


# ── layouts, learned once ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Layout:
    """`time`: where DataTime stands; `items`: code, fields, first and last value of each item;
    `numbers`: which values are numbers; `spans`: code, places of Min, Max and
    Avg (-1: none) among them."""

    time: int
    items: tuple[tuple[str, tuple[str, ...], int, int], ...]
    numbers: tuple[int, ...]
    spans: tuple[tuple[str, int, int, int], ...]


_layouts: dict[tuple[bytes, tuple[str, ...]], _Layout] = {}
_LAYOUTS: Final = 2048
_WIDTH: Final = 256  # names of a layout
_NAMES: Final = bytes(set(range(256)) - set(b";,="))  # what is no separator
_REGULAR: Final = re.compile(rb"=(?:[;,]=)*")


def _cut(cp: str) -> tuple[tuple[bytes, tuple[str, ...]], list[str]]:
    """The layout's key and the values, where separators are regular."""
    parts = cp.replace(";", "=").replace(",", "=").split("=")
    return (cp.encode().translate(None, _NAMES), tuple(parts[::2])), parts[1::2]


def _fits(layout: _Layout, values: list[str], content: Content, problems: Problems) -> bool:
    """Read the values of a CP of this layout; False where one is not sound (nothing is read)."""
    try:
        numbers = [float(values[i]) for i in layout.numbers]
    except ValueError:
        return False
    total = sum(numbers)
    if total - total != 0.0:  # NaN or infinite
        return False
    for code, low, high, mean in layout.spans:
        bottom, top = numbers[low], numbers[high]
        if bottom > top or (mean >= 0 and not bottom <= numbers[mean] <= top):
            problems.add("implausible", f"{code}: {_DISORDER}")
    if layout.time >= 0:
        content.data_time = values[layout.time]
    content.late = LateItems(layout.items, values)
    return True


def _learn_layout(key: tuple[bytes, tuple[str, ...]], content: Content) -> None:
    """Remember how a CP was read that deviates in nothing and holds items and DataTime alone."""
    separators, names = key
    if content.params or len(names) > _WIDTH or _REGULAR.fullmatch(separators) is None:
        return
    time = names.index("DataTime") if "DataTime" in names else -1
    at = 0
    items: list[tuple[str, tuple[str, ...], int, int]] = []
    numbers: list[int] = []
    spans: list[tuple[str, int, int, int]] = []
    for item in content.items:
        at += at == time
        fields = tuple(item.fields)
        if names[at : at + len(fields)] != tuple(f"{item.code}-{field}" for field in fields):
            return  # in another order than it came
        items.append((item.code, fields, at, at + len(fields)))
        place = {}
        for field in fields:
            if field in NUMERIC_FIELDS:
                place[field] = len(numbers)
                numbers.append(at)
            at += 1
        if "Min" in place and "Max" in place:
            spans.append((item.code, place["Min"], place["Max"], place.get("Avg", -1)))
    if at + (at == time) != len(names):
        return
    if len(_layouts) >= _LAYOUTS:
        _layouts.clear()
    _layouts[key] = _Layout(time, tuple(items), tuple(numbers), tuple(spans))


# ── CP ─────────────────────────────────────────────────────────────────────────────────────────


def read_cp(cp: str, content: Content, problems: Problems) -> None:
    """Takes CP apart: `;` between items and parameters, `,` between the fields of one item."""
    spaced = " " in cp or "\t" in cp or "\n" in cp or "\r" in cp
    if spaced and cp != cp.strip():
        problems.add("spaces", "beside '&&'")
        cp = cp.strip()
    if cp.endswith(_ELLIPSES) and "-Info=" not in cp:
        problems.add("ellipsis", "CP ends with '…'")
        cp = cp.rstrip("….⋯").rstrip()
    if not cp:
        return
    logs = "=//" in cp
    if logs:
        cp = _LOG.sub(lambda found: found.group().translate(_HIDE), cp)
    # float() takes more than the standard's numbers; only these can hold what it would mistake.
    careful = spaced or not cp.isascii() or "_" in cp
    key = None
    if not careful and not logs:
        key, values = _cut(cp)
        layout = _layouts.get(key)
        if layout is not None and _fits(layout, values, content, problems):
            return
    _read_parts(cp, content, problems, spaced=spaced, logs=logs, careful=careful)
    if key is not None and content.error is None and not problems.texts():
        _learn_layout(key, content)


def _read_parts(
    cp: str, content: Content, problems: Problems, *, spaced: bool, logs: bool, careful: bool
) -> None:
    items = content.items
    names = _known
    code = ""  # of the item that `fields` belong to
    fields: dict[str, str] = {}
    for group in cp.split(";"):
        fresh = True  # at the beginning of a group
        here: dict[str, dict[str, str]] | None = None  # the group's items, when it has several
        for part in group.split(","):
            name, equals, value = part.partition("=")
            known = names.get(name) or _learn(name)
            if known is None or not equals:
                if part.strip():
                    content.error = content.error or f"ungrammatical: {short(part)!r} in CP"
                else:
                    problems.add("empty part", "two separators in a row, or one at the end")
                continue
            this, field, numeric, problem = known
            if problem is not None:
                problems.add(*problem)
            if spaced and value != value.strip():
                problems.add("spaces", name.strip())
                value = value.strip()
            if logs:
                value = value.translate(_SHOW)
            if not this:
                _param(field, value, content, problems)
                continue
            if fresh or this != code:
                if fresh:
                    again = this == code and field not in fields
                    if again:
                        problems.add("';' inside an item", this)
                else:
                    if here is None:
                        here = {code: fields}
                    again = this in here
                    if again:
                        fields = here[this]
                    else:
                        problems.add("',' between items", this)
                if not again:
                    if this == code:
                        problems.add("given twice", f"{this}-{field}")
                    fields = {}
                    items.append(Item(this, fields))
                    if here is not None:
                        here[this] = fields
                code = this
                fresh = False
            if field in fields:
                problems.add("given twice", f"{this}-{field}")
                fields = {}
                items.append(Item(this, fields))
            fields[field] = value
            if numeric:
                try:
                    amount = float(value)
                    sound = amount - amount == 0.0 and not (careful and number(value) is None)
                except ValueError:
                    sound = False
                if not sound:
                    problems.add("not a number", f"{this}-{field}={value}")
    for item in items:
        fields = item.fields
        low, high = fields.get("Min"), fields.get("Max")
        if low is not None and high is not None:
            try:
                bottom, top = float(low), float(high)
                mean = fields.get("Avg")
                if bottom > top or (mean is not None and not bottom <= float(mean) <= top):
                    problems.add("implausible", f"{item.code}: {_DISORDER}")
            except ValueError:
                continue  # named above


def _param(name: str, value: str, content: Content, problems: Problems) -> None:
    if name == "DataTime":
        if content.data_time is None:
            content.data_time = value
        elif content.data_time != value:
            content.error = content.error or "ungrammatical: two different DataTime in CP"
        else:
            problems.add("given twice", "DataTime")
    elif name in content.params:
        content.params[name] += "," + value
    else:
        content.params[name] = value
