"""The exact tier: contradictions that honest data do not contain. No training beyond counting.

Each function returns `Hit`s. p, where it is computed (runs and exact copies), is the chance that honest
data of this outlet show the like somewhere in the stretch judged, if values repeated independently
(Bonferroni over its rows); else it is None: nobody has counted how often honest data do it. The identities (conversion,
means) stand in `identities`, what is usual for an outlet in `habit`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jingwei.analysis.detection import kernels
from jingwei.analysis.detection.habit import COPY_ROWS, Habit
from jingwei.analysis.detection.hits import Hit, stretches
from jingwei.analysis.detection.monitor import Bools, Floats, Ints, Monitor

MOVING_SHARE = 0.02
NEAR_ROWS = 24
NEAR_CORRELATION = 0.9995
NEAR_REST = 0.1  # of the median step: what the median step of a scaled copy may leave unexplained
STOPPED = "F"  # HJ 212-2017 data mark: stopped
RUNNING_SHARE = 0.1  # of the history's median that counts as running
MARK_ROWS = 2
LEAST_SIGNS = 2  # channels that show running, before a mark of standstill is contradicted
BOUND_ROWS = 2


def constant_run(
    y: Floats,
    habit: Habit,
    process: dict[str, Floats],
    flow: Floats | None,
    target: str,
    start: int,
) -> Iterator[Hit]:
    """Identical reported values over hours in which the other channels move. Rows >= start.

    At least half of the other channels must move, by more than `MOVING_SHARE` of their deviation. Runs
    of a value that returns often anyway or lies at the floor of what is measured (a detection limit,
    0 when stopped) count only when four times as long and where the flow says that the plant runs.
    """
    runs = kernels.runs(y)
    n = len(y)
    ends = np.flatnonzero((runs >= habit.run) & np.r_[runs[1:] <= 1, True])
    for last in ends.tolist():
        length = int(runs[last])
        first = last - length + 1
        if last < start:
            continue
        value = float(y[last])
        rows = slice(first, last + 1)
        moving = {}
        seen = 0
        for name, column in process.items():
            part = column[rows]
            part = part[~np.isnan(part)]
            if len(part) < 2:
                continue
            seen += 1
            if part.max() - part.min() > MOVING_SHARE * float(np.nanstd(column)):
                moving[name] = [float(part.min()), float(part.max())]
        if len(moving) < max(1, (seen + 1) // 2):
            continue  # the whole line hangs, or the plant stands still
        if value in habit.common or abs(value) <= habit.floor:
            if flow is None:
                continue
            here = flow[rows]
            middle = float(np.nanmedian(flow)) if np.any(~np.isnan(flow)) else 0.0
            if not np.mean(here > 0.5 * middle) > 0.9 or length < 4 * habit.run:
                continue
        chance = min(1.0, n * habit.repeat ** (length - 1))
        yield Hit(
            "const_run",
            target,
            first,
            last,
            float(length),
            chance,
            {"rows": length, "value": value, "moving": dict(list(moving.items())[:5])},
            {"least_rows": habit.run, "repeat_chance": habit.repeat},
            found=first + habit.run - 1,
        )


def flat(y: Floats, per_hour: float) -> list[tuple[int, int]]:
    """First and last rows of stretches of at least 8 h that move by under 2 % of the usual change:
    frozen but for the jitter of a converter. History is screened for them; in a later stretch the
    statistical tier judges them.
    """
    d = np.abs(np.diff(y))
    valid = d[~np.isnan(d)]
    if not len(valid):
        return []
    usual = float(np.median(valid))
    still = np.r_[False, d <= 0.02 * usual]
    least = max(4, round(8 * per_hour))
    return [(a - 1, b) for a, b in stretches(still) if b - a + 2 >= least and usual > 0]


def copied(y: Floats, habit: Habit, target: str, start: int) -> Iterator[Hit]:
    """Stretches of distinct values that equal an earlier stretch value for value. Rows >= start."""
    w = habit.copy
    n = len(y)
    if n < 2 * w:
        return
    missing = np.isnan(y)
    _, codes = np.unique(np.where(missing, np.inf, y), return_inverse=True)
    codes = codes.astype(np.int64)
    hashes = kernels.windows(codes, w)
    bad = kernels.rolling_mean(missing.astype(np.float64), w, w) > 0
    changes = np.r_[0.0, (np.diff(codes) != 0).astype(np.float64)]
    lively = kernels.rolling_mean(changes, w, w) > 0.7
    usable = np.flatnonzero(~bad & lively & (np.arange(n) >= w - 1))
    order = usable[np.argsort(hashes[usable], kind="stable")]
    sorted_hashes = hashes[order]
    group = np.r_[0, np.cumsum(np.diff(sorted_hashes) != 0)] if len(order) else np.zeros(0, int)
    # The first of each group of equal hashes is the earliest window.
    firsts = np.r_[0, np.flatnonzero(np.diff(group)) + 1] if len(order) else np.zeros(0, int)
    earliest = np.full(n, -1, dtype=np.int64)
    if len(order):
        earliest[order] = order[firsts][group]
    row = max(start, w - 1)
    while row < n:
        source = int(earliest[row])
        if (
            source < 0
            or source > row - w
            or not np.array_equal(codes[row - w + 1 : row + 1], codes[source - w + 1 : source + 1])
        ):
            row += 1
            continue
        lag = row - source
        first, last = row - w + 1, row
        while first - 1 - lag >= 0 and codes[first - 1] == codes[first - 1 - lag]:
            first -= 1
        while last + 1 < n and codes[last + 1] == codes[last + 1 - lag] and not missing[last + 1]:
            last += 1
        length = last - first + 1
        distinct = len(np.unique(y[first : last + 1]))
        if distinct >= min(COPY_ROWS, w) - 1:
            yield Hit(
                "copy_exact",
                target,
                first,
                last,
                float(length),
                min(1.0, n**2 * habit.level**distinct),
                {"rows": length, "lag_rows": lag, "distinct": distinct},
                {"least_rows": w, "equal_chance": habit.level},
                found=max(first + w - 1, 0),
            )
        row = last + 1


def copied_scaled(
    correlation: Floats, lag: Ints, y: Floats, target: str, start: int
) -> Iterator[Hit]:
    """Stretches that repeat an earlier one up to factor, offset and rounding. Rows >= start.

    correlation, lag: of the last NEAR_ROWS differences with the best earlier ones.
    """
    flags = correlation >= NEAR_CORRELATION
    flags[:start] = False
    for first, last in stretches(flags, 2):
        begin = max(0, first - NEAR_ROWS)
        back = int(lag[last])
        a, b = y[begin : last + 1], y[begin - back : last + 1 - back]
        if begin - back < 0 or len(np.unique(a[~np.isnan(a)])) < COPY_ROWS:
            continue
        slope = float(np.nanstd(a) / np.nanstd(b)) if np.nanstd(b) > 0 else float("nan")
        if abs(slope - 1) < 1e-9 and np.array_equal(a, b):
            continue  # an exact copy: said by `copied`
        steps, rest = np.diff(a), np.diff(a) - slope * np.diff(b)
        if not np.nanmedian(np.abs(rest)) <= NEAR_REST * np.nanmedian(np.abs(steps)):
            continue  # one spike that both stretches have makes a correlation, no copy
        offset = float(np.nanmean(a) - slope * np.nanmean(b))
        yield Hit(
            "copy_scaled",
            target,
            begin,
            last,
            float(correlation[first : last + 1].max()),
            None,
            {"rows": last - begin + 1, "lag_rows": back, "factor": slope, "offset": offset},
            {"rows": NEAR_ROWS, "least_correlation": NEAR_CORRELATION},
            found=first,
        )


@dataclass(frozen=True)
class Running:
    """Medians of the history by which one sees that a plant runs."""

    medians: dict[str, float]

    @classmethod
    def fit(cls, monitor: Monitor) -> Running:
        medians = {}
        for name in monitor.having("flow", "load", "power_production"):
            column = monitor.values[name]
            valid = column[~np.isnan(column)]
            if len(valid) > 24 and np.median(valid) > 0:
                medians[name] = float(np.median(valid))
        return cls(medians)

    def signs(self, monitor: Monitor) -> dict[str, Bools]:
        """Sign of running -> rows that show it. Thresholds: A18-13 of the regulator's practice for
        O2 and temperature, a tenth of the own median for flow, load and power."""
        result = {}
        for name, middle in self.medians.items():
            if name in monitor.values:
                result[name] = monitor.values[name] > RUNNING_SHARE * middle
        for name in monitor.having("o2"):
            result[name] = (monitor.values[name] < 17.0) & (monitor.values[name] > 0.0)
        for name in monitor.having("temperature"):
            result[name] = monitor.values[name] > 42.0
        for name, limit in monitor.limits.items():
            if name in monitor.values:
                result[name] = monitor.values[name] > 0.3 * limit
        return result


def mark_contradiction(monitor: Monitor, running: Running, start: int) -> Iterator[Hit]:
    """Marked as stopped, while at least two channels show that the plant runs.

    One of them must be more than moving gas: oxygen, load or a concentration. A fan that cools a
    stopped plant shows flow, temperature and its own current; a channel that stands still, as one
    that holds its last value does, shows nothing.
    """
    signs = {c: s & _moves(monitor.values[c]) for c, s in running.signs(monitor).items()}
    alive = [s for c, s in signs.items() if c in monitor.having("o2", "load", "target")]
    if len(signs) < LEAST_SIGNS or not alive:
        return
    count = np.sum([s.astype(np.int64) for s in signs.values()], axis=0)
    count[~np.any(alive, axis=0)] = 0
    for target in monitor.targets:
        marks = monitor.mark(target)
        if marks is None:
            continue
        flags = (marks == STOPPED) & (count >= LEAST_SIGNS)
        flags[:start] = False
        for first, last in stretches(flags, 2):
            rows = np.flatnonzero(flags[first : last + 1]) + first
            if len(rows) < MARK_ROWS:
                continue
            values = {
                name: float(np.nanmedian(monitor.values[name][rows]))
                for name in signs
                if np.any(~np.isnan(monitor.values[name][rows]))
            }
            yield Hit(
                "mark_contradiction",
                target,
                first,
                last,
                float(len(rows)),
                None,
                {"rows": len(rows), "mark": STOPPED, "medians": values},
                {
                    "least_signs": LEAST_SIGNS,
                    "running_share": RUNNING_SHARE,
                    "usual": running.medians,
                },
                found=int(rows[MARK_ROWS - 1]),
            )


def _moves(y: Floats) -> Bools:
    """Rows that differ from the one before or after."""
    change = np.diff(y) != 0
    return np.asarray(np.r_[False, change] | np.r_[change, False], dtype=bool)


def parameter_change(monitor: Monitor, before: dict[str, float], start: int) -> Iterator[Hit]:
    """A setting of the instrument changed, with no mark of calibration or maintenance between the
    reading before and a day after the one that shows it.

    before: column -> last value of the history, where nobody worked on the instrument since.
    """
    day = round(24 * monitor.hour)
    marks = [m for t in monitor.targets if (m := monitor.mark(t)) is not None]
    worked = np.zeros(len(monitor), dtype=bool)
    for m in marks:
        worked |= np.isin(m, ["C", "M"])
    for name in monitor.having("parameter"):
        column = monitor.values[name]
        last, since = before.get(name, float("nan")), 0
        for row in range(start, len(monitor)):
            value = float(column[row])
            if np.isnan(value):
                continue
            if not np.isnan(last) and abs(value - last) > 1e-9 * max(abs(last), 1.0):
                around = worked[max(0, min(since, row) - day) : row + day + 1]
                if not around.any():
                    yield Hit(
                        "param_change",
                        name,
                        row,
                        row,
                        abs(value / last - 1) if last else abs(value),
                        None,
                        {"before": last, "after": value},
                        {"hours_without_work_mark": 24, "rows_back": row - since},
                        found=row,
                    )
            last, since = value, row


def physical_bounds(monitor: Monitor, running: Running, start: int) -> Iterator[Hit]:
    """What no gas can be: negative, beyond air's oxygen, air's oxygen under load."""
    checks: list[tuple[str, str, Bools]] = []
    for name in monitor.having("o2"):
        v = monitor.values[name]
        checks.append((name, "O2 < 0", v < 0.0))
        checks.append((name, "O2 > 21.5 %", v > 21.5))
        loads = [
            monitor.values[c] > 0.5 * m
            for c, m in running.medians.items()
            if c in monitor.having("load", "power_production")
        ]
        if loads:
            checks.append((name, "O2 >= 20.5 % under load", (v >= 20.5) & np.all(loads, axis=0)))
    for name in monitor.having("humidity"):
        v = monitor.values[name]
        checks.append((name, "humidity outside 0..100 %", (v < 0.0) | (v > 101.0)))
    for name in monitor.having("flow"):
        checks.append((name, "flow < 0", monitor.values[name] < 0.0))
    for name in monitor.targets:
        v = monitor.values[name]
        valid = np.abs(v[~np.isnan(v)])
        floor = -0.02 * monitor.limits.get(name, float(valid.max()) if len(valid) else 1.0)
        checks.append((name, "concentration < 0", v < floor))
    for name, rule, flags in checks:
        flags = flags.copy()
        flags[:start] = False
        for first, last in stretches(flags, 2):
            rows = np.flatnonzero(flags[first : last + 1]) + first
            if len(rows) < BOUND_ROWS:
                continue
            yield Hit(
                "physical_bounds",
                name,
                first,
                last,
                float(len(rows)),
                None,
                {
                    "rows": len(rows),
                    "rule": rule,
                    "lowest": float(monitor.values[name][rows].min()),
                    "highest": float(monitor.values[name][rows].max()),
                },
                {"least_rows": BOUND_ROWS},
                found=int(rows[BOUND_ROWS - 1]),
            )
