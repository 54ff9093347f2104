"""Measured series played as instruments: what a logger with these data would have sent.

A `Series` is a table of real measurements in equal steps; a `Device` is a logger whose factors
(`Channel`) are columns of such series, scaled to an outlet. `Player.observe(device, time,
resolution)` says what that logger reports for a period; it is a pure function of its arguments,
so history and live data agree, and a second load gives the same telegrams.

How a value between two measured ones comes about: inside each measured step the value runs in a
straight line with the step's measured mean and the slope of van Leer's limiter (harmonic mean of
the differences to both neighbours, 0 at an extreme; B. van Leer, J. Comput. Phys. 32 (1979) 101,
MUSCL). So the mean over a step is the measured value exactly, no value lies outside its
neighbours, and nothing is invented. Missing in the source means nothing is sent.

Two clocks: `calendar` — the value of the same month, day and hour in the measured year (local
time of China, UTC+8 without summer time); `cyclic` — rows follow each other without dates and
start again after the last one, `Channel.shift` says where.

Converted values (Zs…) follow HJ 212-2017 appendix D (26)-(28): c (21 - O2s) / (21 - O2), with the
O2 of the same period as sent. Cou: C Q 1e-6 (kg) from mg/m3 and m3/s, C Q 1e-3 (kg) from mg/L and
L/s, over the seconds of the period. A day is the mean of its hours marked N.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from jingwei import hj212

Resolution = Literal["realtime", "minute", "hour", "day"]
SECONDS: dict[str, int] = {"realtime": 30, "minute": 600, "hour": 3600, "day": 86400}
# Seconds by which a logger sends one report after the other: no two share a moment and so a QN.
LATER: dict[str, int] = {"realtime": 0, "minute": 0, "hour": 1, "day": 60}
COMMANDS: dict[str, str] = {"realtime": "2011", "minute": "2051", "hour": "2061", "day": "2031"}
OFFSET = 8 * 3600  # local time of China
OXYGEN = "a19001"
FLOWS = ("a00000", "w00000")
MAX_CP = 950  # HJ 212-2017, 6.3.2: longest CP field, its marks included
# Shares of a period that must have been measured (HJ 212-2017 App. D: 45 minutes, 20 hours).
SHARE = {"realtime": 0.0, "minute": 0.75, "hour": 0.75, "day": 20 / 24}


class SeriesError(ValueError):
    """A series cannot be read or lacks a column; the text says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Cells:
    """One column: the mean of each step (NaN: missing) and the slope inside it."""

    values: array[float]
    slopes: array[float]

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray[Any, Any], *, straight: bool = True) -> Cells:
        """`straight`: lines with van Leer's slopes; else steps (directions, states)."""
        v = np.asarray(values, dtype=np.float64)
        slope = np.zeros_like(v)
        if straight and len(v) > 2:
            left, right = v - np.roll(v, 1), np.roll(v, -1) - v
            with np.errstate(invalid="ignore", divide="ignore"):
                slope = np.where(left * right > 0, 2 * left * right / (left + right), 0.0)
        return cls(array("d", v.tolist()), array("d", slope.tolist()))


