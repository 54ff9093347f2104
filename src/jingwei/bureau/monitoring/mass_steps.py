"""How a mass was reckoned, for the reader: its hours, what stands in for which, the sum, the permitted
amount, the verdict; each step with its formula, numbers and source.
"""

from __future__ import annotations

import calendar
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
from django.db.models import Q
from django.utils.translation import gettext as _

from jingwei.analysis import permits, validity
from jingwei.bureau.language import english, table_text
from jingwei.bureau.monitoring import amounts
from jingwei.bureau.monitoring.models import EmissionDay
from jingwei.bureau.monitoring.steps import number
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Medium, PermitAmount, PermitLimit, Point
from jingwei.standards import codes, units

Step = dict[str, str]
Period = PermitAmount.Period
FORMULA = {Medium.AIR: "G = C · Q · 10⁻⁶", Medium.WATER: "G = C · D · 10⁻³"}
CLAUSE = {Medium.AIR: "(33)", Medium.WATER: "(8)"}
VOLUME = {Medium.AIR: "mg/m³", Medium.WATER: "mg/L"}


@dataclass
class Part:
    """Daily masses added up: of a day, a month or a year. `rows`: what they were added up from."""

    start: date
    kg: float = 0.0
    substituted: float = 0.0
    hours: int = 0
    valid: int = 0
    stopped: int = 0
    without: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    top: EmissionDay | None = None
    days: set[date] = field(default_factory=set)

    @property
    def filled(self) -> int:
        return self.hours - self.valid - self.stopped - self.without

    def add(self, row: EmissionDay) -> None:
        self.kg += row.kg
        self.substituted += row.substituted
        self.hours += row.hours
        self.valid += row.valid
        self.stopped += row.stopped
        self.without += row.without
        self.rules.update(row.rules)
        self.days.add(row.day)
        if row.peak is not None and (self.top is None or row.peak > (self.top.peak or 0.0)):
            self.top = row


def days_of(amount: PermitAmount, first: date, last: date) -> list[EmissionDay]:
    """The daily masses that an amount is held against, by day and point."""
    place = (
        Q(point__outlet=amount.outlet_id)
        if amount.outlet_id
        else Q(point__outlet__enterprise=amount.permit.enterprise_id)
    )
    rows = EmissionDay.objects.filter(
        place, factor=amount.factor, day__gte=first, day__lte=last
    ).select_related("point__outlet")
    return list(rows.order_by("day", "point"))


def added(rows: Iterable[EmissionDay], start: date) -> Part:
    """All rows as one part."""
    part = Part(start)
    for row in rows:
        part.add(row)
    return part


def by_month(rows: Iterable[EmissionDay]) -> list[Part]:
    found: dict[date, Part] = {}
    for row in rows:
        start = row.day.replace(day=1)
        found.setdefault(start, Part(start)).add(row)
    return [found[start] for start in sorted(found)]


def last_day(month: date) -> date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


# The steps --------------------------------------------------------------------------------------


def _step(label: str, formula: str, working: str, result: str, source: str, note: str = "") -> Step:
    return {
        "label": label, "formula": formula, "working": working, "result": result, "note": note,
        "source": "; ".join(table_text(part) for part in source.split("; ")),
    }  # fmt: skip


def kilograms(x: float) -> str:
    """A mass as a person reads it: six significant digits."""
    return f"{x:.6g} kg" if abs(x) < 1e6 else f"{x:,.0f} kg"


def _appendix(clause: str) -> str:
    return _("HJ 212-2017 App. D %(clause)s") % {"clause": clause}


def _secondary(source: str) -> str:
    how_sure = _("secondary source")
    return f"{source}; {how_sure}"


def _hours(part: Part) -> Step:
    running = part.hours - part.stopped
    share = f"{100 * part.valid / running:.1f} %" if running else "–"
    return _step(
        _("Hours"),
        _("due = valid + filled + out of operation + without"),
        f"{part.hours} = {part.valid} + {part.filled} + {part.stopped} + {part.without}",
        _("%(share)s of the hours in operation are valid") % {"share": share},
        "HJ 75-2017; HJ 356-2019",
        _("%(n)d hours have no mass: nothing may stand in for them") % {"n": part.without}
        if part.without
        else "",
    )


