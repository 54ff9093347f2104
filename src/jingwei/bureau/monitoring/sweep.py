"""All hours of a span against the limits, by arrays; what is over a limit is then judged whole.

The way for a year of a large city. The values of a day go straight from the file of the lake through
the compiled rule (`analysis.bulk`): mark, sign, reference oxygen, limit. That rule knows less than
the judgement (`judging.Work`), which knows minutes, still-standing values, clocks, marks of
enterprises, accounts, checks and samples as well, but whatever these find against a value makes it
*not* exceed: of hours that a device sent, no exceedance of the judgement is missing among those of the
arrays. So only a few hours are left for the judgement, and it decides them as ever:

* hours over a limit by the arrays, and those at which an exceedance stands;
* hours in which a limited factor or the oxygen is missing, but minutes, or NO and NO2, came;
* hours with an officer's sample, hours that begin at no full hour;
* all hours of points with a declared basis, or with a limit of mass an hour (kg/h).

So the exceedances are those of the judgement over all hours (`tests/bureau/monitoring/test_sweep.py`).
Nothing is written. A task is some days of all points, on an executor; memory is bounded by a piece of
the file, the table of the limits and the hours that are left. No Django before a task begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jingwei.analysis import bulk
from jingwei.analysis.compliance import Verdict
from jingwei.bureau.monitoring.anew import KEPT, Difference, Found, Tally, in_django, points_of
from jingwei.telemetry.executor import Executor
from jingwei.telemetry.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from jingwei.bureau.registry.models import PermitLimit, Point

SPAN = 8  # days of a task
COLUMNS = ("value", "flag")  # beside the key
HOURS = 4000  # judged whole at once
PIECE = 100_000  # rows judged at once: their arrays stay in the processor's cache
NOX, NO, NO2, OXYGEN = "a21002", "a21003", "a21004", "a19001"
HOUR = 3600
WHOLE_DAY = (1 << 24) - 1
EXCEEDED = int(Verdict.EXCEEDED)


# The arrays: no database ------------------------------------------------------------------------


def words(table: pa.Table, name: str) -> bulk.Words:
    """A dictionary column of a piece (`Lake.pieces`)."""
    column = table.column(name).chunk(0)
    code = column.indices.fill_null(-1) if column.null_count else column.indices
    return bulk.Words(code.to_numpy(zero_copy_only=False), column.dictionary.to_pylist())


def page(table: pa.Table) -> bulk.Page:
    """A piece of a file of the lake as arrays."""
    return bulk.Page(
        *(words(table, name) for name in ("mn", "st", "factor", "flag")),
        table.column("time").cast("int64").to_numpy(),
        table.column("value").to_numpy(),
    )


def judged(
    table: pa.Table,
    desk: bulk.Desk,
    layers: list[bulk.Limits],
    oxygen: int,
    begin: int,
    seen: Any,
    room: bulk.Room,
) -> Iterator[tuple[bulk.Rows, bulk.Judgements]]:
    """The rows of a piece and what each layer of limits says of them, part by part; each is good until
    the next. `begin`: the day's start in seconds; `seen` as in `bulk.encode`."""
    normal = desk.normal
    for rows in bulk.encode(page(table), desk, begin * 1_000_000, seen, PIECE, room):
        fits = len(rows.point) <= len(room.judgements.value)
        for limits in layers:
            yield rows, bulk.judge(
                rows.point, rows.factor, rows.hour, rows.value, rows.mark, limits=limits,
                normal=normal, oxygen=oxygen, out=room.judgements if fits else None,
            )  # fmt: skip


# The span ---------------------------------------------------------------------------------------


@dataclass
class Book:
    """What holds on a day. Arrays are (points, columns), the last column for every other factor.

    `layers`: the limits; a factor that has several (a floor, say) has one in each. `limited`: columns
    with a limit, `wanted`: those and the oxygen where one refers to it. `whole`: points of which
    every hour is judged whole. `hours`: how many of limited factors came.
    """

    names: tuple[str, ...]  # of the columns
    desk: bulk.Desk
    oxygen: int
    limited: Any
    wanted: Any
    hours: Any
    layers: list[bulk.Limits] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)


def days(start: date, end: date) -> Iterator[tuple[date, date]]:
    """The span cut into tasks.

    >>> [(str(a), str(b)) for a, b in days(date(2026, 1, 1), date(2026, 1, 10))]
    [('2026-01-01', '2026-01-09'), ('2026-01-09', '2026-01-10')]
    """
    while start < end:
        after = min(start + timedelta(days=SPAN), end)
        yield start, after
        start = after


def run(
    lake: Path, points: Iterable[int], start: date, end: date, now: datetime, by: Executor
) -> Found:
    """Hold the exceedances of the local days from `start` to before `end` against those that stand.

    Of `Found` it counts `hours` (of limited factors) and `over`; `judged` are the hours that were
    judged whole. Raises `AnewError`, `ExecutorError`, `LakeError` as `anew.run`.
    """
    keys = tuple(sorted(points))
    tasks = [(str(lake), keys, first, last, now) for first, last in days(start, end)]
    found = Found()
    for _, part in by.run(task, tasks):
        found.add(part)
    return found


