"""Rows of the demo city in the office's tables: organisation, accounts, registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from jingwei.demo import catalogue, micro, plan
from jingwei.demo.catalogue import PASSWORD, accounts
from jingwei.telemetry import replay

__all__ = ["PASSWORD", "Part", "accounts", "build_organisation", "build_registry", "devices"]


@dataclass(frozen=True)
class Part:
    """How much of the city to make (tests make little of it): `enterprises` and `stations` from
    the start of their lists (None: all); `days` of history."""

    enterprises: int | None = None
    stations: int | None = None
    days: int = plan.DAYS


def build_organisation() -> None:
    """Departments with jurisdictions, and the demo accounts; existing ones stay as they are."""
    from django.contrib.auth.hashers import make_password

    from jingwei.bureau.accounts.models import Department, Jurisdiction, User

    kind = Department.Kind

    def department(code: str, name: str, name_en: str, which: str, parent: Department | None,
                   areas: tuple[str, ...] = ("",), matter: str = "") -> Department:  # fmt: skip
        made, _ = Department.objects.get_or_create(
            code=code,
            defaults={"name": name, "name_en": name_en, "kind": which, "parent": parent},
        )
        for area in areas:
            Jurisdiction.objects.get_or_create(department=made, area=area, matter=matter)
        return made

    city = department("city", "市生态环境综合指挥中心", "City command centre", kind.CITY, None)
    districts = catalogue.districts()
    grids: list[Department] = []
    centres: list[Department] = []
    for number, (name, name_en, areas) in enumerate(catalogue.CENTRES, 1):
        centre = department(f"centre-{number}", name, name_en, kind.DISTRICT, city, areas)
        centres.append(centre)
        for area in areas:
            about = districts[area]["properties"]
            grids.append(
                department(
                    f"grid-{area}",
                    f"{about['name']}网格站",
                    f"{about['name_en']} grid station",
                    kind.GRID,
                    centre,
                    (area,),
                )
            )
    grids.sort(key=lambda g: g.code)
    offices = [
        department(code, name, name_en, kind.DEPARTMENT, city, matter=matter)
        for code, name, name_en, matter in catalogue.DEPARTMENTS
    ]

    wanted: list[tuple[str, str, Department | None, str]] = [
        ("dispatcher", "dispatcher", city, ""),
        ("auditor", "auditor", city, ""),
        ("leader", "leader", city, ""),
        *((f"district{n}", "district", d, "") for n, d in enumerate(centres, 1)),
        *((f"grid{n}", "grid", d, "") for n, d in enumerate(grids, 1)),
        *(
            ("department" if n == 1 else f"department{n}", "department", d, "")
            for n, d in enumerate(offices, 1)
        ),
        *(
            ("enterprise" if e.number == 1 else f"enterprise{e.number}", "enterprise", None, e.uscc)
            for e in catalogue.enterprises()
        ),
    ]
    known = set(User.objects.values_list("username", flat=True))
    hashed = make_password(PASSWORD)  # once: a hash takes a third of a second
    people = []
    for number, (username, role, office, uscc) in enumerate(wanted):
        if username in known:
            continue
        family, given = catalogue.person(number)
        people.append(
            User(
                username=username,
                password=hashed,
                last_name=family,
                first_name=given,
                role=role,
                department=office,
                enterprise_code=uscc,
                phone="010-00000000",
            )
        )
    if "admin" not in known:
        people.append(
            User(
                username="admin",
                password=hashed,
                last_name="管理员",
                department=city,
                is_staff=True,
                is_superuser=True,
            )
        )
    User.objects.bulk_create(people)


def build_registry(now: datetime, part: Part | None = None) -> None:
    """Regions, enterprises, permits, outlets, limits and points with what they replay.

    Must run in a transaction. `now`: the moment at which the history ends.
    """
    from jingwei.bureau.registry import services
    from jingwei.bureau.registry.models import Permit, Point, Region

    part = part or Part()
    library = micro.Library(catalogue.DATA)
    source = catalogue.boundary_source()
    city, _ = Region.objects.get_or_create(
        code=catalogue.CITY,
        defaults={
            "name": "北京市", "name_en": "Beijing", "longitude": 116.4, "latitude": 40.2,
            "source": source,
        },
    )  # fmt: skip
    for code, feature in catalogue.districts().items():
        longitude, latitude = catalogue.middle(feature["geometry"])
        Region.objects.get_or_create(
            code=code,
            defaults={
                "name": feature["properties"]["name"],
                "name_en": feature["properties"]["name_en"],
                "parent": city,
                "longitude": longitude,
                "latitude": latitude,
                "geometry": feature["geometry"],
                "source": source,
            },
        )
    begin, end = date(now.year - 2, 1, 1), date(now.year + 2, 12, 31)
    for e in catalogue.enterprises()[: part.enterprises]:
        family, given = catalogue.person(e.number + 100)
        enterprise = services.create_enterprise(
            uscc=e.uscc,
            name=e.name,
            industry=e.industry,
            region_id=e.district,
            address=f"{catalogue.districts()[e.district]['properties']['name']}示例路{e.number}号（虚构）",
            longitude=e.longitude,
            latitude=e.latitude,
            contact=family + given,
            phone="010-00000000",
            fictional=True,
        )
        permit = services.create_permit(
            enterprise,
            number=e.permit,
            category=Permit.Category.KEY,
            valid_from=begin,
            valid_to=end,
        )
        for number, o in enumerate(e.outlets):
            kind = catalogue.KINDS[o.kind]
            longitude = round(e.longitude + 0.0012 * number, 5)  # a hundred metres apart
            latitude = round(e.latitude + 0.0006 * number, 5)
            outlet = services.create_outlet(
                enterprise,
                code=o.code,
                name=f"{kind.title}{'排放口' if kind.medium == 'air' else ''}",
                medium=kind.medium,
                longitude=longitude,
                latitude=latitude,
                height=kind.height,
                diameter=_diameter(kind),
                facility="boiler" if o.kind == "heating" else "",
                basin=catalogue.BASINS.get(e.district, "") if kind.medium == "water" else "",
            )
            _limits(permit, outlet, kind, begin)
            family_code = "DE0001" if kind.medium == "air" else "DE0002"
            mn = catalogue.mn(e.district, family_code, e.number * 16 + int(o.code[-1]))
            channels, words = plan.outlet(library, mn, o, now)
            altered, told = plan.tampered(o, "31", now)
            words = words + told if told else words
            silent = plan.silence(now) if o.story == "silent" else ()
            if silent:
                words += plan.SILENT
            base: dict[str, Any] = {
                "kind": Point.Kind.SOURCE,
                "outlet": outlet,
                "region_id": e.district,
                "longitude": longitude,
                "latitude": latitude,
            }
            point = _point(
                library,
                replay.Device(
                    mn,
                    "31" if kind.medium == "air" else "32",
                    catalogue.password(mn),
                    channels,
                    f"{e.name}{o.code}",
                    plan.upkeep(mn, kind.medium, now),
                    silent,
                    altered,
                    # The chemical works have renewed their loggers: they send encrypted.
                    "2025" if e.industry == "chemicals" and o.story == "quiet" else "2017",
                ),
                words,
                now,
                past=plan.past(o),
                **base,
            )
            _instruments(point, outlet, kind, furnace=o.kind.endswith("incinerator"))
            if o.fan:
                altered, told = plan.tampered(o, "51", now)
                _point(
                    library,
                    replay.Device(
                        mn, "51", catalogue.password(mn), plan.fan(mn, o.tamper == "idle"),
                        f"{e.name}{o.code}引风机", altered=altered,
                    ),
                    plan.FAN + told if told else plan.FAN,
                    now,
                    **base,
                )  # fmt: skip
    for number, s in enumerate(catalogue.stations()[: part.stations], 1):
        district = catalogue.district_at(s.longitude, s.latitude)
        mn = catalogue.mn(district or catalogue.CITY, "A10000", number)
        _point(
            library,
            replay.Device(mn, "22", catalogue.password(mn), plan.station(s.series), s.name),
            plan.AS_MEASURED,
            now,
            kind=Point.Kind.AIR_STATION,
            region_id=district,
            longitude=s.longitude,
            latitude=s.latitude,
            station_code=s.code,
        )
    for m in micro.stations() if part.stations is None else ():
        mn = catalogue.mn(micro.DISTRICT, "A20000", m.number)
        _point(
            library,
            replay.Device(
                mn, "22", catalogue.password(mn), micro.channels(m), m.name, hourly=True
            ),
            micro.WORDS,
            now,
            kind=Point.Kind.MICRO_STATION,
            region_id=micro.DISTRICT,
            longitude=m.longitude,
            latitude=m.latitude,
        )  # fmt: skip


def _diameter(kind: catalogue.Kind) -> float | None:
    """Inner diameter (m) that carries the mean flow at the mean velocity; CDP is about 12 bar."""
    scale = {factor: s for factor, _, s, _, _ in kind.others}
    if "a01011" not in scale:
        return None
    # The velocity is that of the hot flue gas, 1.4 times the dry standard flow.
    area = 1.4 * scale["a00000"] / scale["a01011"]
    return float(round(2 * (area / 3.14159) ** 0.5, 1))


def _limits(permit: Any, outlet: Any, kind: catalogue.Kind, begin: date) -> None:
    from jingwei.bureau.registry import services

    for key in kind.limits:
        row = key.row()
        reference = key.reference_o2
        if reference is None and row.reference_o2 is not None:
            reference = float(row.reference_o2)
        where = catalogue.SCOPES.get(row.scope, row.scope)
        note = f"（基准含氧量 {key.reference_o2:g}%）" if key.reference_o2 is not None else ""
        services.create_limit(
            permit,
            outlet,
            factor=key.factor,
            period=key.period,
            value=row.value,
            unit=row.unit,
            reference_o2=reference,
            source=f"{row.standard}《{row.title_zh}》{where}{note}",
            verified=row.verified,
            valid_from=begin,
        )


def _instruments(point: Any, outlet: Any, kind: catalogue.Kind, *, furnace: bool) -> None:
    """The analysers' ranges, five times the highest limit, and the furnace of an incinerator."""
    from jingwei.bureau.monitoring.models import Furnace, InstrumentRange

    highest: dict[str, float] = {}
    for key in kind.limits:
        highest[key.factor] = max(float(key.row().value), highest.get(key.factor, 0.0))
    InstrumentRange.objects.bulk_create(
        InstrumentRange(point=point, factor=factor, high=5 * value)
        for factor, value in highest.items()
    )
    if furnace:
        Furnace.objects.create(outlet=outlet, point=point, name=f"{int(outlet.code[2:])}号焚烧炉")


