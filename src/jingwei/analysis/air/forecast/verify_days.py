"""What the forecast of whole days is worth: chances of the daily index, grades of warning, peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.forecast import daily
from jingwei.analysis.air.forecast.classes import Index, Together
from jingwei.analysis.air.forecast.history import History
from jingwei.analysis.air.forecast.model import LEVELS, Forecast
from jingwei.standards import heavy

BACK = 3  # days before the start that count for a grade
REACH = 3  # days that a forecast may touch: that of its start and two more
_LASTING = 3  # hours in a row above a class


@dataclass(frozen=True)
class Told:
    """What was told from `starts` (n,) and what came. Places: the stations, last the city; days: that
    of the start (partly measured), the next, the one after. expected (as shown:
    `daily.Days.expected`), came (n, REACH, places): daily AQI, NaN where there is none; chance (n,
    REACH, places, len(daily.ABOVE)); grade, came_grade (n,): of the city, 0…3, by the expected days
    and by those that came; grade_chance (n, 3). `truth` (days, places): all days of the history, the
    first of them `first`; `trained` of them before the first start."""

    starts: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    expected: Floats
    chance: Floats
    came: Floats
    grade: npt.NDArray[np.int64]
    came_grade: npt.NDArray[np.int64]
    grade_chance: Floats
    warned: npt.NDArray[np.int64]
    truth: Floats
    trained: int
    first: np.datetime64


@dataclass(frozen=True)
class Chance:
    """Chances of days above `above` against what came: `brier` beside that of the month's frequency
    (`climate`) and of the frequency after a last whole day above or not (`persistence`), both of the
    days before the first start; `bins`: tenth, days, mean chance, share that came; `pod`, `far`, `csi`
    of expecting it (by the expected index), `csi_persistence` of expecting what was."""

    place: str
    ahead: int
    above: int
    days: int
    told: float
    came: float
    brier: float
    climate: float
    persistence: float
    bins: tuple[tuple[int, int, float, float], ...]
    pod: float
    far: float
    csi: float
    csi_persistence: float


@dataclass(frozen=True)
class Grade:
    """A grade of warning or a higher one, start by start: `came` and `told` (proposed) of `starts`."""

    level: int
    starts: int
    came: int
    told: int
    pod: float
    far: float
    csi: float
    brier: float
    climate: float


@dataclass(frozen=True)
class Episodes:
    """Rows of days that reach a grade: how many there `were`, of how many a proposal named the first day
    before it began (`ahead`), of how many only later (`late`); `lead`: median hours from the first
    such proposal to the beginning, of those named ahead; `false`: rows of days that were proposed
    of which no day came above 150."""

    were: int
    ahead: int
    late: int
    lead: float
    false: int


@dataclass(frozen=True)
class Peak:
    """Three hours in a row or more above `above` at a station within leads `first`…`last`, by the median;
    `off`: median of the hours by which the highest hour was told wrongly, of the hits."""

    above: int
    first: int
    last: int
    came: int
    told: int
    pod: float
    far: float
    csi: float
    off: float


def tell(
    history: History,
    forecasts: Mapping[str, Forecast],
    together: Together,
    edition: str,
) -> Told:
    """Forecasts of the same starts, day by day. Nothing later than a start enters what is told."""
    starts = next(iter(forecasts.values())).starts
    own = {n: history.values[n] for n in forecasts}
    whole = daily.days(history.times, own, {}, (len(history) - 1) // 24, edition)
    truth = np.where(
        np.isfinite(np.stack(list(whole.iaqi.values()))).all(axis=0), whole.index, np.nan
    )[..., 0].T
    first = whole.day[0]
    places = len(history.stations) + 1
    expected = np.full((len(starts), REACH, places), np.nan)
    chance = np.full((*expected.shape, len(daily.ABOVE)), np.nan)
    came = np.full_like(expected, np.nan)
    grade, came_grade, warned = (np.zeros(len(starts), np.int64) for _ in range(3))
    grade_chance = np.zeros((len(starts), len(heavy.GRADES)))
    number = ((history.times[starts].astype("datetime64[D]") - first) / np.timedelta64(1, "D")).astype(np.int64)  # fmt: skip
    for k, start in enumerate(starts):
        since = max(int(start) - 24 * (BACK + 1), 0)
        times = history.times[since : start + 1]
        past = {n: v[since : start + 1] for n, v in own.items()}
        drawn = daily.days(times, past, together.draws(forecasts, k), BACK, edition)
        middle = drawn.expected
        back = int((drawn.ahead == 0).sum())
        at = ((drawn.day - first) / np.timedelta64(1, "D")).astype(np.int64)
        use = np.flatnonzero((drawn.ahead > 0) & np.isfinite(drawn.index[-1, :, 0]))
        lag = at[use] - number[k]
        expected[k, lag] = middle[:, use].T
        for j, above in enumerate(daily.ABOVE):
            chance[k, lag, :, j] = drawn.over(above)[:, use].T
        seen = use[at[use] < len(truth)]
        came[k, at[seen] - number[k]] = truth[at[seen]]
        rows = [*range(back), *use]
        ahead = drawn.ahead[rows]
        coming = int((ahead > 0).sum())
        grade_chance[k] = daily.grades(drawn.index[-1, rows], ahead)
        found = heavy.grade([_whole(v) for v in middle[-1, rows]], coming)
        if found:
            grade[k], warned[k] = found.grade.level, at[rows][found.first]
        true = [truth[d, -1] if d < len(truth) else np.nan for d in at[rows]]
        right = heavy.grade([_whole(v) for v in true], coming)
        came_grade[k] = right.grade.level if right else 0
    trained = int((history.times[starts[0]].astype("datetime64[D]") - first) / np.timedelta64(1, "D"))  # fmt: skip
    return Told(starts, number, expected, chance, came, grade, came_grade, grade_chance, warned, truth, trained, first)  # fmt: skip


def _whole(value: float) -> int | None:
    return None if value != value else int(value)


def chances(told: Told, history: History) -> list[Chance]:
    """Of the city and of all stations together, by day ahead and bound."""
    out = []
    last_whole = (told.starts + 1 + _offset(told, history)) // 24 - 1  # the last day that is over
    month = (told.first + np.arange(len(told.truth) + REACH)).astype("datetime64[M]").astype(np.int64) % 12  # fmt: skip
    for name, places in (("city", slice(-1, None)), ("stations", slice(None, -1))):
        truth = told.truth[:, places]
        learned = truth[: told.trained]
        for ahead in range(REACH):
            came = told.came[:, ahead, places]
            before = truth[last_whole]
            use = (
                np.isfinite(came)
                & np.isfinite(before)
                & np.isfinite(told.chance[:, ahead, places, 0])
            )
            if not use.any():
                continue
            lag = told.day + ahead - last_whole
            for j, above in enumerate(daily.ABOVE):
                chance = told.chance[:, ahead, places, j][use]
                high = came[use] > above
                usual = np.array(
                    [_share(learned[month[: told.trained] == m], above) for m in range(12)]
                )
                climate = np.broadcast_to(usual[month[told.day + ahead]][:, None], came.shape)[use]
                kept = np.empty(came.shape)
                for d in np.unique(lag):
                    then, after = learned[:-d], learned[d:]
                    yes, no = (_share(after[w], above) for w in (then > above, then <= above))
                    kept[lag == d] = np.where(before[lag == d] > above, yes, no)
                part = np.minimum((chance * 10).astype(int), 9)
                bins = tuple(
                    (b, int((part == b).sum()), float(chance[part == b].mean()), float(high[part == b].mean()))
                    for b in range(10) if (part == b).any()
                )  # fmt: skip
                pod, far, csi = _scores(high, told.expected[:, ahead, places][use] > above)
                out.append(
                    Chance(
                        name, ahead, above, int(use.sum()), float(chance.mean()), float(high.mean()),
                        _brier(chance, high), _brier(climate, high), _brier(kept[use], high), bins,
                        pod, far, csi, _scores(high, before[use] > above)[2],
                    )
                )  # fmt: skip
    return out


def _offset(told: Told, history: History) -> int:
    """Hours from the beginning of the first day told of to that of the history, below 0 where this is
    earlier."""
    return int((history.times[0] - told.first.astype("datetime64[h]")) / np.timedelta64(1, "h"))


def _share(values: Floats, above: int) -> float:
    known = values[np.isfinite(values)]
    return float((known > above).mean()) if len(known) else 0.0


def _brier(chance: Floats, came: npt.NDArray[np.bool_]) -> float:
    return float(np.mean((chance - came) ** 2))


def _scores(came: npt.NDArray[np.bool_], told: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """POD, FAR, CSI; NaN where nothing came or was told."""
    hits, nan = int((came & told).sum()), float("nan")
    return (
        hits / int(came.sum()) if came.any() else nan,
        1 - hits / int(told.sum()) if told.any() else nan,
        hits / int((came | told).sum()) if (came | told).any() else nan,
    )


def grades(told: Told) -> list[Grade]:
    """The city's grades as they would have been proposed from every start."""
    whole = np.isfinite(told.came[:, :, -1]) | np.isnan(told.expected[:, :, -1])
    use = whole.all(axis=1)
    learned = _grades_of(told.truth[: told.trained, -1])
    out = []
    for j, g in enumerate(heavy.GRADES):
        came, proposed = told.came_grade[use] >= g.level, told.grade[use] >= g.level
        usual = float((learned >= g.level).mean()) if len(learned) else 0.0
        out.append(
            Grade(
                g.level, int(use.sum()), int(came.sum()), int(proposed.sum()), *_scores(came, proposed),
                _brier(told.grade_chance[use, j], came), _brier(np.full(len(came), usual), came),
            )
        )  # fmt: skip
    return out


