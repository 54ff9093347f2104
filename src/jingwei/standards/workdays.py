"""Working days of China and deadlines reckoned in them, each with its derivation.

How periods are reckoned (Civil Code art. 201 and 203; what "days" of an act are working days is
said by the act itself, for example art. 85 of the Administrative Penalty Law): the day on which a
period starts is not counted, and it ends at 24:00 of its last day; a period of calendar days that
would end on a day off ends on the next working day. Periods in hours run at once; working hours
run from 08:30 to 12:00 and from 13:30 to 18:00 of working days.

The days off and the make-up working days stand in `data/holidays_cn.csv` (facts of the yearly
notices of the State Council, by way of two agreeing packages: secondary). For a year without data
only weekends are known: the derivation then carries a warning, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from jingwei.standards import tables

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
OFFICE: Final = ((time(8, 30), time(12, 0)), (time(13, 30), time(18, 0)))
LONGEST: Final = 3660

Unit = Literal["working_days", "working_hours", "days", "hours"]
Since = Literal["received", "issued", "due", "state", "filed", "told", "decided"]
_UNITS: Final = {
    "working_days": ("个工作日", "working day", "working days"),
    "working_hours": ("个工作小时", "working hour", "working hours"),
    "days": ("日", "day", "days"),
    "hours": ("小时", "hour", "hours"),
}
# What happened at the start of a period, as a derivation says it.
_SINCE: Final[dict[Since, tuple[str, str]]] = {
    "received": ("收到", "received"),
    "issued": ("签发", "issued"),
    "due": ("原定截止", "was due"),
    "state": ("进入本环节", "in this state since"),
    "filed": ("立案", "filed"),
    "told": ("通知", "told"),
    "decided": ("作出决定", "decided"),
}
_WEEKDAYS_ZH: Final = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"]
_WEEKDAYS_EN: Final = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A period: `Rule(5, "working_days")`. Raises ValueError outside 1..3660 or for another unit."""

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            raise ValueError(f"unit {self.unit!r}: wanted one of {', '.join(_UNITS)}")
        if not 1 <= self.amount <= LONGEST:
            raise ValueError(f"a period of {self.amount}: wanted 1 to {LONGEST}")

    def text(self, language: str = "zh") -> str:
        zh, one, many = _UNITS[self.unit]
        if language.startswith("en"):
            return f"{self.amount} {one if self.amount == 1 else many}"
        return f"{self.amount} {zh}" if zh[0] == "个" else f"{self.amount}{zh}"


