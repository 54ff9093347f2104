"""Taylor diagrams: forecasts against what came, stations against one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models.fields.json import KeyTransform
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from jingwei.analysis.air import statistics
from jingwei.bureau.air import readings
from jingwei.bureau.air.analysis import figure
from jingwei.bureau.air.forecast_selectors import HINDSIGHT, LATE, SPANS
from jingwei.bureau.air.forecasting import FACTORS, HOUR, MEDIAN
from jingwei.bureau.air.models import State, StationForecast
from jingwei.bureau.monitoring.observations import day_start, value_unit
from jingwei.bureau.registry.models import Point
from jingwei.standards import units

Floats = npt.NDArray[np.float64]
LEAST = 24  # pairs; fewer say nothing
KINDS = ("forecast", "damped", "kept")


@dataclass(frozen=True)
class Row:
    """One mark of the diagram: `name` (hours ahead or a station), `kind` ("forecast", "damped",
    "kept" or "station"), its statistics and the root mean square error; `found` None: too few pairs
    or a series that does not move."""

    name: str
    kind: str
    pairs: int
    found: statistics.Taylor | None

    @property
    def rmse(self) -> float | None:
        f = self.found
        return None if f is None else float(np.hypot(f.centred_rms, f.bias))

    @property
    def ratio(self) -> float | None:
        return None if self.found is None else self.found.model / self.found.measured


def words() -> dict[str, str]:
    return {
        "forecast": _("This forecast"),
        "damped": _("Damped persistence"),
        "kept": _("Persistence"),
        "station": _("Station"),
    }


def pollutant(code: str) -> str | None:
    """The forecast's name of a factor; None where it is not forecast."""
    return next((name for name, factor in FACTORS.items() if factor == code), None)


@dataclass(frozen=True)
class Pairs:
    """Forecasts of one station and pollutant with what came, µg/m³: `lead` (n,), `true` (n,), and by
    kind (n,); `runs`, of them `late` hindcasts."""

    lead: npt.NDArray[np.int64]
    true: Floats
    told: dict[str, Floats]
    runs: int
    late: int


def pairs(station: Point, name: str, first: date, last: date, now: datetime) -> Pairs:
    """All runs that started from `first` to `last` (local days)."""
    runs = list(
        StationForecast.objects.filter(
            station=station, forecast__state=State.DONE, forecast__start__gte=day_start(first),
            forecast__start__lt=day_start(last + timedelta(days=1)),
        )
        .exclude(HINDSIGHT)
        .order_by("forecast__start")
        .annotate(told=KeyTransform(name, KeyTransform("series", "result")))
        .values_list("forecast__start", "forecast__asked", "forecast__finished", "told")
    )  # fmt: skip
    code = FACTORS[name]
    h = readings.hours(station, [code], first, last + timedelta(days=3), now)
    scale = units.scale(value_unit(code, station), "µg/m³") or np.nan
    measured = scale * h.factors[code].value
    leads, true, kinds, used, late = [], [], {k: [] for k in KINDS}, 0, 0
    for start, asked, finished, series in runs:
        if not series:
            continue
        used += 1
        late += (finished or asked) - start - HOUR > LATE
        count = len(series["q"])
        at = round((start - h.start) / HOUR) + 1 + np.arange(count)
        leads.append(np.arange(1, count + 1))
        true.append(np.where(at < len(measured), measured[np.minimum(at, len(measured) - 1)], np.nan))  # fmt: skip
        kinds["forecast"].append([q[MEDIAN] for q in series["q"]])
        kinds["damped"].append(series["damped"])
        kinds["kept"].append(np.full(count, np.nan if series["last"] is None else series["last"]))
    if not leads:
        nothing = np.zeros(0)
        return Pairs(np.zeros(0, np.int64), nothing, dict.fromkeys(KINDS, nothing), 0, 0)
    return Pairs(
        np.concatenate(leads), np.concatenate(true),
        {k: np.concatenate([np.asarray(v, float) for v in parts]) for k, parts in kinds.items()},
        used, late,
    )  # fmt: skip


def _rows(p: Pairs, low: int, high: int, name: str, kinds: Sequence[str]) -> list[Row]:
    """All kinds over the same hours: those where each of them and the truth is known."""
    use = (p.lead >= low) & (p.lead <= high) & np.isfinite(p.true)
    for kind in kinds:
        use &= np.isfinite(p.told[kind])
    return [_row(name, kind, p.true[use], p.told[kind][use]) for kind in kinds]


def _row(name: str, kind: str, true: Floats, told: Floats) -> Row:
    use = np.isfinite(true) & np.isfinite(told)
    count = int(use.sum())
    try:
        if count < LEAST:
            return Row(name, kind, count, None)
        return Row(name, kind, count, statistics.taylor(true[use], told[use]))
    except ValueError:
        return Row(name, kind, count, None)


def by_lead(p: Pairs) -> list[Row]:
    """Spans of hours ahead: the forecast, damped persistence and persistence."""
    return [r for a, b in SPANS for r in _rows(p, a, b, f"{a}–{b} h", KINDS)]


def by_station(stations: Sequence[Point], found: Sequence[Pairs], low: int, high: int) -> list[Row]:
    """Stations: the forecast and damped persistence of one span."""
    return [
        r
        for s, p in zip(stations, found, strict=True)
        for r in _rows(p, low, high, s.name, KINDS[:2])
    ]


def between(one: readings.Hours, others: Sequence[readings.Hours], code: str) -> list[Row]:
    """The hours of other stations against those of `one`, in its unit."""
    true = one.factors[code]
    rows = []
    for h in others:
        scale = units.scale(h.factors[code].unit, true.unit)
        told = h.factors[code].value * (scale if scale else np.nan)
        rows.append(_row(h.point.name, "station", true.value, told))
    return rows


def picture(rows: Sequence[Row], label: str) -> dict[str, Any]:
    """Marks over the measured standard deviation: ratio of deviations, correlation."""
    marks = [
        {
            "name": r.name, "kind": r.kind, "ratio": figure(r.ratio), "pairs": r.pairs,
            "r": figure(r.found.correlation), "rms": figure(r.found.centred_rms / r.found.measured),
        }
        for r in rows
        if r.found is not None
    ]  # fmt: skip
    return {
        "label": label,
        "marks": marks,
        "kinds": [[k, w] for k, w in words().items() if any(m["kind"] == k for m in marks)],
        "words": {
            "measured": pgettext("Taylor diagram", "Measured"),
            "correlation": _("Correlation"),
            "deviation": _("Standard deviation over the measured one"),
            "rms": _("Centred difference (RMS) over the measured deviation"),
            "pairs": _("Pairs"),
        },
    }
