"""Hours of a waste incinerator whose data are missing or invalid without an excuse (Order 10 art. 12):
the automatic equipment was not kept working (Air Act art. 100 (3)).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Min
from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.analysis import incineration, validity
from jingwei.analysis import marks as laboratory
from jingwei.analysis.validity import Fault
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.monitoring import marking
from jingwei.bureau.monitoring.asking import ask
from jingwei.bureau.monitoring.models import Cursor, Due, Furnace, Judgement, TransmissionDay
from jingwei.bureau.monitoring.observations import HOUR, day_start, local_day, moment, seconds
from jingwei.bureau.monitoring.transmission import GRACE, SAMPLE
from jingwei.bureau.registry.models import Point

BACK = 40  # days looked at again at most after a standstill of the program
NONE_CAME = "missing"
MAINTENANCE = "maintenance"  # hours that the device's own marks excuse
TENDED = frozenset({"C", "M"})  # the device's marks of calibration and maintenance


Hours = dict[int, tuple[str, ...]]


def hours(furnace: Furnace, start: datetime, now: datetime) -> tuple[Hours, int]:
    """The hours (seconds) of the local day from `start` that are over by `now` and of which one of the
    five pollutants did not come or is not valid, without an excuse, with what is the matter; and how
    many hours the device's own marks of calibration or maintenance excuse.

    Due are the pollutants that the outlet's points are registered to send, from its first hour on.
    Excused is what the furnace's account excuses (`incineration.accounts`). Hours that the device
    itself marked (C, M) count like CEMS maintenance that the enterprise marks, within the same 30 h
    a quarter: the texts do not say so, but the mark was set at the site and in time. Values that do
    not move came all the same: that they are not valid (A18-3) stands in a secondary source only.
    """
    points = Point.objects.filter(outlet=furnace.outlet_id, enabled=True)
    due = {f for p in points for f in p.factors} & set(incineration.FACTORS.values())
    begun = TransmissionDay.objects.filter(point__in=points).aggregate(Min("since"))["since__min"]
    if not due or begun is None:
        return {}, 0
    first = -(-seconds(max(start, begun)) // HOUR) * HOUR
    last = seconds(min(start + timedelta(days=1), now - GRACE)) // HOUR * HOUR
    times = list(range(first, last - HOUR + 1, HOUR))
    if not times:
        return {}, 0
    good: dict[int, set[str]] = {s: set() for s in times}
    wrong: dict[int, set[str]] = {s: set() for s in times}
    came: dict[int, set[str]] = {s: set() for s in times}
    tended: dict[int, set[str]] = {s: set() for s in times}
    for when, factors in Judgement.objects.filter(
        point__in=points, period="hour", stands=True,
        time__gte=moment(first), time__lt=moment(last),
    ).values_list("time", "factors"):  # fmt: skip
        second = seconds(when)
        for code in due & factors.keys():
            cell = factors[code]
            if cell.get("origin") == SAMPLE or cell["value"] is None:
                continue
            came[second].add(code)
            if fault := cell.get("fault", 0) & ~Fault.FLAT:
                wrong[second].update(validity.names(fault))
                if fault == Fault.MARK and cell.get("mark") in TENDED and "by" not in cell:
                    tended[second].add(code)
            else:
                good[second].add(code)
    books = marking.account(furnace, moment(first), moment(last))
    excuse = dict(zip(books.time, books.accounts.excused.tolist(), strict=True))
    account = replace(books.accounts, excused=np.array([excuse.get(s, False) for s in times]))
    missing = incineration.unexcused([good[s] == due for s in times], account)
    open_ = [s for s, yes in zip(times, missing.tolist(), strict=True) if yes]
    left = max(0, incineration.HOURS_MAINTENANCE - used(furnace, start, books))
    device = [s for s in open_ if good[s] | tended[s] == due][:left]
    return {
        s: (*((NONE_CAME,) if came[s] != due else ()), *sorted(wrong[s]))
        for s in open_
        if s not in set(device)
    }, len(device)


def used(furnace: Furnace, start: datetime, books: marking.Books) -> int:
    """Hours of maintenance used in the quarter of the local day from `start`: what was marked until
    the day's end, and what the device marked on earlier days."""
    begin = quarter_start(local_day(start))
    low, high = seconds(begin), seconds(start + timedelta(days=1))
    marked = [
        int(n)
        for s, n in zip(books.time, books.accounts.maintenance, strict=True)
        if low <= s < high
    ]
    return (max(marked) if marked else 0) + by_device(furnace, begin, start)