@dataclass(frozen=True, slots=True)
class Day:
    """What a date is. `known`: the notice of its year is in the data."""

    date: date
    working: bool
    zh: str
    en: str
    known: bool

    @property
    def special(self) -> bool:
        """Whether it differs from the week: by a notice, not for being a weekend."""
        return bool(self.zh) and self.zh != "周末"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Exceptions from the week (date → "rest" or "work", name in Chinese, in English), and the
    years that are known in full."""

    exceptions: Mapping[date, tuple[str, str, str]]
    years: frozenset[int]


@cache
def published() -> Calendar:
    """The calendar in the data: what the yearly notices say."""
    exceptions = {
        date.fromisoformat(r["date"]): (r["kind"], r["name_zh"], r["name_en"])
        for r in tables.read("holidays_cn.csv")
    }
    return Calendar(exceptions, frozenset(d.year for d in exceptions))


def known_years() -> frozenset[int]:
    """The years whose holiday notice is in the data."""
    return published().years


def day(on: date, calendar: Calendar | None = None) -> Day:
    """Whether a date is a working day, and why; by the published calendar unless another is given,
    as everywhere in this module."""
    if isinstance(on, datetime):
        raise TypeError("wanted a date; a time has one only in its time zone")
    calendar = calendar or published()
    kind, zh, en = calendar.exceptions.get(on, ("", "", ""))
    known = on.year in calendar.years
    if kind == "rest":
        return Day(on, False, zh, en, known)
    if kind == "work":
        return Day(on, True, f"{zh}调休上班", f"make-up day for {en}", known)
    if on.weekday() >= 5:
        return Day(on, False, "周末", "weekend", known)
    return Day(on, True, "", "", known)


def is_working_day(on: date, calendar: Calendar | None = None) -> bool:
    """Whether a date is a working day."""
    return day(on, calendar).working


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a deadline was reckoned; `days` are the dates looked at after the first, in order."""

    rule: Rule
    start: datetime
    due: datetime
    days: tuple[Day, ...]
    counted: tuple[date, ...]

    @property
    def skipped(self) -> tuple[Day, ...]:
        """The days off that were passed over."""
        if self.rule.unit in ("working_days", "working_hours"):
            return tuple(d for d in self.days if not d.working)
        return tuple(d for d in self.days if not d.working and d.date not in self.counted)

    @property
    def made_up(self) -> tuple[Day, ...]:
        """The weekend days that are working days."""
        return tuple(d for d in self.days if d.working and d.zh)

    @property
    def unknown_years(self) -> tuple[int, ...]:
        """Years for which no holiday notice was there: only weekends were passed over."""
        if self.rule.unit == "hours":
            return ()
        return tuple(sorted({d.date.year for d in self.days if not d.known}))

    def to_json(self, since: Since = "received") -> dict[str, Any]:
        """The derivation as plain data, to be stored beside the deadline; `since`: see `text`."""
        return {
            "amount": self.rule.amount,
            "unit": self.rule.unit,
            "start": self.start.isoformat(),
            "due": self.due.isoformat(),
            "counted": [d.isoformat() for d in self.counted],
            "skipped": [{"date": d.date.isoformat(), "zh": d.zh, "en": d.en} for d in self.skipped],
            "made_up": [{"date": d.date.isoformat(), "zh": d.zh, "en": d.en} for d in self.made_up],
            "unknown_years": list(self.unknown_years),
            "zh": self.text("zh", since),
            "en": self.text("en", since),
        }

    def text(self, language: str = "zh", since: Since = "received") -> str:
        """One readable sentence, in Chinese or (`en…`) English; `since`: what began the period."""
        english = language.startswith("en")
        began = _SINCE[since][english]
        start = f"{self.start:%Y-%m-%d %H:%M}"
        parts: list[str] = []
        if english:
            parts.append(f"{began} {start} ({_WEEKDAYS_EN[self.start.weekday()]})")
        else:
            parts.append(f"{began} {start}（{_WEEKDAYS_ZH[self.start.weekday()]}）")
        if self.rule.unit in ("working_days", "days"):
            first = self.counted[0]
            parts.append(
                f"counted from {first} (the day itself is not counted)"
                if english
                else f"当日不计，自 {first} 起算"
            )
        if self.skipped:
            listed = ("; " if english else "、").join(_runs(self.skipped, english))
            parts.append(f"passed over: {listed}" if english else f"跳过 {listed}")
        if self.made_up:
            listed = (", " if english else "、").join(str(d.date) for d in self.made_up)
            parts.append(
                f"make-up working days counted: {listed}" if english else f"调休上班计入 {listed}"
            )
        due = _clock(self.due)
        parts.append(
            f"{self.rule.text('en')}: due {due}"
            if english
            else f"{self.rule.text('zh')}，截止 {due}"
        )
        text = " → ".join(parts)
        if self.unknown_years:
            years = ", ".join(map(str, self.unknown_years))
            text += (
                f" (warning: no holiday notice for {years} in the data; weekends only)"
                if english
                else f"（注意：尚无 {years} 年放假安排数据，只按周末推算）"
            )
        return text


def clock(moment: datetime) -> str:
    """Local date and time to the minute; the last second of a day is its 24:00."""
    return _clock(_local(moment))


def _clock(due: datetime) -> str:
    if due.time() == time(23, 59, 59):
        return f"{due:%Y-%m-%d} 24:00"
    return f"{due:%Y-%m-%d %H:%M}"


def _runs(days: tuple[Day, ...], english: bool) -> Iterator[str]:
    """Neighbouring days with one reason, as one item."""
    i = 0
    while i < len(days):
        j = i
        while (
            j + 1 < len(days)
            and days[j + 1].zh == days[i].zh
            and days[j + 1].date - days[j].date == timedelta(days=1)
        ):
            j += 1
        first, last = days[i], days[j]
        name = first.en if english else first.zh
        span = f"{first.date:%m-%d}" + ("" if i == j else f"…{last.date:%m-%d}")
        yield f"{span} {name}"
        i = j + 1


def _local(start: datetime) -> datetime:
    if start.tzinfo is None or start.utcoffset() is None:
        raise ValueError("a deadline starts at an aware time; this one has no time zone")
    return start.astimezone(SHANGHAI)


def _end(on: date) -> datetime:
    """24:00 of a day, written as its last second so that it keeps the day's date."""
    return datetime.combine(on, time(23, 59, 59), SHANGHAI)