def task(lake: str, keys: tuple[int, ...], start: date, end: date, now: datetime) -> Found:
    """A task, in any process: `piece` with Django around it."""
    return in_django(lambda: piece(lake, keys, start, end, now))


def piece(lake: str, keys: tuple[int, ...], start: date, end: date, now: datetime) -> Found:
    """Some days of the points."""
    from jingwei.bureau.monitoring.observations import day_start, seconds

    points = points_of(keys)
    sweep = Sweep(Lake(Path(lake)), points, now)
    day = start
    while day < end:
        sweep.day(day, seconds(day_start(day)))
        day += timedelta(days=1)
    return sweep.settle(seconds(day_start(start)), seconds(day_start(end)))


class Sweep:
    """Some days of some points, sorted by MN and ST."""

    def __init__(self, lake: Lake, points: list[Point], now: datetime) -> None:
        from jingwei.bureau.monitoring.models import Basis
        from jingwei.bureau.registry.models import PermitLimit

        self.lake, self.points, self.now = lake, points, now
        self.found = Found()
        self.left: dict[int, set[int]] = defaultdict(set)  # by place of the point
        self.place = {p.pk: n for n, p in enumerate(points)}
        self.limits: dict[int, list[PermitLimit]] = defaultdict(list)
        for row in PermitLimit.objects.filter(period="hour").order_by("pk"):
            self.limits[row.outlet_id].append(row)
        bases = set(Basis.objects.values_list("point", flat=True))
        self.based = [n for n, p in enumerate(points) if p.pk in bases]
        minutes = {(one.mn, one.st) for one in lake.latest("minute")}
        self.minutes = np.array([(p.mn, p.st) in minutes for p in points], dtype=bool)
        self.book: Book | None = None
        self.held: list[int] = []
        self.room = bulk.Room.of(PIECE + 10_000)

    def day(self, day: date, begin: int) -> None:
        """Go through a day of the lake; what is to be judged whole is noted."""
        rows_ = {
            outlet: [r for r in some if r.valid_from <= day and (r.valid_to or day) >= day]
            for outlet, some in self.limits.items()
        }
        held = [r.pk for some in rows_.values() for r in some]
        if self.book is None or held != self.held:
            self._count()
            self.book, self.held = book(self.points, rows_), held
        here = self.book
        seen = np.zeros((len(self.points), len(here.names) + 1), dtype=np.uint32)
        for table in self.lake.pieces("hour", day, COLUMNS):
            for rows, said in judged(
                table, here.desk, here.layers, here.oxygen, begin, seen, self.room
            ):
                at = np.flatnonzero(said.verdict == EXCEEDED)
                self._leave(rows.point[at], begin + rows.hour[at] * HOUR)
            self._odd(table, here.desk, begin)
        self._gaps(here, seen, begin)
        for n in {*self.based, *here.whole}:
            self.left[n].update(range(begin, begin + 24 * HOUR, HOUR))

    def _leave(self, points: Any, times: Any) -> None:
        for n, second in zip(points.tolist(), times.tolist(), strict=True):
            self.left[n].add(second)

    def _odd(self, table: pa.Table, desk: bulk.Desk, begin: int) -> None:
        """Values that begin at no full hour: the arrays leave them out."""
        time = table.column("time").cast("int64").to_numpy() // 1_000_000 - begin
        for i in np.flatnonzero(time % HOUR != 0).tolist():
            key = (table.column("mn")[i].as_py(), table.column("st")[i].as_py())
            if key in desk.points:
                self.left[desk.points[key]].add(begin + int(time[i]))

    def _gaps(self, here: Book, seen: Any, begin: int) -> None:
        """Hours that the device did not send, but that its minutes, or NO and NO2, may make."""
        here.hours += np.bitwise_count(np.where(here.limited, seen, 0)).astype(np.int64)
        missing = np.where(here.wanted, ~seen & WHOLE_DAY, 0)
        gap = np.where(self.minutes, np.bitwise_or.reduce(missing, axis=1), 0)
        parts = seen[:, here.names.index(NO)] | seen[:, here.names.index(NO2)]
        if NOX in here.names:
            gap |= missing[:, here.names.index(NOX)] & parts
        for n in np.flatnonzero(gap).tolist():
            bits = int(gap[n])
            self.left[n].update(begin + h * HOUR for h in range(24) if bits >> h & 1)

    def _count(self) -> None:
        """Take the hours of the book into what was found."""
        here = self.book
        if here is None:
            return
        for n, k in zip(*np.nonzero(here.hours), strict=True):
            key = (self.points[n].key, here.names[k])
            self.found.tallies.setdefault(key, Tally()).hours += int(here.hours[n, k])
        here.hours[:] = 0

    def settle(self, low: int, high: int) -> Found:
        """Judge whole what was left, and hold it against what stands from `low` to before `high`."""
        from jingwei.bureau.monitoring import judging
        from jingwei.bureau.monitoring.models import Due, Exceedance, Sample
        from jingwei.bureau.monitoring.observations import moment, seconds

        self._count()
        span = {"time__gte": moment(low), "time__lt": moment(high)}
        stood = {
            (e.point_id, e.limit_id, seconds(e.time)): e
            for e in Exceedance.objects.filter(period="hour", withdrawn="", **span)
            if e.point_id in self.place
        }
        for point, _, second in stood:
            self.left[self.place[point]].add(second)
        for point, when in Sample.objects.filter(period="hour", **span).values_list(
            "point", "time"
        ):
            if point in self.place:
                self.left[self.place[point]].add(seconds(when))
        is_: dict[tuple[int, int, int], Exceedance] = {}
        over: set[tuple[str, str, int]] = set()
        for touched in self._portions():
            _, verdicts = judging.Work(self.lake, self.now, judging.Report()).hours(touched)
            for v in verdicts:
                second = seconds(v.time)
                if v.exceedance is not None and second in touched[v.point]:
                    is_[v.point.pk, v.limit.pk, second] = v.exceedance
                    over.add((v.point.key, v.limit.factor, second))
            self.found.judged += sum(map(len, touched.values()))
        for name, factor, _ in over:
            self.found.tallies.setdefault((name, factor), Tally()).over += 1
        waiting = {
            (point, seconds(when))
            for point, when in Due.objects.filter(what="hour", **span).values_list("point", "time")
        }
        for key in sorted(is_.keys() | stood.keys()):
            self._hold(key, is_.get(key), stood.get(key), (key[0], key[2]) in waiting)
        return self.found

    def _portions(self) -> Iterator[dict[Point, set[int]]]:
        """What was left, some points at a time, each with all its hours."""
        touched: dict[Point, set[int]] = {}
        count = 0
        for n in sorted(self.left):
            touched[self.points[n]] = self.left[n]
            count += len(self.left[n])
            if count >= HOURS:
                yield touched
                touched, count = {}, 0
        if touched:
            yield touched

    def _hold(self, key: tuple[int, int, int], is_: Any, was: Any, waits: bool) -> None:
        from jingwei.bureau.monitoring.episodes import same
        from jingwei.bureau.monitoring.observations import moment

        if is_ is not None and was is not None and same(was, is_):
            return
        if waits:
            self.found.waiting += 1
            return
        self.found.count += 1
        if len(self.found.differences) < KEPT:
            what = "gone" if is_ is None else "absent" if was is None else "other"
            name, when = self.points[self.place[key[0]]].key, moment(key[2]).isoformat()
            self.found.differences.append(
                Difference(name, "hour", when, what, ((is_ or was).factor,))
            )