def by_device(furnace: Furnace, begin: datetime, end: datetime) -> int:
    """Hours that the device marked as calibration or maintenance on the local days of a span."""
    rows = furnace.days.filter(day__gte=local_day(begin), day__lt=local_day(end))
    return sum(d.missing.get(MAINTENANCE, 0) for d in rows)


def quarter_start(day: date) -> datetime:
    return day_start(day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1))


def summary(found: Hours, device: int) -> dict[str, int]:
    """How many of the hours have what, as `FurnaceDay.missing` keeps it."""
    counted = dict(Counter(why for reasons in found.values() for why in reasons))
    return counted | ({MAINTENANCE: device} if device else {})


def tell(
    furnace: Furnace, start: datetime, found: dict[int, tuple[str, ...]], now: datetime
) -> None:
    """Make the day a finding once its marks can be set no more (12:00 of the next day)."""
    day = local_day(start)
    key = f"unexcused/{furnace.pk}/{day:%Y%m%d}"
    told = Finding.objects.filter(episode=key).exists()
    if (not found and not told) or now < laboratory.due(day):
        return
    point = furnace.point
    with translation.override("zh-hans"):
        notice(
            kind=Kind.OFFLINE,
            episode=key,
            title=_("%(place)s: data missing or not valid for %(hours)d h without an excuse")
            % {"place": f"{point.enterprise or point.name} {furnace.name}", "hours": len(found)},
            region=point.region_id,
            longitude=point.longitude,
            latitude=point.latitude,
            began=moment(min(found)) if found else start,
            ended=moment(max(found) + HOUR) if found else start + timedelta(hours=1),
            severity=2,
            enterprise=point.enterprise,
            point=point,
            facts={
                "rule": "O10-12",
                "hours": len(found),
                "source": "MEE Order 10 art. 12; Air Act art. 100 (3)",
                "verified": "verified",
            },
            innocent=[
                _("The network was broken and the data will be sent again."),
                _("Calibration or maintenance that was not marked as CEMS maintenance."),
            ],
            next_check=_(
                "Look at the operating and maintenance records of these hours; have missing data sent again."
            )
            if found
            else _("The data came or were marked since; verify, then dismiss."),
            confidence=_("Full text of the order; hours counted from what was judged."),
        )  # fmt: skip


def look(now: datetime) -> int:
    """Ask once a day, when marks can be set no more, for the furnace days that ended; how many days.

    What came or was marked later asks by itself; a furnace of which nothing comes asks for nothing.
    """
    today = local_day(now)
    newest = today - timedelta(days=1 if now >= laboratory.due(today - timedelta(days=1)) else 2)
    cursor, _created = Cursor.objects.get_or_create(name="furnace-days")
    if cursor.batch >= newest.toordinal():
        return 0
    first = max(cursor.batch + 1, newest.toordinal() - BACK)
    points = set(Furnace.objects.values_list("point", flat=True))
    starts = [
        day_start(newest - timedelta(days=back)) for back in range(newest.toordinal() - first + 1)
    ]
    ask(((pk, str(Due.What.FURNACE), start, now) for pk in points for start in starts), now)
    Cursor.objects.filter(pk=cursor.pk).update(batch=newest.toordinal())
    return len(starts)


def again(furnaces: dict[int, list[Furnace]], drafts: list[Any], now: datetime) -> None:
    """Ask for the furnace days of hours that were judged anew."""
    wanted = {
        (furnace.point_id, str(Due.What.FURNACE), day_start(local_day(d.time)), now)
        for d in drafts
        for furnace in furnaces.get(d.point.outlet_id, ())
    }
    ask(wanted, now)
