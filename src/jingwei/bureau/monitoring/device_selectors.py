"""What the office reads of devices: the register, the gateways' memory, the commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from jingwei import hj212
from jingwei.bureau.access import may
from jingwei.bureau.monitoring import device_labels as labels
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.registry.models import Device, Point
from jingwei.telemetry import book, health
from jingwei.telemetry.book import Book, Seen, Stranger
from jingwei.telemetry.dialogue import HISTORY
from jingwei.telemetry.intake import encrypted, masked
from jingwei.telemetry.lake import Lake
from jingwei.telemetry.observations import decode
from jingwei.telemetry.register import Register

DAYS = 7  # errors of so many days are shown
FRESH = 30.0  # seconds after which a gateway that says nothing counts as gone
SHOWN = 20  # commands on a device's page


def the_book() -> Book:
    """The book of devices in the data folder."""
    return Book(settings.ENV.register.with_name(book.NAME))


@dataclass(frozen=True)
class ErrorRow:
    """One kind of error of a device in the last days. `harm`: the telegram was refused;
    `whole_day`: of `last` the day alone is known."""

    kind: str
    label: str
    count: int
    last: datetime
    harm: bool
    whole_day: bool = False


@dataclass(frozen=True)
class Row:
    """One logger as lists and pages show it."""

    mn: str
    points: list[Point]
    version: str
    enabled: bool
    state: str  # a key of `labels.STATES`
    seen: Seen | None
    errors: list[ErrorRow]
    open: int  # commands that have not ended

    @property
    def state_label(self) -> str:
        return str(labels.STATES[self.state])

    @property
    def state_class(self) -> str:
        return labels.STATE_CLASS[self.state]

    @property
    def address(self) -> str:
        """Where it connects from; without a port where none is known."""
        return self.seen.peer.removesuffix(":0") if self.seen else ""

    @property
    def said(self) -> str:
        """The last telegram, made readable, its password masked, what was encrypted opened."""
        return _readable(self.seen.raw) if self.seen else ""

    @property
    def refused(self) -> str:
        return masked(self.seen.bad_raw) if self.seen else ""

    @property
    def reason(self) -> str:
        return labels.error(self.seen.reason) if self.seen and self.seen.reason else ""

    @property
    def error_count(self) -> int:
        return sum(e.count for e in self.errors)


def _readable(raw: bytes) -> str:
    """A telegram as text; CP of an encrypted one as the device's keys open it."""
    start = raw.find(b"CP=&&") + 5
    keys = Register(settings.ENV.register).keys
    message = decode(raw, keys)
    if start < 5 or not message.ok or not encrypted(hj212.decode(raw)):
        return masked(raw)
    time = [f"DataTime={message.data_time}"] if message.data_time else []
    params = [f"{name}={text}" for name, text in message.params.items()]
    items = [
        ",".join(f"{item.code}-{name}={text}" for name, text in item.fields.items())
        for item in message.items
    ]
    return masked(raw[:start]) + ";".join([*time, *params, *items]) + "&&"


@dataclass(frozen=True)
class KeyRow:
    """A key of a device: only since when."""

    since: datetime


def keys_of(device: Device) -> list[KeyRow]:
    """The device's keys, the present one first; without the keys."""
    return [KeyRow(datetime.fromisoformat(key["since"])) for key in device.keys]


def points(user: Any, action: str = "device.view") -> QuerySet[Point]:
    """Points whose device the user may see, or (by action) command."""
    return (
        Point.objects.restrict(user, action)
        .select_related("outlet__enterprise", "region")
        .defer("region__geometry", "outlet__enterprise__contact")
    )


def _alive() -> set[str]:
    """Gateways that beat."""
    run = settings.ENV.run
    beats = health.read(run) if run.is_dir() else {}
    return {
        name
        for name, beat in beats.items()
        if (beat.get("age") or 1e9) < FRESH and beat.get("state") != "stopped"
    }


def _state(seen: Seen | None, alive: set[str], errors: list[ErrorRow], now: datetime) -> str:
    if seen is None or (seen.last is None and not seen.connected):
        return "never"
    if not seen.connected:
        return "offline"
    if seen.gateway not in alive:
        return "unknown"
    day = now - timedelta(days=1)
    return "trouble" if any(e.harm and e.last > day for e in errors) else "online"