def book(points: list[Point], limits: Mapping[int, list[PermitLimit]]) -> Book:
    """What holds while these limits (by outlet) are in force."""
    from jingwei.bureau.monitoring.observations import normal_marks, value_unit
    from jingwei.bureau.monitoring.verdicts import as_limit, is_rate
    from jingwei.standards import codes

    names = tuple(sorted({OXYGEN, NO, NO2, *(r.factor for some in limits.values() for r in some)}))
    column = {name: k for k, name in enumerate(names)}
    old = {
        f.code: column[now]
        for f in codes.factors("2005").values()
        if (now := f.code_2017 or f.code) in column
    }
    old |= {name: k for name, k in column.items() if codes.factor(name, "2005") is None}
    desk = bulk.Desk(
        points={(p.mn, p.st): n for n, p in enumerate(points)},
        version=np.array([codes.VERSIONS.index(p.version) for p in points], dtype=np.int8),
        columns=tuple(old if v == "2005" else column for v in codes.VERSIONS),
        words=tuple(dict.fromkeys(normal_marks(v), True) for v in codes.VERSIONS),
        rest=len(names),
    )
    shape = (len(points), len(names) + 1)
    made = Book(names, desk, column[OXYGEN], np.zeros(shape, bool), np.zeros(shape, bool),
                np.zeros(shape, np.int64))  # fmt: skip
    units: dict[tuple[str, str, str], str] = {}
    for n, point in enumerate(points):
        for row in limits.get(point.outlet_id or 0, ()):
            k = column[row.factor]
            made.wanted[n, k] = made.limited[n, k] = True
            if is_rate(row):
                made.whole.append(n)
                continue
            try:
                limit = as_limit(row)
            except ValueError:
                continue  # nothing is judged by it
            kind = (row.factor, point.version, point.st)
            if kind not in units:
                units[kind] = value_unit(row.factor, point)
            layer = next((x for x in made.layers if np.isnan(x.bound[n, k])), None)
            if layer is None:
                layer = bulk.Limits.empty(*shape)
                made.layers.append(layer)
            layer.put(n, k, limit.value, limit.unit, given=units[kind],
                      reference_o2=limit.reference_o2, lower=limit.lower)  # fmt: skip
            made.wanted[n, column[OXYGEN]] |= limit.reference_o2 is not None
    return made
