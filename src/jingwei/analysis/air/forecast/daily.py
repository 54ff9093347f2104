"""From hours to the index of whole days (HJ 633): what is expected, and the chance of each class.

Both come from one ensemble (`classes.Together.draws`): hours, pollutants and stations of one course
belong together, so a day's mean, the largest index and the city's mean are taken course by course.
What is expected is the middle of the courses, so it never contradicts the chances. Courses drawn so are known as the Schaake shuffle (Clark et al. 2004, doi
10.1175/1525-7541(2004)005<0243:TSSAMF>2.0.CO;2), here with left-out misses for what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.forecast.history import Hours
from jingwei.standards import aqi, evaluation, heavy

ABOVE = (100, 150, 200, 300)  # daily AQI whose chances are told
ENOUGH = 20  # hours of a day's mean (GB 3095), and 6 of 8 of ozone's
_EIGHT = 6
_ITEM = {"PM2.5": "pm25", "PM10": "pm10", "SO2": "so2", "NO2": "no2", "CO": "co", "O3": "o3_8h"}
_SCALE = {"CO": 1e-3}  # the index judges CO in mg/m³


@dataclass(frozen=True)
class Days:
    """`day` (days,) datetime64[D] and how many of their hours lie `ahead` (days,). `iaqi` by pollutant
    and `index` (stations + 1, days, courses): the last row is the city, of the means of the stations'
    daily values (HJ 663); NaN where a day has too few hours or less than 75 % of the stations."""

    day: npt.NDArray[np.datetime64]
    ahead: npt.NDArray[np.int64]
    iaqi: dict[str, Floats]
    index: Floats

    def over(self, above: int) -> Floats:
        """Share of the courses above a daily AQI: (stations + 1, days), NaN where there is none."""
        share = (self.index > above).mean(axis=-1)
        return np.where(np.isnan(self.index[..., 0]), np.nan, share)

    @property
    def expected(self) -> Floats:
        """The lower median of the courses (stations + 1, days), NaN where there is none: above a bound
        exactly where more than half of the courses are."""
        half = (self.index.shape[-1] - 1) // 2
        return np.asarray(np.partition(self.index, half, axis=-1)[..., half])

    def leading(self, place: int, day: int) -> list[str]:
        """The pollutants that make the index of a row and day most often: of what was measured all that
        are equally high (HJ 633), none where the expected index is 50 or lower."""
        if not self.expected[place, day] > 50:
            return []
        top = self.index[place, day]
        often = {n: int((v[place, day] == top).sum()) for n, v in self.iaqi.items()}
        return [n for n, count in often.items() if count == max(often.values())]


def days(
    times: Hours,
    measured: Mapping[str, Floats],
    coming: Mapping[str, Floats],
    back: int = 0,
    edition: str | None = None,
) -> Days:
    """The index of the days from `back` before the last one measured on.

    `times` (hours,) of what was `measured` (hours, stations) until the start, µg/m³; `coming`
    (stations, hours ahead, courses) follows it (a pollutant without is not foretold). A day counts
    with 20 hours (ozone: its highest mean of 8 hours, with 6 of them); a day partly past takes what
    was measured. `edition` of HJ 633: that in force on the day if not given.
    """
    first = times[-1].astype("datetime64[D]") - np.timedelta64(back, "D")
    begin = int((first.astype("datetime64[h]") - times[0]) / np.timedelta64(1, "h"))
    gone = len(times) - begin
    some = next(iter(coming.values()), np.zeros((0, 0, 1)))
    length, courses = some.shape[1], some.shape[2]
    count = -(-(gone + length) // 24)
    at = first + np.arange(count)
    edges = 24 * np.arange(count + 1)
    ahead = np.minimum(edges[1:], gone + length) - np.maximum(edges[:-1], gone)
    editions = [edition or aqi.edition(d.astype(object)) for d in at]
    iaqi = {}
    for name, series in measured.items():
        hours = np.full((series.shape[1], 24 * count, courses), np.nan)
        past = series[max(begin, 0) :].T[..., None]
        hours[:, gone - past.shape[1] : gone] = past
        if name in coming:
            hours[:, gone : gone + length] = coming[name]
        each = _value(name, hours.reshape(len(hours), count, 24, courses)) * _SCALE.get(name, 1.0)
        value = np.concatenate([each, evaluation.city(each)[None]])
        found = np.stack(
            [aqi.iaqi_array(_ITEM[name], value[:, k], e, "day") for k, e in enumerate(editions)], 1
        )
        iaqi[name] = np.where(found < 0, np.nan, found.astype(float))
    return Days(at, np.maximum(ahead, 0), iaqi, np.fmax.reduce(list(iaqi.values())))


def _value(name: str, hours: Floats) -> Floats:
    """What the index judges of hours (stations, days, 24, courses): (stations, days, courses)."""
    known = np.isfinite(hours)
    if name != "O3":
        seen, total = known.sum(axis=2), np.where(known, hours, 0.0).sum(axis=2)
        return np.where(seen >= ENOUGH, total / np.maximum(seen, 1), np.nan)
    pad = ((0, 0), (0, 0), (1, 0), (0, 0))
    sums = np.pad(np.cumsum(np.where(known, hours, 0.0), axis=2), pad)
    seen = np.pad(np.cumsum(known, axis=2), pad)
    total, count = sums[:, :, 8:] - sums[:, :, :-8], seen[:, :, 8:] - seen[:, :, :-8]
    best = np.where(count >= _EIGHT, total / np.maximum(count, 1), -np.inf).max(axis=2)
    return np.where((seen[:, :, -1] >= ENOUGH) & np.isfinite(best), best, np.nan)


def grades(index: Floats, ahead: npt.NDArray[np.int64]) -> list[float]:
    """Share of the courses whose days reach each grade of warning (`standards.heavy`) or a higher one.

    `index` (days, courses): daily AQI of one place, the oldest first, NaN where not known; `ahead`
    (days,): how many hours of each are to come; a row of days counts only where it reaches into them.
    """
    coming = int((ahead > 0).sum())
    told = [[None if v != v else int(v) for v in course] for course in index.T.tolist()]
    reached = [heavy.grade(course, coming) for course in told]
    levels = np.array([0 if r is None else r.grade.level for r in reached])
    return [float((levels >= g.level).mean()) for g in heavy.GRADES]
