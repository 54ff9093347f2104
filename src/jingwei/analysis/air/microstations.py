"""Micro-stations: low-cost sensors, made comparable by the standard stations, and what lies high among them.

`calibrate` finds each sensor's running slope and offset in hours when the air of the city is even: then
what the nearest standard stations measure also hangs before the sensor. The idea is that of networks
calibrated from afar: Moltchanov et al. (2015) Sci. Total Environ. 502, 537 (hours of the night in which the
air is mixed; recalled, not read anew) and Miskell et al. (2018) ACS Sens. 3, 832 (running slope and offset
from a proxy). How even is even, the windows and what is set aside are own choices.

What it cannot do: a source that adds the same in all even hours looks like an offset and is taken away
with it, unless a standard station stands beside the sensor; humidity, temperature and other gases act
on all sensors of a kind alike and go out with the neighbours only as far as they are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.hotgrids import Bools, Found, Grid, find

BESIDE = 200.0  # m; a standard station so near is the same air in all hours
NEAREST = 3  # standard stations that make the reference
NIGHT, DAY = (
    0.5,
    0.25,
)  # shares of the evenest hours that count at night (0 to 5 o'clock) and by day
SPAN, STEP = 28, 7  # days of a window, and from one to the next
FEW = 48  # even hours that a window needs
STUCK = 6  # equal hours in a row that the air does not bring
SILENT, STOPPED = 0.25, 0.2  # shares of hours: known at least, equal to the one before at most
SLOPE = (0.3, 3.0)  # a sensor beyond is far off
ERRATIC = 0.6  # noise (1.4826 MAD) over the middle of the reference that makes a sensor useless
DRAWS = 200  # of days, for the intervals
NEAR, NEIGHBOURS = 5000.0, 4  # m, and how many known there make a background
HOURS = 12  # of a day that make its mean excess
LEAST_CELLS = 8  # fewer say nothing of what is usual among them
SHARE, OFTEN, LEAST, RATE = 0.2, 0.4, 10, 0.05


@dataclass(frozen=True)
class Calibration:
    """One sensor and pollutant. `slope`, `offset`: middle of the windows, sensor = offset + slope × air;
    `bias`: mean of sensor less reference in even hours, as sent; `noise`: spread of what is left after
    calibration (1.2533 mean absolute deviations); each with its 95 % by drawing days; `error`: half the 95 % of the mean of
    what is left; `hours`: even hours; `beside`: a
    standard station stands there; `why` it is set aside: "", silent, stuck, few, off, erratic."""

    slope: float
    offset: float
    bias: float
    bias_low: float
    bias_high: float
    noise: float
    noise_low: float
    noise_high: float
    error: float
    hours: int
    beside: bool
    why: str


@dataclass(frozen=True)
class Calibrated:
    """`values` (hours, sensors) in the unit of the standard stations, NaN for those set aside; `even`:
    the hours that served."""

    values: Floats
    sensors: tuple[Calibration, ...]
    even: Bools


def even_hours(
    standard: npt.ArrayLike, clock: npt.ArrayLike, wind: npt.ArrayLike | None = None
) -> Bools:
    """Hours (n,) in which the standard stations (n, stations) differ little for their level: the evenest
    half of the nights and quarter of the days, each among the four weeks around it. At least three
    stations must be known. clock (n,): local hour of the day; wind (n,), m/s: where it is known for half
    of the hours, those with less than its median are left out, because what a sensor has beside it
    adds most when the air stands."""
    given, hour = floats(standard), floats(clock)
    enough = np.isfinite(given).sum(axis=1) >= 3
    if wind is not None and np.isfinite(speed := floats(wind)).mean() >= 0.5:
        enough &= speed >= np.nanmedian(speed)
    spread = np.full(len(given), np.nan)
    if enough.any():
        some = given[enough]
        middle = np.nanmedian(some, axis=1)
        apart = 1.4826 * np.nanmedian(np.abs(some - middle[:, None]), axis=1)
        spread[enough] = apart / np.maximum(middle, 1.0)
    found = np.zeros(len(given), bool)
    for start in range(0, len(given), STEP * 24):
        here = slice(start, start + STEP * 24)
        around = slice(max(0, start - (SPAN - STEP) * 12), start + (SPAN + STEP) * 12)
        for when, share in ((hour < 6, NIGHT), (hour >= 6, DAY)):
            known = spread[around][when[around] & np.isfinite(spread[around])]
            if len(known):
                found[here] |= when[here] & (spread[here] <= np.quantile(known, share))
    return found


def reference(
    standard: npt.ArrayLike, places: npt.ArrayLike, standard_places: npt.ArrayLike
) -> tuple[Floats, Bools]:
    """What the standard stations (n, stations) say of the air at each place (sensors, 2), m: one that
    stands beside it alone, else the mean of the nearest three, the nearer counting more; and where one
    stands beside. NaN where fewer than two of the three are known."""
    given, at, there = floats(standard), floats(places), floats(standard_places)
    found = np.full((len(given), len(at)), np.nan)
    beside = np.zeros(len(at), bool)
    for k, place in enumerate(at):
        far = np.hypot(*(there - place).T)
        order = np.argsort(far)[:NEAREST]
        if far[order[0]] <= BESIDE:
            found[:, k], beside[k] = given[:, order[0]], True
            continue
        known = np.isfinite(given[:, order])
        weight = known / far[order]
        total = np.nansum(given[:, order] * weight, axis=1)
        enough = known.sum(axis=1) >= min(2, len(order))
        found[enough, k] = (total / np.maximum(weight.sum(axis=1), 1e-12))[enough]
    return found, beside


def line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and offset of y over x: the median slope of pairs half the sample apart (Theil 1950, Sen 1968
    J. Am. Stat. Assoc. 63, 1379, by the far pairs alone, which noise in x bends least) and the median of
    what is left."""
    order = np.argsort(x)
    a, b = order[: len(order) // 2], order[-(len(order) // 2) :]
    apart = x[b] - x[a]
    use = apart > 0
    slope = float(np.median((y[b] - y[a])[use] / apart[use])) if use.any() else 1.0
    return slope, float(np.median(y - slope * x))


def calibrate(
    sensors: npt.ArrayLike,
    standard: npt.ArrayLike,
    places: npt.ArrayLike,
    standard_places: npt.ArrayLike,
    clock: npt.ArrayLike,
    wind: npt.ArrayLike | None = None,
) -> Calibrated:
    """sensors (n, m) as sent and standard (n, s), hours of one pollutant in one unit, NaN where unknown;
    places (m, 2), standard_places (s, 2) in m; clock (n,): local hour of the day, the first is 0; wind
    (n,) as `even_hours` takes it.

    Raises ValueError where shapes differ or no standard station is given.
    """
    raw, given, hour = floats(sensors), floats(standard), floats(clock)
    if len(raw) != len(given) or len(raw) != len(hour) or not given.shape[1]:
        raise ValueError(f"micro-stations: {raw.shape} hours, {given.shape} of standard stations")
    air, beside = reference(given, places, standard_places)
    even = even_hours(given, hour, wind)
    values = np.full(raw.shape, np.nan)
    rows = []
    random = np.random.default_rng(1)
    for k in range(raw.shape[1]):
        use = (even | beside[k]) & np.isfinite(raw[:, k]) & np.isfinite(air[:, k])
        row, told = _one(raw[:, k], air[:, k], use, bool(beside[k]), random)
        rows.append(told)
        if not told.why:
            values[:, k] = row
    return Calibrated(values, tuple(rows), even)


def _one(
    raw: Floats, air: Floats, use: Bools, beside: bool, random: np.random.Generator
) -> tuple[Floats, Calibration]:
    nothing = float("nan")
    known = np.isfinite(raw)
    blank = (nothing,) * 9

    def aside(why: str) -> tuple[Floats, Calibration]:
        return np.full(len(raw), np.nan), Calibration(*blank, int(use.sum()), beside, why)

    if known.mean() < SILENT:
        return aside("silent")
    if still(raw).sum() > STOPPED * known.sum():
        return aside("stuck")
    centres, slopes, offsets = [], [], []
    for start in range(0, max(len(raw) - SPAN * 12, 1), STEP * 24):
        window = slice(start, start + SPAN * 24)
        some = np.flatnonzero(use[window]) + start
        if len(some) >= FEW:
            slope, offset = line(air[some], raw[some])
            centres.append(float(np.median(some)))
            slopes.append(slope)
            offsets.append(offset)
    if not centres:
        return aside("few")
    slope, offset = float(np.median(slopes)), float(np.median(offsets))
    when = np.arange(len(raw))
    running = np.clip(np.interp(when, centres, slopes), *SLOPE)
    made = (raw - np.interp(when, centres, offsets)) / running
    left = (made - air)[use]
    apart = (raw - air)[use]
    days = np.flatnonzero(use) // 24
    bias = _drawn(apart, days, random)
    noise = _drawn(1.2533 * np.abs(left - np.median(left)), days, random)
    _mean_left, low, high = _drawn(left, days, random)
    why = ""
    if not SLOPE[0] <= slope <= SLOPE[1]:
        why = "off"
    # By the median: a source beside the sensor must not make it look erratic.
    elif 1.4826 * float(np.median(np.abs(left - np.median(left)))) > ERRATIC * max(
        float(np.median(air[use])), 1.0
    ):
        why = "erratic"
    return made, Calibration(
        slope, offset, *bias, *noise, (high - low) / 2, int(use.sum()), beside, why
    )


def still(values: npt.ArrayLike) -> Bools:
    """Hours (n,) in a run of `STUCK` or more equal ones above the lowest tenth."""
    from jingwei.analysis.air.forecast.history import stuck

    return np.asarray(stuck(floats(values), STUCK), bool)


def _drawn(
    values: Floats, days: npt.NDArray[np.int64], random: np.random.Generator
) -> tuple[float, float, float]:
    """The mean of values (n,) with its middle 95 % when whole days are drawn anew (Efron 1979, in blocks)."""
    _names, at = np.unique(days, return_inverse=True)
    total, count = np.bincount(at, values), np.bincount(at)
    times = random.multinomial(len(count), np.full(len(count), 1 / len(count)), DRAWS)
    low, high = np.quantile((times @ total) / np.maximum(times @ count, 1), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


@dataclass(frozen=True)
class Cell:
    """One pollutant in one cell of 500 m: `sensors` and `hours` that made it, means of `value` and
    `background` in the same hours, the mean `excess` over the background with its 95 % (days that hang
    together counting for less, the bias of calibration added), `usual`: p of so much excess among the
    cells."""

    sensors: tuple[int, ...]
    hours: int
    value: float
    background: float
    excess: float
    low: float
    high: float
    usual: float


@dataclass(frozen=True)
class Fine:
    """`grid` of 500 m, `cells` by pollutant and (row, column), `found` as `hotgrids.find` gives it; None
    where fewer than `LEAST_CELLS` cells or `LEAST` days are known."""

    grid: Grid
    cells: dict[str, dict[tuple[int, int], Cell]]
    found: Found | None


def background(
    values: npt.ArrayLike, standard: npt.ArrayLike, near: Bools, near_standard: Bools
) -> Floats:
    """What one place has around it, (n,): the median of the sensors (n, m) and standard stations (n, s)
    marked as near; where fewer than `NEIGHBOURS` of them are known, the median of all standard stations
    (three at least), else NaN."""
    given = floats(standard)
    around = np.column_stack([floats(values)[:, near], given[:, near_standard]])
    found = np.full(len(given), np.nan)
    for table, least in ((given, 3), (around, NEIGHBOURS)):
        enough = np.isfinite(table).sum(axis=1) >= least
        if enough.any():
            found[enough] = np.nanmedian(table[enough], axis=1)
    return found


def fine(
    pollutants: dict[str, tuple[Calibrated, Floats]],
    grid: Grid,
    places: npt.ArrayLike,
    standard_places: npt.ArrayLike,
    counted: Bools | None = None,
) -> Fine:
    """Cells of 500 m in which calibrated sensors are above their neighbours again and again.

    pollutants: calibrated sensors and standard stations (hours, s), whole local days; grid: of 500 m
    round all places (m, 2), m; standard_places (s, 2); counted (m,): sensors whose cells are asked for,
    the others serve as neighbours only. A cell without a sensor stays empty. A cell is
    hot where it is among the highest fifth of a day on two fifths of its days, more often than chance
    allows (`hotgrids.persistent`), *and* its mean excess is more than is usual among the cells: the
    greater of the two p counts (intersection-union: Berger 1982 Technometrics 24, 295), and the false
    discovery rate over all cells is held as for the 3 km. What is usual is read from the cells themselves
    (median and 1.4826 MAD; Efron 2004 J. Am. Stat. Assoc. 99, 96, recalled), so that what calibration
    leaves behind counts as usual; that supposes that most cells have no source of their own.
    """
    from scipy.stats import t as student

    at, there = floats(places), floats(standard_places)
    column = np.floor(at[:, 0] / grid.size).astype(int) - grid.east
    row = np.floor(at[:, 1] / grid.size).astype(int) - grid.north
    asked = np.ones(len(at), bool) if counted is None else counted
    wanted = sorted(set(zip(row[asked].tolist(), column[asked].tolist(), strict=True)))
    cells: dict[str, dict[tuple[int, int], Cell]] = {}
    layers: dict[str, Floats] = {}
    also: dict[str, Floats] = {}
    for name, (known, standard) in pollutants.items():
        here: dict[tuple[int, int], Cell] = {}
        days = np.full((len(standard) // 24, *grid.shape), np.nan)
        for c in wanted:
            own = (row == c[0]) & (column == c[1])
            who = np.flatnonzero(own & np.isfinite(known.values).any(axis=0))
            if not len(who):
                continue
            middle = at[who].mean(axis=0)
            value = _mean(known.values[:, who])
            under = background(
                known.values, standard, ~own & (np.hypot(*(at - middle).T) <= NEAR),
                np.hypot(*(there - middle).T) <= NEAR,
            )  # fmt: skip
            over = value - under
            use = np.isfinite(over)
            daily = over[: len(days) * 24].reshape(-1, 24)
            count = np.isfinite(daily).sum(axis=1)
            enough = count >= HOURS
            days[(slice(None), *c)] = np.where(enough, np.nansum(daily, axis=1) / np.maximum(count, 1), np.nan)  # fmt: skip
            some = days[(slice(None), *c)][enough]
            if len(some) < LEAST:
                continue
            rows = [known.sensors[k] for k in who]
            bias = np.mean([r.error for r in rows]) / np.sqrt(len(who))
            wide = float(np.hypot(1.96 * _error(some), bias))
            mean = float(some.mean())
            here[c] = Cell(
                tuple(int(k) for k in who), int(use.sum()), float(value[use].mean()),
                float(under[use].mean()), mean, mean - wide, mean + wide, 1.0,
            )  # fmt: skip
        if len(here) < LEAST_CELLS:
            cells[name] = here
            continue
        layers[name] = days
        means = np.array([x.excess for x in here.values()])
        usual = 1.4826 * float(np.median(np.abs(means - np.median(means))))
        free = max(
            1.0, 0.37 * (len(means) - 1)
        )  # the MAD knows the spread as well as so many values
        field = np.ones(grid.shape)
        for c, x in here.items():
            spread = max(usual, (x.high - x.low) / 3.92, 1e-9)
            field[c] = student.sf((x.excess - float(np.median(means))) / spread, free)
        also[name] = field
        cells[name] = {c: Cell(**{**x.__dict__, "usual": float(field[c])}) for c, x in here.items()}
    if not layers:
        return Fine(grid, cells, None)
    try:
        found = find(layers, share=SHARE, least=LEAST, rate=RATE, often=OFTEN, also=also)
    except ValueError:
        found = None
    return Fine(grid, cells, found)


def _mean(values: Floats) -> Floats:
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def _error(days: Floats) -> float:
    """Standard error of the mean of days (n,) that follow one another with memory."""
    left = days - days.mean()
    total = float(np.sum(left**2))
    r = float(np.sum(left[1:] * left[:-1])) / total if total > 0 else 0.0
    r = min(max(r, 0.0), 0.9)
    return float(np.std(days, ddof=1) * np.sqrt((1 + r) / (1 - r) / len(days)))
