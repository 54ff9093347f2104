"""In which portions touched hours and days are read and judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from jingwei.analysis import validity
from jingwei.bureau.monitoring.observations import HOUR, RUN, watched
from jingwei.bureau.registry.models import Point

SPAN = 8  # days read at a time


def neighbours(touched: Mapping[Point, set[int]]) -> dict[Point, set[int]]:
    """With the hours whose validity the touched ones may change (`observations.RUN`)."""
    out = {}
    for point, times in touched.items():
        out[point] = set(times)
        if watched(point):
            for step in range(-RUN, RUN + 1):
                out[point] |= {s + step * HOUR for s in times}
    return out


def spans(
    touched: Mapping[Point, set[int]], longest: int = SPAN
) -> Iterator[dict[Point, set[int]]]:
    """Cut what was touched into spans of neighbouring days, `longest` days at most."""
    by_day: dict[int, dict[Point, set[int]]] = defaultdict(lambda: defaultdict(set))
    for point, times in touched.items():
        for second in times:
            by_day[(second + validity.BEIJING) // 86400][point].add(second)
    span: dict[Point, set[int]] = {}
    first = last = None
    for day in sorted(by_day):
        if last is not None and first is not None and (day > last + 1 or day >= first + longest):
            yield span
            span, first = {}, None
        for point, times in by_day[day].items():
            span.setdefault(point, set()).update(times)
        first, last = day if first is None else first, day
    if span:
        yield span
