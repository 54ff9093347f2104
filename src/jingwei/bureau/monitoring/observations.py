"""What the lake has, in the form in which it is judged: codes of 2017, arrays, faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils import timezone

from jingwei.analysis import validity
from jingwei.analysis.compliance import LARGEST
from jingwei.analysis.validity import Fault
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Medium, PermitLimit, Point
from jingwei.standards import codes
from jingwei.telemetry.lake import Lake

OXYGEN = {"2005": "S01", "2017": "a19001", "2025": "a19001"}
LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
FLOW = {"air": "a00000", "water": "w00000"}
PH = "w01001"
SIGNED = frozenset({"℃", "°C", "Pa", "hPa", "kPa", "MPa", "mV", "°"})  # may be below zero
RUN = 3  # hours on either side that decide whether an hour is flat (`validity.flat`, four hours)
WHOLE_MINUTES = 45  # of an hour: HJ 212-2017 App. D
HOUR = 3600

Series = dict[str, "Column"]  # by factor (code of 2017)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def local_day(moment: datetime) -> date:
    return timezone.localtime(moment).date()


def day_start(day: date) -> datetime:
    """The start of a local day."""
    return timezone.make_aware(datetime.combine(day, time.min))


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def current_code(factor: str, version: str) -> str:
    """The code of 2017 for a factor code as sent."""
    if version == "2005":
        known = codes.factor(factor, "2005")
        return (known.code_2017 or factor) if known else factor
    return factor


def normal_marks(version: str) -> frozenset[str]:
    """The data marks of a version under which a value is judged; "" (none sent) among them."""
    return frozenset({"", *(m.flag for m in codes.marks(version) if m.normal)})


def sent_code(factor: str, version: str) -> str:
    """The code under which a device of `version` sends a factor (code of 2017)."""
    if version == "2005":
        for known in codes.factors("2005").values():
            if known.code_2017 == factor:
                return known.code
    return factor


def value_unit(factor: str, point: Point) -> str:
    """The unit in which a point sends a factor (code of 2017)."""
    return codes.unit(sent_code(factor, point.version), point.version, point.st)


def in_force(limits: Iterable[PermitLimit], day: date) -> list[PermitLimit]:
    """The limits that are applied on a day."""
    return force.applied(limits, day)


def medium(point: Point) -> str:
    """ "air" or "water": of the outlet, else by the system type (32: surface wastewater)."""
    if point.outlet_id and point.outlet is not None:
        return str(point.outlet.medium)
    return str(Medium.WATER if point.st in ("21", "32", "33") else Medium.AIR)


@dataclass(slots=True)
class Column:
    """One factor of one point over a span, by ascending time; arrays (n,).

    `seq`: telegrams; of an aggregated value all of them in `made`. `count`: values received and
    usable of the shorter period by time. `parts`: what a value was put together from, by factor. `state`: how it was brought to dry gas
    at standard state.
    """

    time: Ints
    value: Floats
    flag: list[str]
    zs: Floats
    seq: Ints
    received: Ints
    fault: validity.Faults
    made: dict[int, list[int]] = field(default_factory=dict)
    count: dict[int, tuple[int, int]] = field(default_factory=dict)
    parts: dict[int, dict[str, float]] = field(default_factory=dict)
    state: dict[int, dict[str, Any]] = field(default_factory=dict)
    place: dict[int, int] = field(default_factory=dict)  # second -> index

    def at(self, second: int) -> int | None:
        return self.place.get(second)


def read(
    lake: Lake, resolution: str, start: datetime, end: datetime, points: Iterable[Point]
) -> dict[int, Series]:
    """All observations of the points with start <= time < end, by point and factor; no faults yet."""
    known = {(p.mn, p.st): p for p in points}
    rows = lake.scan(resolution, start, end, points=sorted(known))
    table: dict[int, Series] = {p.pk: {} for p in known.values()}
    n = len(rows)
    if not n:
        return table
    names = [rows.column(c).combine_chunks().dictionary_encode() for c in ("mn", "st", "factor")]
    keys = [np.asarray(c.indices) for c in names]
    cut = np.zeros(n, dtype=bool)
    cut[0] = True
    for key in keys:
        cut[1:] |= key[1:] != key[:-1]
    begins = np.flatnonzero(cut)
    ends = np.append(begins[1:], n)
    stamp = rows.column("time").cast("int64").to_numpy() // 1_000_000
    arrived = rows.column("received").cast("int64").to_numpy() // 1_000_000
    value = rows.column("value").to_numpy()
    zs = rows.column("zs").to_numpy()
    seq = rows.column("seq").to_numpy()
    flags = [f or "" for f in rows.column("flag").to_pylist()]
    words = [c.dictionary.to_pylist() for c in names]
    for a, b in zip(begins.tolist(), ends.tolist(), strict=True):
        mn, st, factor = (w[k[a]] for w, k in zip(words, keys, strict=True))
        point = known[mn, st]
        table[point.pk][current_code(factor, point.version)] = Column(
            stamp[a:b], value[a:b], flags[a:b], zs[a:b], seq[a:b], arrived[a:b],
            np.zeros(b - a, dtype=np.uint16),
        )  # fmt: skip
    return table


def check(point: Point, series: Series, ranges: Mapping[str, float], length: int = 0) -> None:
    """Fill in the faults that each value has by itself: number, mark, clock, range.

    `length`: seconds after its name when a period is over (`validity.clock`).
    """
    for code, c in series.items():
        signed = value_unit(code, point) in SIGNED
        c.fault = validity.check(c.value, high=ranges.get(code), signed=signed)
        c.fault |= validity.mark_faults(validity.encode_marks(c.flag, point.version), point.version)
        c.fault |= validity.clock(c.time, c.received, length=length)
        c.place = {t: i for i, t in enumerate(c.time.tolist())}


def check_flat(point: Point, hours: Series) -> None:
    """Fill in whether hours of flue gas move at all: concentrations, velocity, oxygen (A18-3)."""
    if watched(point):
        for code, c in hours.items():
            if len(c.time) > RUN and moves(code):
                c.fault |= np.where(_flat(c), Fault.FLAT, 0).astype(np.uint16)


def watched(point: Point) -> bool:
    """Whether neighbouring hours bear on an hour's validity."""
    return point.kind == Point.Kind.SOURCE and medium(point) == Medium.AIR


