"""A small city with real stores: telegrams go through journal and ingest into the lake."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from jingwei import hj212
from jingwei.bureau.accounts.models import Department, Jurisdiction, User
from jingwei.bureau.monitoring import services
from jingwei.bureau.registry.models import (
    Enterprise,
    Outlet,
    Permit,
    PermitLimit,
    Point,
    Region,
)
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

NOW = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # 12:30 in Beijing
COMMANDS = {"realtime": "2011", "minute": "2051", "hour": "2061", "day": "2031"}


def hour(n: int) -> datetime:
    """The start of an hour, `n` hours before the last full one at NOW."""
    return datetime(2026, 11, 20, 3, tzinfo=UTC) - timedelta(hours=n)


@dataclass
class City:
    """What the tests act on. `send` puts a telegram into the lake as the gateway and worker would."""

    root: Path
    region: Region
    other: Region
    permit: Permit
    outlet: Outlet
    point: Point
    limits: dict[str, PermitLimit]
    journal: Journal
    ingest: Ingest
    count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    received: datetime = NOW
    sent: dict[tuple[str, str, float], dict[datetime, str]] = field(default_factory=dict)

    def send(
        self,
        time: datetime,
        values: Mapping[str, tuple[float | str, str] | float | str],
        *,
        point: Point | None = None,
        mn: str = "",
        resolution: str = "hour",
        received: datetime | None = None,
        take: bool = True,
        breath: bool = True,
    ) -> int:
        """Send values (number, or number and mark) of a period; returns the telegram's number.

        `breath`: an hour that would be the fourth of equal ones differs from them in the
        eleventh decimal, as that of an instrument that works does.
        """
        p = point or self.point
        name = "Rtd" if resolution == "realtime" else "Avg"
        items = []
        for code, given in values.items():
            number, mark = given if isinstance(given, tuple) else (given, "N")
            if breath and resolution == "hour" and isinstance(number, float) and number > 0:
                number = self.breathe((mn or p.mn, code, number), time)
            fields = {name: str(number)}
            if mark:
                fields["Flag"] = mark
            items.append((code, fields))
        self.received += timedelta(seconds=1)
        at = received or self.received
        segment = hj212.segment(
            cn=COMMANDS[resolution],
            st=p.st,
            mn=mn or p.mn,
            pw=p.password,
            qn=hj212.qn(at + timedelta(milliseconds=next(self.count))),
            flag=5,
            cp=hj212.data_cp(time, items),
        )
        (seq,) = self.journal.append([Telegram(at, "192.0.2.7:4000", hj212.frame(segment))])
        if take:
            self.take()
        return seq

    def breathe(self, key: tuple[str, str, float], time: datetime) -> str:
        sent = self.sent.setdefault(key, {})
        if time not in sent:
            near = sum(abs(time - other) <= timedelta(hours=3) for other in sent) >= 3
            sent[time] = (
                f"{key[2] + time.timestamp() // 3600 % 97 * 1e-11:.11f}" if near else str(key[2])
            )
        return sent[time]

    def take(self) -> None:
        while self.ingest.step(10_000).telegrams:
            pass

    def judge(self, period: str = "hour", now: datetime = NOW) -> services.Report:
        return services.judge(now, period)

    def catch_up(self, now: datetime = NOW) -> None:
        services.catch_up(now)


def limit(
    outlet: Outlet,
    permit: Permit,
    factor: str = "a21002",
    value: str = "100",
    period: str = "hour",
    **more,
) -> PermitLimit:
    given = {
        "unit": "mg/m3",
        "reference_o2": 6.0,
        "source": "GB 13223-2011 table 1",
        "verified": "verified",
        "valid_from": date(2025, 1, 1),
    }
    return PermitLimit.objects.create(
        outlet=outlet,
        permit=permit,
        factor=factor,
        value=Decimal(value),
        period=period,
        **(given | more),
    )


def make_point(outlet: Outlet | None, region: Region, n: int = 1, **more) -> Point:
    given = {
        "mn": f"MONITOR{n:017d}",
        "st": "31",
        "name": f"示例热电一厂 {n}号烟囱",
        "kind": Point.Kind.SOURCE,
        "longitude": 116.4,
        "latitude": 39.9,
        "factors": ["a21002", "a19001"],
        "password": "123456",
    }
    return Point.objects.create(outlet=outlet, region=region, **(given | more))


def make_enterprise(region: Region, n: int = 1, **more) -> tuple[Enterprise, Permit, Outlet]:
    uscc = f"91110000000000{n:04d}"
    given = {"name": f"示例热电{n}厂", "industry": "thermal_power", "fictional": True}
    enterprise = Enterprise.objects.create(
        uscc=uscc, region=region, longitude=116.4, latitude=39.9, **(given | more)
    )
    permit = Permit.objects.create(
        enterprise=enterprise,
        number=f"{uscc}001P",
        category="key",
        valid_from=date(2025, 1, 1),
        valid_to=date(2030, 1, 1),
    )
    outlet = Outlet.objects.create(
        enterprise=enterprise, code="DA001", name="1号烟囱", medium="air", longitude=116.4, latitude=39.9
    )  # fmt: skip
    return enterprise, permit, outlet


@pytest.fixture
def city(db, data) -> Iterator[City]:
    region = Region.objects.create(code="110108", name="海淀区", name_en="Haidian")
    other = Region.objects.create(code="110105", name="朝阳区", name_en="Chaoyang")
    _enterprise, permit, outlet = make_enterprise(region)
    point = make_point(outlet, region)
    limits = {
        "hour": limit(outlet, permit),
        "day": limit(outlet, permit, period="day", value="80"),
    }
    journal = Journal(data / "journal")
    ingest = Ingest(data / "journal", data / "lake")
    yield City(data, region, other, permit, outlet, point, limits, journal, ingest)
    ingest.close()
    journal.close()


def make_user(role: str, area: str = "", enterprise: str = "", name: str = "") -> User:
    department, _created = Department.objects.get_or_create(
        code=area or "city", defaults={"name": area or "city", "kind": "city"}
    )
    Jurisdiction.objects.get_or_create(department=department, area=area)
    return User.objects.create(
        username=name or f"{role}-{area or enterprise or 'all'}",
        role=role,
        department=None if enterprise else department,
        enterprise_code=enterprise,
    )


@pytest.fixture
def dispatcher(db) -> User:
    return make_user("dispatcher")