def _sums(part: Part, medium: str) -> list[Step]:
    measured = part.kg - part.substituted
    rules = ", ".join(f"{rule}: {n} h" for rule, n in sorted(part.rules.items()))
    steps = [
        _step(
            _("Mass of the valid hours"), f"Σ G, {FORMULA[Medium(medium)]}", f"n = {part.valid}",
            kilograms(measured), _appendix(CLAUSE[Medium(medium)]),
        ),
    ]  # fmt: skip
    if part.filled:
        air = medium == Medium.AIR
        steps.append(
            _step(
                _("Filled hours"),
                _("largest rate of the 180, 720 or 2160 valid hours before") if air
                else _("mean of the window before, of what is missing"),
                rules,
                kilograms(part.substituted),
                _secondary("HJ 75-2017" if air else "HJ 356-2019"),
                _("for the mass alone, never for judging a concentration"),
            )
        )  # fmt: skip
    steps.append(
        _step(
            _("Sum"), "ΣG", f"{number(_short(measured))} + {number(_short(part.substituted))}",
            kilograms(part.kg), _appendix("(34)"),
        )
    )  # fmt: skip
    return steps


def _short(x: float) -> float:
    return float(f"{x:.6g}")


def _beside(x: float, other: float) -> str:
    """Six significant digits, and as many more as tell it from the other."""
    digits = 6
    while x != other and digits < 15 and f"{x:.{digits}g}" == f"{other:.{digits}g}":
        digits += 1
    return number(float(f"{x:.{digits}g}"))


def _permitted(amount: PermitAmount, permitted: float) -> Step:
    unit = "kg/h" if amount.period == Period.RATE else "kg"
    same = codes.symbol(amount.unit) == unit
    return _step(
        _("Permitted"), "",
        "" if same else f"{number(float(amount.value))} {codes.symbol(amount.unit)}",
        f"≤ {number(_short(permitted))} {unit}",
        amount.source,
        "" if amount.verified == PermitLimit.Verified.VERIFIED else amount.get_verified_display(),
    )  # fmt: skip


def _verdict(value: float, permitted: float, unit: str, note: str, source: str) -> Step:
    over = value > permitted
    said = [note] if note else []
    if over:
        more = _("%(excess)s more than permitted") % {"excess": f"{value - permitted:.6g} {unit}"}
        said.insert(0, more)
    return _step(
        _("Verdict"), "ΣG > G₀" if unit == "kg" else "G > G₀",
        f"{_beside(value, permitted)} {'>' if over else '≤'} {_beside(permitted, value)}",
        _("Over the permitted amount") if over else _("Within"),
        source, ("; " if english() else "；").join(said),
    )  # fmt: skip


def of_amount(line: amounts.Line, part: Part, medium: str, complete: bool) -> list[Step]:
    """The steps from the hours of a month or year to the verdict on its amount. `complete`: the
    period is over."""
    said = [] if complete else [_("the period is not over: so far")]
    if part.without:
        said.append(_("%(n)d hours without mass are not in the sum") % {"n": part.without})
    note = ("; " if english() else "；").join(said)
    rows = [
        _hours(part),
        *_sums(part, medium),
        _permitted(line.amount, line.permitted),
        _verdict(
            part.kg, line.permitted, "kg", note, _("State Council Order 736, discharge permits")
        ),
    ]
    if (year := line.year) is not None and part.days and not complete:
        left = (366 if calendar.isleap(year.year) else 365) - year.covered
        pace = year.total / year.covered if year.covered else 0.0
        rows.append(
            _step(
                _("By the year's end"), _("sum + days without data yet × mean daily pace"),
                f"{number(_short(year.total))} + {number(_short(left))} × {number(_short(pace))}",
                kilograms(year.projected), _("own method of this program"),
                _("%(low)s to %(high)s at the slowest and the fastest pace of 30 days")
                % {"low": kilograms(year.low), "high": kilograms(year.high)},
            )
        )  # fmt: skip
    return rows


def of_rate(
    amount: PermitAmount, permitted: float, top: EmissionDay | None, medium: str
) -> list[Step]:
    """The steps from the highest measured hour to the verdict on the emission rate."""
    if top is None or top.peak is None:
        return [_permitted(amount, permitted)]
    return [
        _step(
            _("Highest hour"), FORMULA[Medium(medium)],
            f"{top.point} {amounts.timezone.localtime(top.peak_at):%Y-%m-%d %H:%M}",
            f"{_beside(top.peak, permitted)} kg/h", _appendix(CLAUSE[Medium(medium)]),
            _("of valid hours that no mark exempts; filled hours are never judged"),
        ),
        _permitted(amount, permitted),
        _verdict(top.peak, permitted, "kg/h", "", amount.source),
    ]  # fmt: skip