@dataclass(frozen=True)
class Series:
    """A table of measurements in steps of `step` seconds.

    `about`: title, source, licence and more, shown wherever the series is shown. `start`: local
    time of the first row, a midnight, in seconds since 1970 (calendar clock only).
    """

    name: str
    step: int
    clock: Literal["calendar", "cyclic"]
    columns: Mapping[str, Cells]
    start: int = 0
    about: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).values)

    def index(self, local: int) -> int:
        """Number of the step that holds the local time (seconds since 1970 at UTC+8), shift 0."""
        if self.clock == "cyclic":
            return local // self.step % len(self)
        day, second = divmod(local, 86400)
        return (same_day(day, self.start // 86400) * 86400 + second) // self.step % len(self)

    def mean(
        self, column: str, start: int, seconds: int, shift: int = 0
    ) -> tuple[float, float, float, float]:
        """Mean, smallest and greatest value over a period and its measured share (0…1).

        `start` is Unix time; the values are NaN where the share is 0.
        """
        cells = self.columns[column]
        values, slopes, step = cells.values, cells.slopes, self.step
        local = start + OFFSET
        end = local + seconds
        total = known = 0.0
        low, high = math.inf, -math.inf
        while local < end:
            inside = local % step
            until = min(end, local - inside + step)
            at = (self.index(local) + shift) % len(values)
            value = values[at]
            if value == value:
                slope = slopes[at] / step
                first = value + slope * (inside - step / 2)
                last = value + slope * (inside + until - local - step / 2)
                total += (first + last) / 2 * (until - local)
                known += until - local
                low, high = min(low, first, last), max(high, first, last)
            local = until
        if not known:
            return math.nan, math.nan, math.nan, 0.0
        return total / known, low, high, known / seconds

    def at(self, column: str, time: int, shift: int = 0) -> float:
        """The value at a moment (Unix time); NaN where it was not measured."""
        cells = self.columns[column]
        local = time + OFFSET
        at = (self.index(local) + shift) % len(cells.values)
        return cells.values[at] + cells.slopes[at] * (local % self.step / self.step - 0.5)


@lru_cache(maxsize=4096)
def same_day(day: int, first: int) -> int:
    """Days from the first day of a measured year to the one with the month and day of `day`."""
    begins = datetime.fromtimestamp(first * 86400, UTC)
    then = datetime.fromtimestamp(day * 86400, UTC)
    if (then.month, then.day) == (2, 29):  # a measured year has 365 days
        then -= timedelta(days=1)
    year = begins.year + ((then.month, then.day) < (begins.month, begins.day))
    return (then.replace(year=year) - begins).days


class Library:
    """The series of a folder: `<name>.parquet` with a description in the metadata `jingwei`.

    A file with a `key` column holds several series, called `<name>/<value of the key>`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._series: dict[str, Series] = {}

    def add(self, series: Series) -> None:
        self._series[series.name] = series

    def __getitem__(self, name: str) -> Series:
        if name not in self._series:
            self._read(name.partition("/")[0])
        if name not in self._series:
            raise SeriesError(f"no series {name!r} in {self.folder}")
        return self._series[name]

    def _read(self, name: str) -> None:
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            raise SeriesError(f"no series {name!r}: {path} does not exist")
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {}).get(b"jingwei", b"{}"))
        if not {"clock", "step"} <= about.keys():
            raise SeriesError(f"{path}: the metadata does not say clock and step")
        key = about.get("key")
        parts = {name: table}
        if key:
            names = table[key].unique().to_pylist()
            keys = np.asarray(table[key].to_pylist(), dtype=object)
            parts = {f"{name}/{n}": table.filter(keys == n) for n in names}
        for full, part in parts.items():
            columns = {
                c: Cells.of(part[c].to_numpy(), straight=c not in about.get("steps", "").split(","))
                for c in part.column_names
                if c not in (key, "time")
            }
            start = 0
            if about["clock"] == "calendar":
                start = int(part["time"][0].as_py().replace(tzinfo=UTC).timestamp())
            self.add(Series(full, int(about["step"]), about["clock"], columns, start, about))


# ---- devices -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Channel:
    """One factor of a device: `scale` x measured + `offset`, rounded to `decimals`.

    `shift`: steps by which the series is moved. `reference_o2` (%): send converted values too.
    `mass`: send the mass of the period, or the volume where the factor is the flow.
    """

    factor: str
    series: str
    column: str
    scale: float = 1.0
    offset: float = 0.0
    shift: int = 0
    decimals: int = 2
    reference_o2: float | None = None
    mass: bool = False


@dataclass(frozen=True, slots=True)
class Weekly:
    """A mark that the device sets each week: `flag` from `hour` (local) on `weekday` (Monday 0)."""

    flag: str
    weekday: int
    hour: int
    seconds: int = 3600

    def holds(self, start: int, seconds: int) -> bool:
        """Whether the mark covers more than half of a period (or its moment)."""
        local = start + OFFSET + seconds // 2
        day, second = divmod(local, 86400)
        # 1970-01-01 was a Thursday
        return (day + 3) % 7 == self.weekday and 0 <= second - self.hour * 3600 < self.seconds


@dataclass(frozen=True, slots=True)
class Altered:
    """A span (Unix time) in which one factor is not reported as measured: `scale` multiplies it by
    `amount`, `hold` repeats the hour at its begin, `copy` sends what was measured `amount` seconds
    before. For demonstrations of what detectors find, and said so wherever the point is shown."""

    factor: str
    begin: int
    end: int
    act: Literal["scale", "hold", "copy"]
    amount: float = 0.0


@dataclass(frozen=True)
class Device:
    """A logger: key, password, factors, weekly marks, and spans (Unix time) without sending.

    `version` says how it writes; with `sm4` (2025) it encrypts, in one of `hj212.sm4.FORMS`.
    `hourly`: it sends hours alone, as low-cost sensors do.
    """

    mn: str
    st: str
    password: str
    channels: tuple[Channel, ...]
    name: str = ""
    marks: tuple[Weekly, ...] = ()
    silent: tuple[tuple[int, int], ...] = ()
    altered: tuple[Altered, ...] = ()
    version: str = "2017"
    sm4: bytes | None = None
    form: str = "raw"
    hourly: bool = False

    @property
    def key(self) -> str:
        return f"{self.mn}-{self.st}"

    @property
    def delay(self) -> timedelta:
        """How long (2 to 32 s) this logger takes after the end of a period: fixed by its key."""
        digest = hashlib.sha256(self.key.encode()).digest()
        hundredths = int.from_bytes(digest[:2]) % 3000
        return timedelta(seconds=2, milliseconds=10 * hundredths)

    def is_silent(self, time: datetime) -> bool:
        """Whether the logger sends nothing at this moment."""
        moment = time.timestamp()
        return any(begin <= moment < end for begin, end in self.silent)

    def due(self, start: datetime, resolution: Resolution) -> datetime:
        """When this logger first sends the report of the period that starts at `start`."""
        return start + timedelta(seconds=SECONDS[resolution] + LATER[resolution]) + self.delay

    def to_json(self) -> dict[str, Any]:
        """Channels, marks and silent spans as JSON values (not the password)."""
        return {
            "channels": [
                {
                    f.name: getattr(c, f.name)
                    for f in fields(c)
                    if f.name in ("factor", "series", "column", "scale")
                    or getattr(c, f.name) != f.default
                }
                for c in self.channels
            ],
            "marks": [{f.name: getattr(m, f.name) for f in fields(m)} for m in self.marks],
            "silent": [list(span) for span in self.silent],
            **({"hourly": True} if self.hourly else {}),
            **(
                {"altered": [{f.name: getattr(a, f.name) for f in fields(a)} for a in self.altered]}
                if self.altered
                else {}
            ),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], **key: Any) -> Device:
        """The device of `to_json`; `key`: mn, st, password, name, and version, sm4, form where
        they differ. `SeriesError` if malformed."""
        try:
            return cls(
                channels=tuple(Channel(**c) for c in data["channels"]),
                marks=tuple(Weekly(**m) for m in data.get("marks", ())),
                silent=tuple((int(a), int(b)) for a, b in data.get("silent", ())),
                altered=tuple(Altered(**a) for a in data.get("altered", ())),
                hourly=bool(data.get("hourly")),
                **key,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SeriesError(f"{key.get('mn')}: no replayed device in {data!r}: {error}") from None


def _read_at(device: Device, factor: str, start: int, seconds: int) -> tuple[int, int, float]:
    """From when a factor is read, over how many seconds, and times what."""
    for a in device.altered:
        if a.factor == factor and a.begin <= start < a.end:
            if a.act == "hold":
                return a.begin, 3600, 1.0
            if a.act == "copy":
                return start - int(a.amount), seconds, 1.0
            return start, seconds, a.amount
    return start, seconds, 1.0


@dataclass(slots=True)
class _Value:
    mean: float
    low: float
    high: float
    mark: str
    converted: float | None = None
    converted_low: float = math.nan
    converted_high: float = math.nan
    mass: float | None = None


class Player:
    """Says what devices report. Holds nothing but the series."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def observe(
        self, device: Device, time: datetime, resolution: Resolution
    ) -> list[tuple[str, dict[str, str]]]:
        """Items (factor, fields as sent) of the period that starts at `time` (of the moment, for
        "realtime"); empty where nothing was measured. `time` must be aware; it is cut to the
        start of its period in China's time."""
        start = floor(time, resolution)
        values = self._values(device, start, resolution)
        return [
            (channel.factor, _fields(channel, value, resolution))
            for channel, value in zip(device.channels, values, strict=True)
            if value is not None
        ]

    def _values(self, device: Device, start: int, resolution: str) -> list[_Value | None]:
        if resolution == "day":
            return self._day(device, start)
        seconds = 0 if resolution == "realtime" else SECONDS[resolution]
        mark = next((m.flag for m in device.marks if m.holds(start, seconds)), "N")
        found: list[_Value | None] = []
        for channel in device.channels:
            series = self.library[channel.series]
            at, span, times = _read_at(device, channel.factor, start, seconds)
            if not span:
                mean = low = high = series.at(channel.column, at, channel.shift)
            else:
                mean, low, high, share = series.mean(channel.column, at, span, channel.shift)
                if share < SHARE[resolution]:
                    mean = math.nan
            if mean != mean:
                found.append(None)
                continue
            a, b, digits = channel.scale * times, channel.offset * times, channel.decimals
            mean, low, high = (round(a * v + b, digits) for v in (mean, low, high))
            found.append(_Value(mean, min(low, high), max(low, high), mark))
        self._derive(device, found, seconds)
        return found

    def _derive(self, device: Device, found: list[_Value | None], seconds: int) -> None:
        by_factor = {c.factor: v for c, v in zip(device.channels, found, strict=True) if v}
        oxygen = by_factor.get(OXYGEN)
        flow = next((by_factor[f] for f in FLOWS if f in by_factor), None)
        for channel, value in zip(device.channels, found, strict=True):
            if value is None:
                continue
            if channel.reference_o2 is not None and oxygen is not None and oxygen.mean < 21:
                ratio = (21 - channel.reference_o2) / (21 - oxygen.mean)
                value.converted = value.mean * ratio
                value.converted_low, value.converted_high = value.low * ratio, value.high * ratio
            if channel.mass and flow is not None and seconds:
                if channel.factor == "a00000":
                    value.mass = flow.mean * seconds  # m3
                elif channel.factor == "w00000":
                    value.mass = flow.mean * seconds / 1e3  # m3 from L/s
                else:  # kg, from mg/m3 and m3/s or from mg/L and L/s: the same factor
                    value.mass = value.mean * flow.mean * seconds * 1e-6

    def _day(self, device: Device, start: int) -> list[_Value | None]:
        hours = [self._values(device, start + 3600 * h, "hour") for h in range(24)]
        found: list[_Value | None] = []
        for column in zip(*hours, strict=True):
            known = [v for v in column if v is not None]
            normal = [v for v in known if v.mark == "N"]
            if len(known) < 24 * SHARE["day"]:
                found.append(None)
                continue
            use = normal or known
            day = _Value(
                sum(v.mean for v in use) / len(use),
                min(v.low for v in use),
                max(v.high for v in use),
                "N" if len(normal) >= 20 else "D",
            )
            converted = [v for v in use if v.converted is not None]
            if converted:
                day.converted = sum(v.converted or 0.0 for v in converted) / len(converted)
                day.converted_low = min(v.converted_low for v in converted)
                day.converted_high = max(v.converted_high for v in converted)
            masses = [v.mass for v in known if v.mass is not None]
            day.mass = sum(masses) if masses else None
            found.append(day)
        return found

    def frames(
        self,
        device: Device,
        time: datetime,
        resolution: Resolution,
        sent: datetime,
        *,
        answer: bool = True,
        refill: bool = False,
        qn: str | None = None,
        label: timedelta = timedelta(0),
    ) -> list[bytes]:
        """The frames of one report, more than one where CP would be too long.

        `sent` gives the QN, unless it is given; `answer` asks for 9014 (Flag bit A); `refill`
        marks what is sent later (2025). `label` is the error of the logger's clock, in its QN and
        DataTime. Empty where there is nothing to say or the device is silent at `sent`.
        """
        if device.is_silent(sent):
            return []
        items = self.observe(device, time, resolution)
        local = datetime.fromtimestamp(floor(time, resolution), UTC) + label
        return frames(
            device, COMMANDS[resolution], local, items, sent + label,
            answer=answer, refill=refill, qn=qn,
        )  # fmt: skip

    def state(
        self, device: Device, time: datetime, sent: datetime, *, qn: str | None = None
    ) -> list[bytes]:
        """Device state (2021) of a source: its one treatment facility runs. Sent on connection,
        and with `qn` to a request."""
        if device.st not in ("31", "32"):
            return []
        items = [("SB1", {"RS": "1"})]
        return frames(device, "2021", time, items, sent, answer=qn is None, qn=qn)


def frames(
    device: Device,
    cn: str,
    time: datetime,
    items: Iterable[tuple[str, Mapping[str, str]]],
    sent: datetime,
    *,
    answer: bool = True,
    refill: bool = False,
    qn: str | None = None,
) -> list[bytes]:
    """Frames with these items; split packets repeat DataTime, carry PNUM and PNO, and a QN each
    (in 2005 the same QN)."""
    packets: list[list[tuple[str, Mapping[str, str]]]] = []
    room = 0
    head = len(f"CP=&&DataTime={_wall(time)}&&")
    for code, values in items:
        length = sum(len(code) + len(k) + len(v) + 3 for k, v in values.items())
        if not packets or length > room:
            packets.append([])
            room = MAX_CP - head
        packets[-1].append((code, values))
        room -= length
    found = []
    for number, packet in enumerate(packets):
        later = 0 if device.version == "2005" else number
        found.append(
            upload(
                device,
                cn,
                _segment(
                    device,
                    cn,
                    hj212.data_cp(time, packet),
                    qn or hj212.qn(sent + timedelta(milliseconds=later)),
                    answer,
                    (len(packets), number + 1) if len(packets) > 1 else None,
                    refill,
                ),
            )
        )
    return found


def _segment(
    device: Device,
    cn: str,
    cp: str,
    qn: str,
    answer: bool,
    part: tuple[int, int] | None,
    refill: bool,
) -> str:
    pnum, pno = part or (None, None)
    if device.version == "2005":
        # HJ/T 212-2005 table 3: QN and Flag only where an answer is wanted or packets follow.
        head = f"QN={qn};" if answer or part else ""
        head += f"PNUM={pnum};PNO={pno};" if part else ""
        flag = f"Flag={answer + 2 * (part is not None)};" if answer or part else ""
        return f"{head}ST={device.st};CN={cn};PW={device.password};MN={device.mn};{flag}CP=&&{cp}&&"
    late = "1" if refill and device.version == "2025" else None
    return hj212.segment(
        cn=cn, st=device.st, mn=device.mn, pw=device.password, qn=qn, cp=cp, pnum=pnum, pno=pno,
        flag=(8 if device.version == "2025" else 4) + answer,  # `segment` sets the split bit
        rf=late,
    )  # fmt: skip


def upload(device: Device, cn: str, segment: str) -> bytes:
    """The frame of a data segment, encrypted where the device has a key and the command is one
    that is encrypted on its way up (HJ 212-2025 §6.4.4: 2000-2999, 1014, 3020)."""
    secret = device.sm4 is not None and (cn[0] == "2" or cn in ("1014", "3020"))
    return hj212.frame(segment, key=device.sm4 if secret else None, form=device.form)


def _wall(time: datetime) -> str:
    return (time.astimezone(UTC) + timedelta(seconds=OFFSET)).strftime("%Y%m%d%H%M%S")


def floor(time: datetime, resolution: str) -> int:
    """Unix time of the start of the period that holds `time`; the second itself for "realtime"."""
    if time.tzinfo is None:
        raise ValueError("an aware time is wanted")
    second = math.floor(time.timestamp())
    if resolution == "realtime":
        return second
    return second - (second + OFFSET) % SECONDS[resolution]


def periods(first: datetime, last: datetime, resolution: str) -> Iterator[datetime]:
    """Starts (UTC) of the periods that begin at or after `first` and end at or before `last`."""
    step = SECONDS[resolution]
    start = floor(first, resolution)
    if start < first.timestamp():
        start += step
    while start + step <= last.timestamp():
        yield datetime.fromtimestamp(start, UTC)
        start += step


def _fields(channel: Channel, value: _Value, resolution: str) -> dict[str, str]:
    digits = channel.decimals
    zs = value.converted is not None
    if resolution == "realtime":
        found = {"Rtd": f"{value.mean:.{digits}f}"}
        if zs:
            found["ZsRtd"] = f"{value.converted:.{digits}f}"
    else:
        found = {} if value.mass is None else {"Cou": f"{value.mass:.3f}"}
        found["Min"] = f"{value.low:.{digits}f}"
        found["Avg"] = f"{value.mean:.{digits}f}"
        found["Max"] = f"{value.high:.{digits}f}"
        if zs:
            found["ZsMin"] = f"{value.converted_low:.{digits}f}"
            found["ZsAvg"] = f"{value.converted:.{digits}f}"
            found["ZsMax"] = f"{value.converted_high:.{digits}f}"
    found["Flag"] = value.mark
    return found
