"""Which stretch of a measured series an instrument of the demo replays, and how it is scaled.

The series are real; where they begin and by how much they are multiplied is chosen, so that a
fictional outlet tells its story in the 30 days before the load (`catalogue.Story`): most comply,
some were over a limit for a few hours. Chosen means: of all beginnings of the series (in a fixed
order that starts at a place given by the device's number) the first one whose highest few values
lie where the story wants them; the scale then puts the limit between these and the rest. Scale
and beginning are stored with the point and shown on its page.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jingwei.demo.catalogue import KINDS, Kind, LimitKey, Outlet, Pollutant, Story
from jingwei.telemetry import replay

Floats = npt.NDArray[np.float64]
FURNACE = "a01901"
DAYS = 30  # of history before the load
AHEAD = 7  # days after the load in which a quiet outlet stays quiet
DECIMALS = {"w21011": 3, "w21003": 2, "w01018": 1}


class Words(NamedTuple):
    """One sentence in English and in Chinese."""

    en: str
    zh: str

    def __add__(self, other: object) -> Words:
        if not isinstance(other, Words):
            return NotImplemented
        return Words(f"{self.en} {other.en}", self.zh + other.zh)


AS_MEASURED = Words(
    "As measured, at the same month, day and hour of the measured year.",
    "原始实测值，取实测年份的同月同日同时。",
)
FAN = Words(
    "The fan's current was computed from the measured electricity (10 kV, power factor 0.85, "
    "twice the works).",
    "风机电流由实测电量换算（10 kV，功率因数 0.85，按两倍规模）。",
)
SILENT = Words(
    "The logger is silent from 20 hours before the load for ten days.",
    "数采仪自载入前 20 小时起停发十天。",
)
BETWEEN = Words(
    "Inside a measured step the value runs in a straight line with the step's mean.",
    "实测步长之内按直线变化，步长均值等于实测值。",
)


LONG = 170  # days of history of the outlet whose operation the detectors learn
# Where that history begins in the series, on the first local midnight: its CO follows the operation
# well there, whatever the hour of the load.
LONG_ROW = 5843
PUMP = "g10401"  # current of the slurry pump of the desulphurisation
LOCAL_DAY = 86400


def past(plan: Outlet) -> int:
    """Days of history of an outlet."""
    return LONG if plan.tamper == "low" else DAYS


def tampered(
    plan: Outlet, st: str, now: datetime
) -> tuple[tuple[replay.Altered, ...], Words | None]:
    """What was done to the data of an outlet for the demo, whole local days before the load, and how
    its page says so."""
    today = replay.floor(now, "day")

    def span(
        factor: str, days: float, hours: float, act: Any, amount: float = 0.0
    ) -> replay.Altered:
        begin = today - round(days * LOCAL_DAY)
        return replay.Altered(factor, begin, begin + round(hours * 3600), act, amount)

    key = (plan.tamper, st)
    if key == ("low", "31"):
        return (span("a24088", 10, 168, "scale", 0.4),), Words(
            "Demo injection: for a week NMHC was reported at 40 % of what was measured.",
            "演示注入：有一周非甲烷总烃按实测值的 40% 上报。",
        )
    if key == ("copied", "31"):
        return (span("a21002", 6, 40, "copy", 5 * LOCAL_DAY),), Words(
            "Demo injection: for 40 hours the NOx of five days before was reported again.",
            "演示注入：有 40 小时把五天前的氮氧化物数据重新上报。",
        )
    if key == ("stuck", "31"):
        return (span("a21002", 10.6, 14, "hold"),), Words(
            "Demo injection: the NOx analyser hung for 14 hours (a fault, nobody's deed).",
            "演示注入：氮氧化物分析仪死机 14 小时（设备故障，非人为）。",
        )
    if key == ("idle", "51"):
        return (span(PUMP, 4.4, 11, "scale", 0.01),), Words(
            "Demo injection: for eleven hours the slurry pump of the desulphurisation stood still.",
            "演示注入：脱硫浆液循环泵停运 11 小时。",
        )
    return (), None


class PlanError(RuntimeError):
    """No stretch of a series tells the wanted story; the text says which."""


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])


def _column(series: replay.Series, name: str) -> Floats:
    return np.asarray(series.columns[name].values, dtype=np.float64)


def runs(over: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], over.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _fits(story: Story, over: npt.NDArray[np.bool_], hourly: bool) -> bool:
    """Whether the steps over the limit in the window before the load tell the story."""
    found = runs(over)
    n = len(over)
    if not hourly:  # daily values: whole days; the last one ended at the last midnight
        last = found[-1][1]
        return n - last == 0 if story == "recent" else n - last >= 4
    if any(b - a > 6 for a, b in found):
        return False
    a, b = found[-1]
    if story == "ongoing":
        return b == n and b - a >= 2
    if story == "recent":
        return 4 <= n - b <= 40 and b - a >= 2
    return n - b > 72


def outlet(
    library: replay.Library, mn: str, plan: Outlet, now: datetime
) -> tuple[tuple[replay.Channel, ...], Words]:
    """The channels of an outlet's device, and how they were chosen (shown on the point's page)."""
    kind = KINDS[plan.kind]
    series = library[kind.series]
    size = len(series)
    hourly = series.step == 3600
    steps = past(plan) * 86400 // series.step
    ahead = AHEAD * 86400 // series.step
    # The first step of the window: the window ends with the last step that is complete now.
    end = replay.floor(now, "hour" if hourly else "day") + replay.OFFSET
    first = series.index(end - steps * series.step)
    window = (first + np.arange(steps + ahead)) % size

    limits = _hardest(kind)
    oxygen = _oxygen(kind, series)

    def judged(pollutant: Pollutant) -> Callable[[int, int], Floats]:
        raw = _column(series, pollutant.column)
        reference = _reference(limits[pollutant.factor])

        def values(shift: int, base: int) -> Floats:
            """What is compared with the limit at scale 1, in window and time ahead."""
            v = raw[(window + shift) % size]
            if reference is None or oxygen is None:
                return v
            o2 = oxygen[(window + base) % size]
            return np.asarray(v * (21 - reference) / (21 - o2))

        return values

    base = _seed(mn + "base") % size
    if past(plan) == LONG:
        midnight = replay.floor(now, "day") + replay.OFFSET - LONG * LOCAL_DAY
        base = (LONG_ROW - series.index(midnight)) % size
    told = next((p for p in kind.pollutants if p.factor == plan.over), None)
    scales: dict[str, tuple[float, int]] = {}
    if told is not None and plan.story in ("ongoing", "recent", "past"):
        values = judged(told)
        shift, threshold = _search(mn, plan.story, hourly, size, steps, base, told.own, values)
        if not told.own:
            base = shift
        period = "hour" if hourly else "day"
        over = next(k for k in kind.limits if (k.factor, k.period) == (told.factor, period))
        limit = float(over.row().value)
        scales[told.factor] = (float(f"{limit / threshold:.6g}"), shift)
    for pollutant in kind.pollutants:
        if pollutant.factor in scales:
            continue
        shift = _seed(mn + pollutant.factor) % size if pollutant.own else base
        peak = float(np.nanmax(judged(pollutant)(shift, base)))
        limit = float(limits[pollutant.factor].row().value)
        # 0.94: room for a rounded value of the day's or a neighbouring hour's slope
        share = pollutant.share * (0.8 + 0.2 * (_seed(mn + pollutant.factor + "share") % 100) / 100)
        scales[pollutant.factor] = (float(f"{limit * share / peak:.6g}"), shift)

    channels = [
        replay.Channel(
            factor=p.factor,
            series=kind.series,
            column=p.column,
            scale=scales[p.factor][0],
            shift=scales[p.factor][1],
            decimals=DECIMALS.get(p.factor, 2),
            reference_o2=_reference(limits[p.factor]),
            mass=True,
        )
        for p in kind.pollutants
    ]
    channels += [
        replay.Channel(
            f, kind.series, c, scale, round(offset, 6), base, digits, None, f in replay.FLOWS
        )
        for f, c, scale, offset, digits in kind.others
    ]
    if plan.kind == "cold incinerator":
        heat = _column(series, "TAT")[(window[:steps][-72:] + base) % size]
        channels = [_cold(c, heat) if c.factor == FURNACE else c for c in channels]
    return tuple(channels), _words(plan)


def _cold(channel: replay.Channel, heat: Floats) -> replay.Channel:
    """A furnace temperature that in two hours of the last three days lies below 850 °C, else up to
    950 °C."""
    low = float(np.sort(heat)[1:3].mean())
    scale = round(100 / max(1.0, float(heat.max()) - low), 3)
    return dataclasses.replace(channel, scale=scale, offset=round(850 - scale * low, 3))


def _hardest(kind: Kind) -> dict[str, LimitKey]:
    """For each factor the limit that scaling aims at: the one with the lowest value."""
    found: dict[str, LimitKey] = {}
    for key in kind.limits:
        if key.factor not in found or key.row().value < found[key.factor].row().value:
            found[key.factor] = key
    return found


def _reference(key: LimitKey) -> float | None:
    if key.reference_o2 is not None:
        return key.reference_o2
    told = key.row().reference_o2
    return float(told) if told is not None else None


def _oxygen(kind: Kind, series: replay.Series) -> Floats | None:
    for factor, column, scale, offset, _ in kind.others:
        if factor == replay.OXYGEN:
            return np.asarray(scale * _column(series, column) + offset)
    return None


def _search(
    mn: str,
    story: Story,
    hourly: bool,
    size: int,
    steps: int,
    base: int,
    own: bool,
    values: Callable[[int, int], Floats],
) -> tuple[int, float]:
    """The first shift whose highest steps tell the story, and a threshold just below them."""
    start = _seed(mn + "story")
    count = (4 + start % 5) if hourly else (1 + start % 2)  # steps over the limit in the window
    for number in range(size):
        shift = (start + number * 7919) % size  # a prime: far from one try to the next
        v = values(shift, base if own else shift)
        known = np.sort(v[:steps][~np.isnan(v[:steps])])
        if len(known) <= count or known[-count] < 1.03 * known[-count - 1]:
            continue
        threshold = float((known[-count] + known[-count - 1]) / 2)
        if _fits(story, v[:steps] > threshold, hourly) and np.nanmean(v[steps:] > threshold) < 0.03:
            return shift, threshold
    raise PlanError(f"{mn}: no stretch of the series tells {story!r}")


def _words(plan: Outlet) -> Words:
    if plan.story in ("ongoing", "recent", "past"):
        return Words(
            "Beginning and scale were chosen for the demo: the highest values of the 30 days "
            f"before the load lie over the limit of {plan.over}.",
            f"起点和比例为演示选定：载入前 30 天内 {plan.over} 的最高几个值高于限值。",
        )
    return Words(
        "The scale was chosen for the demo: no value of the 30 days before the load is over a "
        "limit.",
        "比例为演示选定：载入前 30 天内的值均不超过限值。",
    )


def station(name: str) -> tuple[replay.Channel, ...]:
    """The channels of an air station: as measured, in the units of `standards.codes.unit`."""
    series = f"prsa_beijing/{name}"

    def channel(factor: str, column: str, scale: float = 1.0, decimals: int = 1) -> replay.Channel:
        return replay.Channel(factor, series, column, scale, decimals=decimals)

    return (
        channel("a34004", "PM2.5"),
        channel("a34002", "PM10"),
        channel("a21026", "SO2"),
        channel("a21004", "NO2"),
        channel("a21005", "CO", 0.001, 3),
        channel("a05024", "O3"),
        channel("a01001", "TEMP"),
        channel("a01006", "PRES", 0.1, 2),
        channel("a01007", "WSPM"),
        channel("a01008", "WD"),
    )


def fan(mn: str, pump: bool = False) -> tuple[replay.Channel, ...]:
    """Current (A) of the induced-draught fan from the measured electricity: kWh in 15 minutes
    x 4 = kW; I = P / (sqrt(3) U cos phi) with U = 10 kV and cos phi = 0.85, twice the works. The
    pump of the desulphurisation draws a steady part and a tenth of the fan's."""
    scale = round(2 * 4 / (3**0.5 * 10 * 0.85), 6)
    shift = _seed(mn) % 35040
    channels = [replay.Channel("g20801", "steel_energy", "kwh", scale, shift=shift, decimals=2)]
    if pump:
        channels.append(
            replay.Channel(PUMP, "steel_energy", "kwh", round(scale / 10, 6), 18.0, shift)
        )
    return tuple(channels)


