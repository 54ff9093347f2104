"""Many days of minutes or real-time data, by the hour."""

from __future__ import annotations

from datetime import datetime

from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring.selectors import (
    Row,
    Series,
    lake,
    limits_of,
    limits_on,
)
from jingwei.bureau.monitoring.services import current_code, local_day, value_unit
from jingwei.bureau.registry.models import Point


def hourly(
    point: Point, factor: str, resolution: str, start: datetime, end: datetime, now: datetime
) -> Series:
    """The same in hours added up when each day was closed: what a page shows of many days of minutes
    or real-time data. It judges nothing; `value` is the mean of what was received."""
    code = current_code(factor, point.version)
    table = lake().rollup(resolution, "hour", start, end, [(point.mn, point.st)], [factor])
    return Series(
        point=point,
        factor=factor,
        name=factor_name(factor, point.version),
        unit=value_unit(code, point),
        resolution=resolution,
        start=start,
        end=end,
        rows=[
            Row(
                r["time"],
                r["mean"],
                None,
                "",
                r["count"] > 0,
                0,
                r["min"],
                r["max"],
                None,
                False,
                False,
            )
            for r in table.to_pylist()
        ],
        limits=limits_on(limits_of(point), code, resolution, local_day(min(end, now))),
        cut=False,
        missing=0,
        means=True,
    )
