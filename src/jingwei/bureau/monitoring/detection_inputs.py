"""What goes to the detectors from the registry: columns with roles, limits, peers, settings read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain

from jingwei.bureau.monitoring.detecting_rows import Column, Peer, Reading
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.monitoring.models import HourNaming
from jingwei.bureau.monitoring.observations import (
    current_code,
    normal_marks,
    sent_code,
    value_unit,
)
from jingwei.bureau.registry.models import Outlet, PermitLimit, Point
from jingwei.standards import codes, units

PEERS = 5  # comparable outlets of a target, at most
LOOKED = 40  # points of the industry that are looked at for them, on either side
TOLD, SET = "3020", "3021"  # commands: read settings, change them
WHEN = "i13006"  # the time of the last calibration, no setting

# As what the detectors take a factor (codes of 2017; the longest beginning wins). Currents of fans and
# pumps: HJ 212-2017 tables B.5, B.7, B.10. Pollutants with a limit are targets.
ROLES: dict[str, str] = {
    "a19001": "o2",
    "a00000": "flow",
    "w00000": "flow",
    "a01012": "temperature",
    "a01014": "humidity",
    "a01013": "pressure",
    "a01": "state",
    "w01001": "state",
    "I33400": "load",
    "g208": "power_production",  # induced-draught fan
    "g209": "power_production",  # primary fan
    "g210": "power_production",  # secondary fan
    "e801": "load",  # lift pump
    "g102": "power_treatment",  # booster fan of the desulphurisation
    "g104": "power_treatment",  # slurry pumps
    "g201": "power_treatment",  # spray pump of the tower
    "g202": "power_treatment",  # desulphurising agent
    "g301": "power_treatment",  # ammonia injection
    "g303": "power_treatment",  # dilution fan
    "g305": "power_treatment",  # ammonia pump
    "e802": "power_treatment",  # aeration
    "i33200": "power_treatment",  # sewage works as a whole
}
POLLUTANTS = ("a2", "a3", "w0", "w2")


def role(factor: str) -> str:
    """As what the detectors take a factor that has no limit; "" for one that they pass over."""
    for size in range(len(factor), 2, -1):
        if factor[:size] in ROLES:
            return ROLES[factor[:size]]
    return ""


def columns_of(
    points: list[Point], limits: list[PermitLimit]
) -> tuple[tuple[Column, ...], tuple[str, ...], dict[str, tuple[float, float | None]]]:
    """The columns of an outlet's monitor, its targets and their limits in the unit that is sent.

    Of several limits of a factor the hourly one counts, then the lowest.
    """
    hardest: dict[str, PermitLimit] = {}
    for row in sorted(limits, key=lambda r: (r.period != "hour", r.value)):
        hardest.setdefault(row.factor, row)
    columns: dict[str, Column] = {}
    bounds: dict[str, tuple[float, float | None]] = {}
    for p in points:
        for factor in p.factors:
            code = current_code(factor, p.version)
            if code in columns:
                continue
            target = code in hardest and code.startswith(POLLUTANTS)
            kind = "target" if target else role(code)
            if not kind:
                continue
            columns[code] = Column(code, p.mn, p.st, sent_code(code, p.version), kind)
            if target:
                row = hardest[code]
                scale = units.scale(row.unit, value_unit(code, p))
                if scale is not None and row.value > 0:
                    bounds[code] = (float(row.value) * scale, row.reference_o2)
    targets = tuple(sorted(c for c, column in columns.items() if column.role == "target"))
    return tuple(columns.values()), targets, bounds


def ends(points: Iterable[int]) -> set[int]:
    """Those of the points that name their hours by the end."""
    rows = HourNaming.objects.filter(point__in=list(points), name=HourNaming.Name.END)
    return set(rows.values_list("point", flat=True))


def peers_of(outlet: Outlet, targets: Sequence[str]) -> dict[str, tuple[Peer, ...]]:
    """Outlets of other enterprises of the industry that measure the same, at most `PEERS` a target.

    Those that come next in the register, round its end: so no few outlets are everybody's peers.
    """
    near = (
        Point.objects.filter(
            enabled=True, kind=Point.Kind.SOURCE, outlet__medium=outlet.medium,
            outlet__enterprise__industry=outlet.enterprise.industry,
        )
        .exclude(outlet__enterprise=outlet.enterprise_id)
        .order_by("outlet", "st", "mn")
    )  # fmt: skip
    found: dict[str, dict[int, Peer]] = {target: {} for target in targets}
    for p in chain(
        near.filter(outlet__gt=outlet.pk)[:LOOKED], near.filter(outlet__lt=outlet.pk)[:LOOKED]
    ):
        here = {current_code(f, p.version) for f in p.factors}
        for target, group in found.items():
            if target in here and len(group) < PEERS:
                normal = tuple(sorted(normal_marks(p.version)))
                peer = Peer(p.mn, p.st, sent_code(target, p.version), normal)
                group.setdefault(p.outlet_id or 0, peer)
    return {target: tuple(group.values()) for target, group in found.items() if group}


def readings(points: Mapping[int, Sequence[Point]], end: datetime) -> dict[int, list[Reading]]:
    """Outlet -> the settings of its instruments as devices told them until `end`, in order of time.

    What the office set itself (3021) is no change to be explained: of a setting only what was read
    since, and the value that was set, are given.
    """
    places = {p.pk: outlet for outlet, group in points.items() for p in group}
    found: dict[int, list[Reading]] = defaultdict(list)
    rows = DeviceCommand.objects.filter(
        point__in=places, cn__in=(TOLD, SET), state=DeviceCommand.State.DONE, finished__lt=end
    ).order_by("finished", "pk")
    for one in rows:
        assert one.finished is not None
        here = found[places[one.point_id]]
        shown = one.params.get("shown", {})
        about = str(shown.get("PolId", ""))
        if one.cn == SET:
            told = {k.removesuffix("-Info"): v for k, v in shown.items() if k.endswith("-Info")}
        else:
            told = {
                item["code"]: item["Info"]
                for part in one.result.get("content", ())
                for item in part.get("items", ())
                if "Info" in item
            }
        for code, text in told.items():
            value = _number(str(text))
            if value is None or not _setting(code):
                continue
            name = f"{about}-{code}" if about else code
            if one.cn == SET:
                here[:] = [r for r in here if r.name != name]
            here.append(Reading(name, one.finished, value))
    return found


def _setting(code: str) -> bool:
    """Whether a code names a setting of an instrument (HJ 212-2017 table B.10, i13xxx)."""
    known = codes.device_info("2025").get(code)
    return known is not None and known.kind == "parameter" and code[:3] == "i13" and code != WHEN


def _number(text: str) -> float | None:
    try:
        value = float(text.strip().strip("/"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