def silence(now: datetime) -> tuple[tuple[int, int], ...]:
    """Not a telegram from 20 hours before the load until 10 days after it."""
    begin = int((now - timedelta(hours=20)).timestamp())
    return ((begin, begin + 10 * 86400),)


def upkeep(mn: str, medium: str, now: datetime) -> tuple[replay.Weekly, ...]:
    """An hour a week of calibration (air) or maintenance (water), not on the days around the load."""
    today = (now + timedelta(seconds=replay.OFFSET)).weekday()
    weekday = (today + 2 + _seed(mn) % 4) % 7
    return (replay.Weekly("C" if medium == "air" else "M", weekday, 9 + _seed(mn) % 3),)


def about(
    library: replay.Library, device: replay.Device, words: Words, now: datetime
) -> dict[str, Any]:
    """The `replay` value of a point: the device, what a reader wants to know about it, and the
    moment (`anchor`) at which the history ends."""
    names = list(dict.fromkeys(c.series for c in device.channels))
    return {
        **device.to_json(),
        "sources": [
            {
                "series": name,
                **{
                    k: library[name].about.get(k, "")
                    for k in ("title", "source", "licence", "units")
                },
            }
            for name in names
        ],
        "how": (words + BETWEEN).en,
        "how_zh": (words + BETWEEN).zh,
        "anchor": now.isoformat(),
    }