def add_working_days(
    start: datetime, amount: int, calendar: Calendar | None = None
) -> tuple[datetime, Derivation]:
    """24:00 (stored as 23:59:59) of the `amount`-th working day after the day of `start`."""
    rule, begin = Rule(amount, "working_days"), _local(start)
    seen: list[Day] = []
    counted: list[date] = []
    on = begin.date()
    while len(counted) < amount:
        on += timedelta(days=1)
        seen.append(day(on, calendar))
        if seen[-1].working:
            counted.append(on)
    due = _end(on)
    return due, Derivation(rule, begin, due, tuple(seen), tuple(counted))


def add_days(
    start: datetime, amount: int, calendar: Calendar | None = None
) -> tuple[datetime, Derivation]:
    """24:00 (stored as 23:59:59) of the `amount`-th day after the day of `start`, or of the next
    working day where that is a day off (Civil Code art. 203).
    """
    rule, begin = Rule(amount, "days"), _local(start)
    counted = [begin.date() + timedelta(days=i) for i in range(1, amount + 1)]
    seen = [day(d, calendar) for d in counted]
    if not seen[-1].working:
        counted.pop()  # the last day moves on
        while not seen[-1].working:
            seen.append(day(seen[-1].date + timedelta(days=1), calendar))
        counted.append(seen[-1].date)
    due = _end(seen[-1].date)
    return due, Derivation(rule, begin, due, tuple(seen), tuple(counted))


def add_working_hours(
    start: datetime, amount: int, calendar: Calendar | None = None
) -> tuple[datetime, Derivation]:
    """The moment at which `amount` hours of office time (`OFFICE`) have passed since `start`."""
    rule, begin = Rule(amount, "working_hours"), _local(start)
    left = timedelta(hours=amount)
    now = begin
    seen = [day(begin.date(), calendar)]
    counted: list[date] = []
    while True:
        on = seen[-1]
        if on.working:
            for opens, closes in OFFICE:
                begins = max(now, datetime.combine(on.date, opens, SHANGHAI))
                ends = datetime.combine(on.date, closes, SHANGHAI)
                if begins >= ends:
                    continue
                if on.date not in counted:
                    counted.append(on.date)
                if begins + left <= ends:
                    due = begins + left
                    return due, Derivation(rule, begin, due, tuple(seen), tuple(counted))
                left -= ends - begins
        seen.append(day(on.date + timedelta(days=1), calendar))
        now = datetime.combine(seen[-1].date, time(0), SHANGHAI)


def working_days_between(
    begun: datetime, ended: datetime, calendar: Calendar | None = None
) -> list[date]:
    """The working days after the day of `begun` up to that of `ended`, as a period counts them."""
    first, last = _local(begun).date(), _local(ended).date()
    days = (first + timedelta(days=i) for i in range(1, (last - first).days + 1))
    return [on for on in days if is_working_day(on, calendar)]


def office_time(begun: datetime, ended: datetime, calendar: Calendar | None = None) -> timedelta:
    """How much office time (`OFFICE`, on working days) lies between two moments."""
    begun, ended = _local(begun), _local(ended)
    total = timedelta()
    for i in range((ended.date() - begun.date()).days + 1):
        on = begun.date() + timedelta(days=i)
        if not is_working_day(on, calendar):
            continue
        for opens, closes in OFFICE:
            start = max(begun, datetime.combine(on, opens, SHANGHAI))
            end = min(ended, datetime.combine(on, closes, SHANGHAI))
            total += max(end - start, timedelta())
    return total


def add_hours(
    start: datetime, amount: int, calendar: Calendar | None = None
) -> tuple[datetime, Derivation]:
    """`amount` hours after `start`, day and night."""
    rule, begin = Rule(amount, "hours"), _local(start)
    due = begin + timedelta(hours=amount)
    return due, Derivation(rule, begin, due, (), ())


def deadline(
    rule: Rule, start: datetime, calendar: Calendar | None = None
) -> tuple[datetime, Derivation]:
    """When a period that starts at `start` (aware) ends, and how that was reckoned.

    The due time is aware, in Asia/Shanghai. Raises ValueError for a start without time zone.
    """
    add = {
        "working_days": add_working_days,
        "working_hours": add_working_hours,
        "days": add_days,
        "hours": add_hours,
    }[rule.unit]
    return add(start, rule.amount, calendar)