def _point(
    library: replay.Library, device: replay.Device, words: plan.Words, now: datetime,
    past: int = plan.DAYS, **rest: Any,
) -> Any:  # fmt: skip
    from jingwei.bureau.registry import services

    point = services.create_point(
        mn=device.mn,
        st=device.st,
        name=device.name,
        factors=[c.factor for c in device.channels],
        password=device.password,
        version=device.version,
        replay={**plan.about(library, device, words, now), "days": past},
        **rest,
    )
    if device.version == "2025":
        _key(device.mn, now)
    return point


def devices() -> Iterator[replay.Device]:
    """The replayed devices of all enabled points, in the order of their numbers."""
    from jingwei.bureau.registry.models import Point

    for p in Point.objects.filter(enabled=True, replay__isnull=False):
        if p.replay:
            yield replay.Device.from_json(
                p.replay, mn=p.mn, st=p.st, password=p.password, name=p.name,
                version=p.version, **_secrets(p.mn),
            )  # fmt: skip


def long_past() -> dict[str, int]:
    """Devices with a longer history than the others: number -> days."""
    from jingwei.bureau.registry.models import Point

    return {
        p.mn: p.replay["days"]
        for p in Point.objects.filter(enabled=True, replay__isnull=False)
        if p.replay and p.replay.get("days", plan.DAYS) > plan.DAYS
    }


def _secrets(mn: str) -> dict[str, Any]:
    """The key of a logger that encrypts, and how it writes ciphertext."""
    from django.conf import settings

    from jingwei.bureau.registry.models import Device
    from jingwei.telemetry.keys import NAME, KeyBox

    own = Device.objects.filter(mn=mn).first()
    if own is None or not own.keys:
        return {}
    box = KeyBox(settings.ENV.register.with_name(NAME))
    return {"sm4": box.open(mn, own.keys[0]["sealed"]), "form": own.form}


def _key(mn: str, now: datetime) -> None:
    """A random SM4 key for a logger of 2025, sealed."""
    import secrets

    from django.conf import settings

    from jingwei.bureau.registry.models import Device
    from jingwei.telemetry.keys import NAME, KeyBox

    box = KeyBox(settings.ENV.register.with_name(NAME))
    sealed = box.seal(mn, secrets.token_bytes(16))
    Device.objects.create(mn=mn, keys=[{"sealed": sealed, "since": now.isoformat()}])


def window(now: datetime, days: int) -> datetime:
    """Start of the history: the local midnight at or before `days` days before `now`."""
    return now - timedelta(
        seconds=now.timestamp() - replay.floor(now - timedelta(days=days), "day")
    )