def moves(code: str) -> bool:
    """Whether a factor of flue gas is one that cannot stand still: gases, particles, velocity, O2."""
    return code.startswith(("a2", "a34", "a05")) or code in ("a19001", "a01011")


def _flat(c: Column) -> validity.Bools:
    """A18-3 over the hours that are there; an hour that is missing ends a run, and so does one
    whose source stood still (mark F) or that has too few values, as the running hour has."""
    if not (np.diff(c.value) == 0).any():
        return np.zeros(len(c.value), dtype=bool)
    first = int(c.time[0])
    at = (c.time - first) // HOUR
    dense = np.full(int(at[-1]) + 1, np.nan)
    still = (np.array(c.flag) == "F") | ((c.fault & Fault.FEW) != 0)
    dense[at] = np.where(still, np.nan, c.value)
    found: validity.Bools = validity.flat(dense)[at]
    return found


def from_minutes(
    point: Point,
    hours: Series,
    minutes: Series,
    wanted: set[int],
    shift: int = 0,
) -> None:
    """Hold the hours that a device sent against its minutes, and make those that it did not send.

    Of flue gas 45 minutes of an hour must be valid; of wastewater one ten-minute value (HJ 212-2017
    App. D). A factor that comes in values of several minutes has each count for as many. Hours of
    which no minute came stand on the device's word. `wanted`: names of hours; `shift`: seconds from
    the start of an hour to its name.
    """
    if not minutes:
        return
    water = point.kind == Point.Kind.SOURCE and medium(point) == Medium.WATER
    flow = minutes.get(FLOW["water"]) if water else None
    for code, m in minutes.items():
        need = {} if water else {s + shift: n for s, n in _least(m.time).items()}
        start, group = np.unique(m.time // HOUR * HOUR + shift, return_inverse=True)
        received = np.bincount(group).tolist()
        usable = np.bincount(group[m.fault == 0], minlength=len(start)).tolist()
        sent = hours.get(code)
        new = set()
        for second, n, good in zip(start.tolist(), received, usable, strict=True):
            if second not in wanted:
                continue
            here = sent.at(second) if sent else None
            if sent is None or here is None:
                new.add(second)
                continue
            sent.count[second] = (n, good)
            if good < need.get(second, 1) and not sent.fault[here] & Fault.MARK:
                sent.fault[here] |= np.uint16(Fault.FEW)
        if new:
            level = hour_level(code, water, flow is not None, point.version)
            weight = _weights(m, flow) if flow is not None and level.method == "weighted" else None
            marks = validity.encode_marks(m.flag, point.version)
            means = validity.aggregate(
                m.time,
                m.value,
                level,
                mark=marks,
                fault=m.fault,
                weight=weight,
                version=point.version,
            )
            made = [i for i, second in enumerate(means.start.tolist()) if second + shift in new]
            for i in made:
                if 0 < means.good[i] < need.get(int(means.start[i]) + shift, 1):
                    means.fault[i] |= np.uint16(Fault.FEW)
            hours[code] = _merged(sent, m, means, made, shift)


def _weights(m: Column, flow: Column) -> Floats:
    """The valid flow at the times of another factor, NaN for none."""
    out = np.full(len(m.time), np.nan)
    for i, second in enumerate(m.time.tolist()):
        at = flow.at(second)
        if at is not None and not flow.fault[at]:
            out[i] = flow.value[at]
    return out


def _least(time: Ints) -> dict[int, int]:
    """How many values of a factor each hour needs: 45 minutes of it, by `interval` of its values.

    Every hour by itself, so that no other bears on it, and every factor by itself: a logger may
    send oxygen every minute and nitrogen oxides every ten.
    """
    first = np.flatnonzero(np.diff(time // HOUR, prepend=-1))
    parts = np.split(time, first[1:])
    return {int(t[0]) // HOUR * HOUR: ceil(WHOLE_MINUTES / interval(t)) for t in parts if len(t)}


def interval(time: Ints) -> int:
    """The minutes that each of an hour's values stands for, by their ascending times in seconds.

    The median distance of two (of an even number the shorter): a value out of turn does not make an
    hour of ten-minute values want 45. But where more than a quarter of the values lies off the
    beat of that distance, they are what is left of a shorter one: then the longest on whose beat
    all of them lie. One value alone stands for one minute.
    """
    if len(time) < 2:
        return 1
    gap = np.sort(np.diff(time))
    step = int(gap[(len(gap) - 1) // 2])
    if step > 60 and gap[0] < gap[-1]:
        _, beats = np.unique(time % step, return_counts=True)
        if 4 * int(beats.max()) < 3 * len(time):
            step = int(np.gcd.reduce(gap))
    return max(step // 60, 1)


def hour_level(code: str, water: bool, flow: bool, version: str) -> validity.Level:
    """How minutes become an hour, by the version's rule of marks; how many it needs says `_least`."""
    if water and code == PH:
        level = validity.PH_HOUR
    elif water:
        weighted = flow and code != FLOW["water"]
        level = replace(validity.WATER_HOUR, method="weighted" if weighted else "mean")
    else:
        level = replace(validity.AIR_HOUR, least=1)
    return replace(level, marks=validity.mark_rule(version, "water" if water else "air"))


def _merged(
    sent: Column | None, m: Column, means: validity.Means, new: list[int], shift: int
) -> Column:
    """The hours as sent, and those made from minutes.

    A made hour has the mark of its minutes where all have the same (so a standstill stays one, where
    the rule of flue gas has but D), else the one that the rule of marks makes.
    """
    start = means.start[new] + shift
    hour = m.time // HOUR * HOUR + shift
    made: dict[int, list[int]] = {}
    arrived, flags, count = [], [], {}
    for i, second in zip(new, start.tolist(), strict=True):
        inside = hour == second
        own = {f for f, here in zip(m.flag, inside.tolist(), strict=True) if here}
        letter = "" if means.mark[i] == validity.UNKNOWN else validity.LETTERS[means.mark[i]]
        flags.append(own.pop() if len(own) == 1 else letter)
        made[second] = sorted({int(q) for q in m.seq[inside]})
        arrived.append(int(m.received[inside].max()))
        count[second] = (int(means.count[i]), int(means.good[i]))
    n = len(new)
    own = Column(
        start, means.value[new], flags, np.full(n, np.nan), np.zeros(n, dtype=np.int64),
        np.array(arrived), means.fault[new], made, count,
    )  # fmt: skip
    return joined(sent, own)


def joined(sent: Column | None, more: Column) -> Column:
    """The values of two columns, which share no time."""
    if sent is None:
        out = more
    else:
        order = np.argsort(np.concatenate([sent.time, more.time]), kind="stable")
        flags = [*sent.flag, *more.flag]
        out = Column(
            np.concatenate([sent.time, more.time])[order],
            np.concatenate([sent.value, more.value])[order],
            [flags[i] for i in order.tolist()],
            np.concatenate([sent.zs, more.zs])[order],
            np.concatenate([sent.seq, more.seq])[order],
            np.concatenate([sent.received, more.received])[order],
            np.concatenate([sent.fault, more.fault])[order],
            sent.made | more.made, sent.count | more.count, sent.parts | more.parts,
            sent.state | more.state,
        )  # fmt: skip
    out.place = {int(t): i for i, t in enumerate(out.time.tolist())}
    return out


def day_level(code: str, point: Point, flow: bool) -> validity.Level:
    """How the valid hours of a day become its mean."""
    if point.kind == Point.Kind.SOURCE and medium(point) == Medium.WATER:
        if code == PH:
            return replace(validity.PH_DAY, least=validity.WATER_DAY_356.least)
        if flow and code != FLOW["water"]:
            return validity.WATER_DAY_356
        return replace(validity.WATER_DAY_356, method="mean")
    return validity.AIR_DAY


def cells(c: Column, wanted: set[int]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(second, telegram, cell as `Judgement.factors` keeps it) of the wanted times that are there."""
    for second, value, sent, flag, fault, seq in zip(
        c.time.tolist(), c.value.tolist(), c.zs.tolist(), c.flag, c.fault.tolist(), c.seq.tolist(),
        strict=True,
    ):  # fmt: skip
        if second not in wanted:
            continue
        out: dict[str, Any] = {"value": value if -LARGEST <= value <= LARGEST else None}
        if flag:
            out["mark"] = flag
        if fault:
            out["fault"] = fault
        if -LARGEST <= sent <= LARGEST:
            out["sent"] = sent
        if second in c.parts:
            out["origin"] = "parts"
            out["parts"] = {f: x if abs(x) <= LARGEST else None for f, x in c.parts[second].items()}
        elif second in c.made:
            out["origin"] = "minutes"
        if second in c.state:
            out["state"] = c.state[second]
        if second in c.count:
            out["count"] = list(c.count[second])
        yield second, seq, out