def _grades_of(city: Floats) -> npt.NDArray[np.int64]:
    """The grade told at each day for itself and the next, had both been known."""
    values = [_whole(v) for v in city]
    found = [heavy.grade(values[max(k - BACK, 0) : k + 2], 2) for k in range(len(values) - 1)]
    return np.array([0 if f is None else f.grade.level for f in found], np.int64)


def episodes(told: Told, history: History) -> Episodes:
    """Rows of days from the first start on whose daily index reached a grade, and when the first
    proposal named their first day."""
    city = told.truth[:, -1]
    rows = [
        r
        for r in _rows(city > 150, told.trained)
        if heavy.grade([_whole(v) for v in city[r[0] : r[1] + 1]])
    ]
    leads = []
    late = 0
    offset = _offset(told, history)
    for first, last in rows:
        named = [
            first * 24 - (int(s) + 1 + offset)
            for k, s in enumerate(told.starts)
            if told.grade[k] and told.warned[k] <= first <= told.day[k] + REACH - 1
            and told.day[k] <= last and _named(told, k, first)
        ]  # fmt: skip
        if named and max(named) >= 0:
            leads.append(max(named))
        elif named:
            late += 1
    proposed = np.zeros(len(city), bool)
    for k in range(len(told.starts)):
        for ahead in range(REACH):
            day = told.day[k] + ahead
            if told.grade[k] and day < len(city) and told.expected[k, ahead, -1] > 150:
                proposed[day] = True
    false = sum(not (city[a : b + 1] > 150).any() for a, b in _rows(proposed, told.trained))
    return Episodes(len(rows), len(leads), late, float(np.median(leads)) if leads else float("nan"), false)  # fmt: skip