# A day, hour by hour ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Hour:
    """One hour: what was measured (None: nothing) and whether it is valid, what it was reckoned
    with, the mass, how it came about, and what a permitted rate says of it."""

    time: datetime
    conc: float | None
    conc_valid: bool
    flow: float | None
    flow_valid: bool
    used: str
    kg: float | None
    state: str  # "measured", "filled", "stopped" or "without"
    how: str
    over: bool | None


def _number(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def hours_of(one: amounts.Reckoned, day: date, medium: str, rate: float | None) -> list[Hour]:
    """The hours of a day. `rate`: the permitted kg/h in force, None where there is none."""
    made, given = one.made, one.given
    out = []
    for i in [i for i, d in enumerate(one.days) if d == day]:
        state, kg = int(made.state[i]), _number(made.kg[i])
        used = ""
        if state == validity.Hour.VALID:
            key, how = "measured", _("measured")
        elif state == validity.Hour.STOPPED:
            key, how = "stopped", _("out of operation")
        elif kg is not None:
            key, how = "filled", _("filled by %(rule)s") % {
                "rule": validity.RULES[int(made.rule[i])]
            }  # fmt: skip
            if medium == Medium.WATER:
                used = f"{made.conc[i]:.5g} {VOLUME[Medium.WATER]} × {made.flow[i]:.5g} m³/h"
        else:
            key = "without"
            how = (
                _("fewer than 75 % of the quarter's hours are valid: nothing stands in")
                if made.rule[i] == validity.NOT_CAPTURED
                else _("no valid hours before: nothing stands in")
            )
        judged = state == validity.Hour.VALID and math.isfinite(one.rate[i])
        out.append(
            Hour(
                time=one.hours[i],
                conc=_number(given.conc[i]),
                conc_valid=bool(given.usable[i]),
                flow=_number(given.flow[i]),
                flow_valid=bool(given.flowed[i]),
                used=used,
                kg=kg,
                state=key,
                how=how,
                over=bool(one.rate[i] > rate) if rate is not None and judged else None,
            )
        )
    return out


def of_day(one: amounts.Reckoned, hours: list[Hour], day: date, medium: str) -> list[Step]:
    """The steps of a day's mass."""
    part = Part(day, hours=len(hours))
    for i, hour in zip([i for i, d in enumerate(one.days) if d == day], hours, strict=True):
        part.kg += hour.kg or 0.0
        part.valid += hour.state == "measured"
        part.stopped += hour.state == "stopped"
        part.without += hour.state == "without"
        if hour.state == "filled":
            part.substituted += hour.kg or 0.0
            part.rules[validity.RULES[int(one.made.rule[i])]] += 1
    steps = [_hours(part)]
    if medium == Medium.AIR:
        start = amounts.quarter_start(day)
        end = permits.period_end(start, "quarter")
        of_quarter = np.array([start <= d <= end for d in one.days])
        share = validity.capture_rate(one.made.state[of_quarter])
        worked = int((one.made.state[of_quarter] != validity.Hour.STOPPED).sum())
        steps.append(
            _step(
                _("Valid capture rate of the quarter"),
                _("valid hours / hours in operation"),
                f"{int((one.made.state[of_quarter] == validity.Hour.VALID).sum())} / {worked}",
                "–" if share is None else f"{100 * share:.1f} %",
                _secondary("HJ 75-2017"),
                _("it decides how far back the filling looks"),
            )
        )
    return [*steps, *_sums(part, medium)]


def rate_of(point: Point, factor: str, day: date) -> tuple[PermitAmount, float] | None:
    """The permitted emission rate of the point's outlet on a day, in kg/h; the strictest where the
    outlet and the enterprise have one."""
    if point.outlet is None:
        return None
    rows = force.amounts(
        PermitAmount.objects.filter(outlet=point.outlet, factor=factor, period=Period.RATE),
        day,
    )
    found = [
        (row, float(row.value) * scale)
        for row in rows
        if (scale := units.scale(row.unit, "kg/h")) is not None
    ]
    return min(found, key=lambda x: x[1], default=None)


def span_of(year: int, month: int | None, today: date) -> tuple[date, date]:
    """First and last day of a month or year, the last of this year being yesterday."""
    first = date(year, month or 1, 1)
    last = last_day(date(year, month or 12, 1))
    return first, min(last, today - timedelta(days=1))
