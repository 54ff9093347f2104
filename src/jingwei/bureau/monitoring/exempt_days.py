"""Days of waste incinerators that exceed with their exempt hours alone: to be decided by a person.

Order 10 art. 10 does not say how exempt hours leave a daily mean. By our own reading such a day is no
exceedance (`verdicts.of_hours`); it is listed, so that whoever reads the order otherwise finds it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from jingwei.analysis import incineration
from jingwei.analysis.compliance import Reason
from jingwei.bureau.monitoring.models import Judgement
from jingwei.bureau.monitoring.observations import local_day
from jingwei.bureau.monitoring.verdicts import without_exempt
from jingwei.bureau.registry.models import PermitLimit, Point


@dataclass(frozen=True)
class ExemptDay:
    """A pollutant on a day: its mean at the limit's reference oxygen, and without the exempt hours
    (None: too few are left)."""

    point: Point
    day: date
    start: datetime
    factor: str
    limit: PermitLimit
    mean: float | None
    free: float | None


def of(outlets: Iterable[int], since: datetime) -> dict[int, list[ExemptDay]]:
    """By outlet, the newest first."""
    found: dict[int, list[ExemptDay]] = defaultdict(list)
    told = []
    for row in Judgement.objects.filter(
        point__outlet__in=list(outlets), period="day", stands=True, time__gte=since
    ).order_by("-time").select_related("point"):  # fmt: skip
        for code in incineration.FACTORS.values():
            cell = row.factors.get(code, {})
            for limit, (_verdict, why, _value) in cell.get("limits", {}).items():
                if why == Reason.EXEMPT:
                    told.append((row, code, cell, int(limit)))
    limits = PermitLimit.objects.in_bulk({limit for *_, limit in told})
    for row, code, cell, pk in told:
        limit = limits[pk]
        mean = cell["value"]
        if limit.reference_o2 is not None:
            mean = cell.get("converted", {}).get(f"{limit.reference_o2:g}", [None])[0]
        found[row.point.outlet_id or 0].append(
            ExemptDay(
                row.point, local_day(row.time), row.time, code, limit, mean,
                without_exempt(cell, limit),
            )
        )  # fmt: skip
    return found
