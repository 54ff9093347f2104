"""US EPA discharge monitoring reports: is a reported value an effluent violation (code E90), and by how much?

A row of an effluent chart holds one limit and the one value that was reported against it. E90 is
the code "DMR, Limited - Numeric Violation". The rules, with how sure each is:

* The limit's qualifier names the state without violation (`<=`, `<`, `>=`, `>`); where it is blank
  the statistical base decides: a minimum is a lower bound, an average or a maximum an upper one.
  (Secondary: help of the nFORM/eDMR software of Windsor Solutions, which follows ICIS-NPDES.)
* The percentage is "the percent by which the DMR value exceeded its limit (or stay) value, as
  generated in ICIS-NPDES" (EPA ECHO, REST services, data element ExceedencePct): so a stay value
  replaces the limit, and a stay without value leaves nothing to exceed.
* |value - limit| / limit in whole percent, ties away from zero; it reproduces all ten official
  percentages that were found (`docs/validation/dmr.md`), two of them ties (7.5 -> 8, 27.5 -> 28).
* Only enforceable limits (`limit_type_code` ENF) give E90; alert and benchmark thresholds are
  counted apart (ECHO, help of the DMR exceedances search).
* A reported qualifier bounds the true value: `<5` against at most 4 does not prove an exceedance,
  `>2419` against at most 399 does. E is an estimate and T "too numerous to count" (ECHO, data
  element DMRValueQualifierCode). (Logic, not text: how ICIS treats `<` was not found.)
* A no-data indicator (NODI) tells why there is no value: there is nothing to compare.
* A limit of zero has no percentage: ICIS writes 99999. (Memory; also used for T without a number,
  and the cap 2147483650 above 2**31. Not met in the data at hand.)
* Reported numbers are compared where both have one unit and are converted in proportion, else the
  values in standard units: those carry the noise of the conversion (8.5228 lb/d -> 3.86935117 kg/d).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from enum import Enum
from typing import Final

E90: Final = "E90"
NO_PERCENTAGE: Final = 99999  # where the limit is zero
LARGEST: Final = 2**31  # above it the official files have 2147483650

REQUIRED: Final = (
    "limit_value_nmbr",
    "limit_value_qualifier_code",
    "limit_value_standard_units",
    "limit_unit_code",
    "statistical_base_type_code",
    "dmr_value_nmbr",
    "dmr_value_qualifier_code",
    "dmr_value_standard_units",
    "dmr_unit_code",
    "nodi_code",
)
"""The columns without which nothing can be judged. Read too, where present: `limit_type_code`,
`stay_type_code`, `stay_value_nmbr`."""


class Reason(Enum):
    """Why a row has the result it has. The text is for people."""

    EXCEEDED = "exceeded"
    WITHIN = "within the limit"
    UNPROVEN = "the reported qualifier leaves open whether the limit is exceeded"
    NO_LIMIT = "no limit, monitoring only"
    STAYED = "the limit is stayed"
    NOT_ENFORCEABLE = "the limit is not an enforceable one"
    NO_DATA = "no value: no-data indicator"
    NO_VALUE = "no value"
    UNREADABLE = "a number or qualifier that cannot be read"
    NO_DIRECTION = "neither qualifier nor statistical base tells which side of the limit is good"
    UNITS = "limit and value have different units and no standard ones"


@dataclass(frozen=True, slots=True)
class Judged:
    """`percentage` (whole per cent over the limit) is None unless `reason` is EXCEEDED."""

    reason: Reason
    percentage: int | None = None

    @property
    def code(self) -> str:
        """`E90` or ""."""
        return E90 if self.reason is Reason.EXCEEDED else ""


class _UnreadableError(Exception):
    pass


def _number(text: str) -> Decimal | None:
    text = text.strip()
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _UnreadableError from None
    if "_" in text or not value.is_finite():
        raise _UnreadableError
    return value


def judge(row: Mapping[str, str]) -> Judged:
    """Judge one row, given by the lower-case column names of an ECHO effluent chart.

    Never raises: a row that cannot be judged says why. Columns that are absent count as empty.

    >>> columns = {"limit_value_nmbr": "10", "limit_value_qualifier_code": "<="}
    >>> judge({**columns, "dmr_value_nmbr": "10.75", "dmr_value_qualifier_code": "="})
    Judged(reason=<Reason.EXCEEDED: 'exceeded'>, percentage=8)
    """
    try:
        return _judge(row)
    except _UnreadableError:
        return Judged(Reason.UNREADABLE)


def _judge(row: Mapping[str, str]) -> Judged:
    def cell(name: str) -> str:
        return row.get(name, "").strip()

    limit, stay = _number(cell("limit_value_nmbr")), _number(cell("stay_value_nmbr"))
    limit_standard = _number(cell("limit_value_standard_units"))
    if stay is not None:
        # The file has the limit in standard units, not the stay: convert in the same proportion.
        if limit and limit_standard is not None:
            with localcontext(prec=40):
                limit_standard = limit_standard * stay / limit
        elif stay != limit:
            limit_standard = None
        limit = stay
    elif cell("stay_type_code"):
        return Judged(Reason.STAYED)
    if limit is None and limit_standard is None:
        return Judged(Reason.NO_LIMIT)
    if cell("limit_type_code").upper() not in ("", "ENF"):
        return Judged(Reason.NOT_ENFORCEABLE)
    if cell("nodi_code"):
        return Judged(Reason.NO_DATA)

    sign = cell("limit_value_qualifier_code")
    if not sign:
        base = cell("statistical_base_type_code").upper()
        if not base:
            return Judged(Reason.NO_DIRECTION)
        sign = ">=" if base == "MIN" else "<="
    if sign not in ("<=", "<", ">=", ">", "="):
        raise _UnreadableError

    value = _number(cell("dmr_value_nmbr"))
    value_standard = _number(cell("dmr_value_standard_units"))
    reported = cell("dmr_value_qualifier_code").upper() or "="
    if reported not in ("=", "<", "<=", ">", ">=", "E", "T"):
        raise _UnreadableError
    if value is None and value_standard is None:
        if reported == "T" and sign in ("<", "<="):
            return Judged(Reason.EXCEEDED, NO_PERCENTAGE)
        return Judged(Reason.NO_VALUE)
    pair = _comparable(
        (value, value_standard),
        (limit, limit_standard),
        cell("dmr_unit_code") == cell("limit_unit_code"),
    )
    if pair is None:
        return Judged(Reason.UNITS)
    v, bound = pair
    exceeded = _exceeded(v, {"E": "=", "T": ">"}.get(reported, reported), bound, sign)
    if exceeded is None:
        return Judged(Reason.UNPROVEN)
    return Judged(Reason.EXCEEDED, percentage(v, bound)) if exceeded else Judged(Reason.WITHIN)


def _comparable(
    value: tuple[Decimal | None, Decimal | None],
    limit: tuple[Decimal | None, Decimal | None],
    same_unit: bool,
) -> tuple[Decimal, Decimal] | None:
    """Value and limit in one unit: as reported where that is the same as in standard units."""
    (v, vs), (b, bs) = value, limit
    standard = None if vs is None or bs is None else (vs, bs)
    if v is None or b is None or not same_unit:
        return standard
    if standard is None:
        return v, b
    # Proportional units: v : b = vs : bs (not so for °F and °C).
    proportional = abs(v * standard[1] - b * standard[0]) <= Decimal("1e-6") * abs(v * standard[1])
    return (v, b) if proportional or b == 0 else standard


def _exceeded(v: Decimal, reported: str, bound: Decimal, sign: str) -> bool | None:
    """Whether a value that is `reported` (=, <, …) `v` breaks `sign bound`; None: it may or not."""
    if sign == "=":
        return v != bound if reported == "=" else None
    if sign in (">", ">="):  # mirrored: a lower bound is an upper bound of the negative
        mirror = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
        return _exceeded(-v, mirror[reported], -bound, mirror[sign])
    surely_over = v > bound or (v == bound and (sign == "<" or reported == ">"))
    if reported in ("<", "<="):
        # The true value is at most v: good where v is, open where v is over.
        surely_good = not surely_over or (v == bound and reported == "<")
        return False if surely_good else None
    if reported in (">", ">="):
        return True if surely_over else None
    return surely_over


def percentage(value: Decimal, limit: Decimal) -> int:
    """Whole per cent by which a value is beyond its limit, above it or below it alike.

    >>> percentage(Decimal("12.75"), Decimal(10)), percentage(Decimal(4), Decimal(5))
    (28, 20)
    """
    if limit == 0:
        return NO_PERCENTAGE
    with localcontext(prec=40):
        share = (abs(value - limit) / abs(limit) * 100).quantize(Decimal(1), ROUND_HALF_UP)
    return 2147483650 if share > LARGEST else int(share)