def devices(user: Any, mn: str = "", now: datetime | None = None) -> list[Row]:
    """The loggers of the user's points, or one of them; by name of the first point."""
    now = now or timezone.now()
    found = points(user)
    if mn:
        found = found.filter(mn=mn)
    by_mn: dict[str, list[Point]] = defaultdict(list)
    for point in found.order_by("mn", "st"):
        by_mn[point.mn].append(point)
    store = the_book()
    try:
        memory = store.devices([mn] if mn else None)
        errors: dict[str, list[ErrorRow]] = defaultdict(list)
        for device, kind, count, last in store.errors(book.day_of(now) - DAYS + 1, mn):
            if device in by_mn:
                harm = kind in labels.REFUSALS or kind.startswith("split")
                errors[device].append(ErrorRow(kind, labels.error(kind), count, last, harm))
    finally:
        store.close()
    for device, found in _odd(by_mn, mn, now).items():
        errors[device] += found
    waiting: dict[str, int] = defaultdict(int)
    for (device,) in DeviceCommand.objects.filter(finished=None).values_list("point__mn"):
        waiting[device] += 1
    alive = _alive()
    rows = [
        Row(
            mn=device,
            points=some,
            version=some[0].version,
            enabled=any(p.enabled for p in some),
            state=_state(memory.get(device), alive, errors[device], now),
            seen=memory.get(device),
            errors=errors[device],
            open=waiting[device],
        )
        for device, some in by_mn.items()
    ]
    return sorted(rows, key=lambda row: (row.points[0].name, row.mn))


def _odd(mns: Container[str], mn: str, now: datetime) -> dict[str, list[ErrorRow]]:
    """What the lake found odd in the telegrams of these loggers (`mn`: of one of them)."""
    since = timezone.localdate(now) - timedelta(days=DAYS - 1)
    counts: dict[tuple[str, str], tuple[int, date]] = {}
    for problem in Lake(settings.ENV.lake).problems(since, mn):  # the newest day first
        if problem.mn in mns:
            count, last = counts.get((problem.mn, problem.kind), (0, problem.day))
            counts[problem.mn, problem.kind] = (count + problem.count, last)
    found: dict[str, list[ErrorRow]] = defaultdict(list)
    for (mn, kind), (count, last) in counts.items():
        moment = timezone.make_aware(datetime.combine(last, time()))
        found[mn].append(ErrorRow(kind, labels.error(kind), count, moment, False, True))
    return found


def settled(mn: str) -> Device:
    """The logger's own settings, or the defaults (not saved)."""
    return Device.objects.filter(mn=mn).first() or Device(mn=mn)


# Commands ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CommandRow:
    """A command as the page shows it."""

    command: DeviceCommand
    label: str
    params: list[tuple[str, str]]
    said: list[str]  # how it stands, in sentences
    values: list[tuple[str, str]]  # what the device answered
    periods: int  # of history that came

    @property
    def state_class(self) -> str:
        state = self.command.state
        if state == DeviceCommand.State.DONE:
            return "normal"
        if state in (DeviceCommand.State.WAITING, DeviceCommand.State.SENT):
            return "watch"
        return "offline" if state in ("expired", "cancelled") else "abnormal"


def commands(user: Any, mn: str) -> list[CommandRow]:
    """The last commands to a logger that the user may see."""
    found = (
        DeviceCommand.objects.restrict(user, "device.view")
        .filter(point__mn=mn)
        .select_related("point", "actor")
        .order_by("-created", "-id")[:SHOWN]
    )
    return [command_row(one) for one in found]


def command_row(one: DeviceCommand) -> CommandRow:
    version, result = one.point.version, one.result
    said = [
        labels.returned(field, result[field], version)
        for field in ("QnRtn", "ExeRtn")
        if field in result and result[field] != 1
    ]
    if result.get("why"):
        said.append(labels.why(result["why"]))
    return CommandRow(
        command=one,
        label=labels.command(one.cn, version),
        params=[(_name(k), _clock(k, str(v))) for k, v in one.params.get("shown", {}).items()],
        periods=result.get("periods", 0) if one.cn in HISTORY else 0,
        said=said,
        values=list(_values(result.get("content", ()))),
    )


def _values(content: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for part in content:
        for name, text in part.get("params", {}).items():
            if name not in ("QN", "PolId"):
                yield labels.parameter(name), _clock(name, text)
        for item in part.get("items", ()):
            for name, text in item.items():
                if name not in ("code", "Flag", "EFlag"):
                    yield _name(f"{item['code']}-{name}"), text.strip("/")


def _name(name: str) -> str:
    """A parameter, or the field of an item, in words."""
    code, _dash, field = name.rpartition("-")
    if field == "Info":
        return labels.information(code)
    return f"{code} {labels.parameter(field)}".strip()


def _clock(name: str, text: str) -> str:
    if name.endswith("Time") and len(text) == 14 and text.isdecimal():
        return f"{text[:4]}-{text[4:6]}-{text[6:8]} {text[8:10]}:{text[10:12]}:{text[12:]}"
    return text


# Quarantine -------------------------------------------------------------------------------------


def strangers(user: Any) -> list[Stranger]:
    """Senders that are in no register, the latest first; for those who may adopt them."""
    if not may(user, "device.adopt"):
        return []
    store = the_book()
    try:
        known = set(Point.objects.values_list("mn", flat=True))
        return [s for s in store.strangers() if s.mn not in known]
    finally:
        store.close()