def _named(told: Told, k: int, day: int) -> bool:
    """Whether the forecast of start `k` expects this day above 150."""
    ahead = day - told.day[k]
    if ahead < 0:
        return bool(told.warned[k] <= day)
    return bool(ahead < REACH and told.expected[k, ahead, -1] > 150)


def _rows(high: npt.NDArray[np.bool_], begin: int) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.r_[0, high.astype(int), 0]))
    return [
        (int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if a >= begin
    ]


def peaks(found: Index, came: Floats, above: Sequence[int] = (150, 200)) -> list[Peak]:
    """Peaks of the median hourly index against what came (starts, stations, LEADS), `verify.index_truth`;
    days of 24 leads with all hours measured."""
    median = found.index[..., LEVELS.index(0.5)]
    out = []
    for level in above:
        for first in (0, 24):
            told, true = median[..., first : first + 24], came[..., first : first + 24]
            use = np.isfinite(true).all(axis=-1)
            told, true = told[use], true[use]
            warned, was = _lasts(told > level), _lasts(true > level)
            both = warned & was
            off = np.abs(told[both].argmax(axis=-1) - true[both].argmax(axis=-1))
            out.append(
                Peak(level, first + 1, first + 24, int(was.sum()), int(warned.sum()), *_scores(was, warned),
                     float(np.median(off)) if both.any() else float("nan"))
            )  # fmt: skip
    return out


def _lasts(high: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    runs = np.stack([high[:, k : high.shape[1] - _LASTING + 1 + k] for k in range(_LASTING)])
    return np.asarray(runs.all(axis=0).any(axis=-1))
