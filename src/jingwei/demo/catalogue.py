"""What stands in the demo city: districts, organisation, enterprises, outlets, instruments.

Plain data and pure functions. Enterprises are fictional and named so; places are WGS-84
and lie inside their districts; limits are rows of `standards.limits`, named here by standard,
scope and factor, so that a limit that is not in the table cannot be invented here.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from jingwei.standards import limits, uscc

DATA = Path(str(files("jingwei.demo") / "data"))
CITY = "110000"

# ---- organisation: 1 city centre, 7 district centres, N grid stations ---------------------------

# District centres: name, name in English, districts. Beijing's 16 districts, each once.
CENTRES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("中心城区分中心", "Central district centre", ("110101", "110102")),
    ("朝阳分中心", "Chaoyang district centre", ("110105",)),
    ("西部分中心", "Western district centre", ("110107", "110108", "110109")),
    ("西南分中心", "South-western district centre", ("110106", "110111")),
    ("东南分中心", "South-eastern district centre", ("110112", "110115")),
    ("东北分中心", "North-eastern district centre", ("110113", "110117", "110118")),
    ("北部分中心", "Northern district centre", ("110114", "110116", "110119")),
)
# Departments of the city: code, name, name in English, matter.
DEPARTMENTS: tuple[tuple[str, str, str, str], ...] = (
    ("dept-housing", "住房和城乡建设委", "Housing and construction", "construction"),
    ("dept-urban", "城市管理委", "Urban management", "urban"),
    ("dept-transport", "交通委", "Transport", "transport"),
    ("dept-water", "水务局", "Water affairs", "water"),
    ("dept-agriculture", "农业农村局", "Agriculture and rural affairs", "agriculture"),
)


# The river system that drains most of a district; Beijing has five (from memory).
BASINS = {
    "110101": "北运河水系", "110102": "北运河水系", "110105": "北运河水系", "110106": "永定河水系",
    "110107": "永定河水系", "110108": "北运河水系", "110109": "永定河水系", "110111": "大清河水系",
    "110112": "北运河水系", "110113": "潮白河水系", "110114": "北运河水系", "110115": "永定河水系",
    "110116": "潮白河水系", "110117": "蓟运河水系", "110118": "潮白河水系", "110119": "永定河水系",
}  # fmt: skip


@cache
def districts() -> dict[str, dict[str, Any]]:
    """GeoJSON features of the districts by code (properties code, name, name_en; WGS-84)."""
    shapes = json.loads((DATA / "districts.geojson").read_text(encoding="utf-8"))
    return {f["properties"]["code"]: f for f in shapes["features"]}


def boundary_source() -> str:
    """Where the boundaries come from, as the data file says it."""
    shapes = json.loads((DATA / "districts.geojson").read_text(encoding="utf-8"))
    return str(shapes["source"])


def contains(geometry: dict[str, Any], longitude: float, latitude: float) -> bool:
    """Whether a GeoJSON (Multi)Polygon contains the place; even-odd rule, holes are outside."""
    polygons = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        polygons = [polygons]
    inside = False
    for polygon in polygons:
        for ring in polygon:
            for (x0, y0), (x1, y1) in pairwise(ring):
                if (y0 > latitude) != (y1 > latitude) and longitude < x0 + (latitude - y0) * (
                    x1 - x0
                ) / (y1 - y0):
                    inside = not inside
    return inside


def district_at(longitude: float, latitude: float) -> str | None:
    """Code of the district that contains the place, or None outside the city."""
    return next(
        (c for c, f in districts().items() if contains(f["geometry"], longitude, latitude)), None
    )


def middle(geometry: dict[str, Any]) -> tuple[float, float]:
    """Centroid (by area) of the largest polygon of a MultiPolygon: longitude, latitude."""

    def area(ring: list[list[float]]) -> tuple[float, float, float]:
        total = x = y = 0.0
        for (x0, y0), (x1, y1) in pairwise(ring):
            cross = x0 * y1 - x1 * y0
            total += cross
            x += (x0 + x1) * cross
            y += (y0 + y1) * cross
        return total / 2, x, y

    total, x, y = max((area(p[0]) for p in geometry["coordinates"]), key=lambda a: abs(a[0]))
    return round(x / (6 * total), 5), round(y / (6 * total), 5)


@dataclass(frozen=True, slots=True)
class Station:
    """An ambient air station. `series`: its name in the measured data."""

    series: str
    name: str
    code: str
    longitude: float
    latitude: float


@cache
def stations() -> tuple[Station, ...]:
    """The 12 stations of the measured year."""
    with (DATA / "stations.csv").open(encoding="utf-8", newline="") as f:
        return tuple(
            Station(r["station"], r["zh"], r["code"], float(r["longitude"]), float(r["latitude"]))
            for r in csv.DictReader(f)
        )


# ---- kinds of outlets ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LimitKey:
    """A row of `standards.limits`; `reference_o2` overrides the row's where its note says so."""

    standard: str
    scope: str
    factor: str
    period: Literal["hour", "day"]
    reference_o2: float | None = None

    def row(self) -> limits.LimitRow:
        """The row; of several (by temperature, say) the strictest. LookupError where there is none."""
        found = [
            r
            for r in limits.find(
                standard=self.standard, scope=self.scope, factor=self.factor, period=self.period
            )
            if r.bound == "upper"
        ]
        if not found:
            raise LookupError(f"no such limit: {self}")
        return min(found, key=lambda r: r.value)


@dataclass(frozen=True, slots=True)
class Pollutant:
    """A limited factor and the measured column that stands in for it.

    `own`: moved in time independently of the outlet's other factors (their columns would have
    the same shape). `share`: greatest value of a quiet outlet, as a share of the limit.
    """

    factor: str
    column: str
    own: bool = False
    share: float = 0.8


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of outlet: what is limited and how the accompanying factors come from the series.

    `others`: factor, column, scale, offset, decimals: value = scale x measured + offset.
    """

    title: str
    medium: Literal["air", "water"]
    series: str
    pollutants: tuple[Pollutant, ...]
    others: tuple[tuple[str, str, float, float, int], ...]
    limits: tuple[LimitKey, ...]
    height: float | None = None


def _state(
    flow: float, temperature: tuple[float, float], o2: tuple[float, float] | None
) -> tuple[tuple[str, str, float, float, int], ...]:
    """Flue-gas state from the turbine's process state: flow from CDP (9.8…15 bar), velocity from
    CDP, temperature from TAT (around 540 °C), static pressure from AP, moisture from AH, and
    oxygen falling with the load. The load, too, is taken from CDP (14.36 MWh a bar; r = 0.99 with
    TEY): TEY stands still for hours at full load, which an oxygen meter never does."""
    base, slope = temperature
    rows = [
        ("a00000", "CDP", flow, 0.0, 2),
        ("a01011", "CDP", 1.1, 0.0, 2),
        ("a01012", "TAT", slope, base - 540 * slope, 1),
        ("a01013", "AP", 0.005, -0.35 - 1013 * 0.005, 3),
        ("a01014", "AH", 0.05, 5.0, 1),
    ]
    if o2:
        most, fall = o2
        rows.insert(0, ("a19001", "CDP", -14.36 * fall, most + 139.7 * fall, 3))
    return tuple(rows)


# The scopes of `standards.limits` as an order would name them.
SCOPES = {
    "gas turbine, special limit": "天然气燃气轮机组，大气污染物特别排放限值",
    "gas, special limit": "以气体为燃料的锅炉或燃气轮机组，大气污染物特别排放限值",
    "coal boiler, special limit": "燃煤锅炉，大气污染物特别排放限值",
    "gas boiler, special": "燃气锅炉，大气污染物特别排放限值",
    "waste incinerator, each furnace": "生活垃圾焚烧炉，单炉",
    "cement kiln, special limit": "水泥窑及窑尾余热利用系统，大气污染物特别排放限值",
    "hot stove, special": "热风炉，大气污染物特别排放限值",
    "stack, new source": "新污染源，排气筒最高允许排放浓度",
    "stack, new source, any fuel; no O2 conversion": "新污染源，排气筒最高允许排放浓度（不折算含氧量）",
}


def _all(
    standard: str, scope: str, period: Literal["hour", "day"], *factors: str
) -> tuple[LimitKey, ...]:
    return tuple(LimitKey(standard, scope, f, period) for f in factors)


PM, SO2, NOX, CO, HCL, NMHC = "a34013", "a21026", "a21002", "a21005", "a21024", "a24088"
COD, NH3N, TN, TP = "w01018", "w21003", "w21001", "w21011"
_COMBUSTION = (
    Pollutant(NOX, "NOX", share=0.85),
    Pollutant(SO2, "CO", own=True, share=0.6),
    Pollutant(PM, "AFDP", own=True, share=0.7),
)
_SEWAGE_INFLOW = (("w00000", "inflow", 260.0, 0.0, 2),)

KINDS: dict[str, Kind] = {
    "turbine": Kind(
        "燃气轮机",
        "air",
        "gas_turbine",
        _COMBUSTION,
        _state(30.0, (92.0, 0.4), (15.6, 0.02)),
        (
            LimitKey("GB 13223-2011", "gas turbine, special limit", NOX, "hour"),
            # The table prints 3 % for gas boilers; its turbine rows are at 15 %.
            LimitKey("GB 13223-2011", "gas, special limit", SO2, "hour", 15.0),
            LimitKey("GB 13223-2011", "gas, special limit", PM, "hour", 15.0),
        ),
        80,
    ),
    "coal": Kind(
        "燃煤锅炉",
        "air",
        "gas_turbine",
        _COMBUSTION,
        _state(11.0, (52.0, 0.2), (7.6, 0.025)),
        _all("GB 13223-2011", "coal boiler, special limit", "hour", NOX, SO2, PM),
        180,
    ),
    "heating": Kind(
        "燃气锅炉",
        "air",
        "gas_turbine",
        _COMBUSTION,
        _state(2.5, (85.0, 0.3), (5.4, 0.02)),
        _all("GB 13271-2014", "gas boiler, special", "hour", NOX, SO2, PM),
        45,
    ),
    "incinerator": Kind(
        "焚烧炉",
        "air",
        "gas_turbine",
        (
            Pollutant(NOX, "NOX", share=0.75),
            Pollutant(CO, "CO", share=0.7),
            Pollutant(SO2, "CO", own=True, share=0.6),
            Pollutant(PM, "AFDP", own=True, share=0.6),
            Pollutant(HCL, "NOX", own=True, share=0.6),
        ),
        _state(5.0, (150.0, 0.3), (10.6, 0.03)),
        (
            *_all(
                "GB 18485-2014", "waste incinerator, each furnace", "hour", NOX, CO, SO2, PM, HCL
            ),
            *_all("GB 18485-2014", "waste incinerator, each furnace", "day", NOX, CO, SO2, PM, HCL),
        ),
        100,
    ),
    "kiln": Kind(
        "水泥窑尾",
        "air",
        "gas_turbine",
        _COMBUSTION,
        _state(14.0, (95.0, 0.3), (10.4, 0.02)),
        _all("GB 4915-2013", "cement kiln, special limit", "hour", NOX, SO2, PM),
        110,
    ),
    "stove": Kind(
        "高炉热风炉",
        "air",
        "gas_turbine",
        _COMBUSTION,
        _state(9.0, (180.0, 0.4), None),
        _all("GB 28663-2012", "hot stove, special", "hour", NOX, SO2, PM),
        60,
    ),
    "process": Kind(
        "工艺废气",
        "air",
        "gas_turbine",
        (Pollutant(NMHC, "CO", share=0.7), Pollutant(NOX, "NOX", share=0.5)),
        _state(1.6, (38.0, 0.1), None),
        (
            LimitKey("GB 16297-1996", "stack, new source", NMHC, "hour"),
            LimitKey("GB 16297-1996", "stack, new source, any fuel; no O2 conversion", NOX, "hour"),
        ),
        25,
    ),
    "effluent": Kind(
        "总排口",
        "water",
        "wwtp_melbourne",
        (
            Pollutant(COD, "cod", share=0.8),
            Pollutant(NH3N, "ammonia", share=0.7),
            Pollutant(TN, "tn", share=0.85),
            Pollutant(TP, "bod", share=0.75),
        ),
        _SEWAGE_INFLOW,
        _all("GB 18918-2002", "一级A", "day", COD, NH3N, TN, TP),
    ),
    "wastewater": Kind(
        "废水总排口",
        "water",
        "wwtp_melbourne",
        (Pollutant(COD, "cod", share=0.7), Pollutant(NH3N, "ammonia", share=0.6)),
        (("w00000", "inflow", 6.0, 0.0, 2),),
        _all("GB 8978-1996", "一级", "day", COD, NH3N),
    ),
}

# The furnace temperature follows the turbine's exhaust; of the cold one `plan` moves it below 850 °C.
KINDS["incinerator"] = replace(
    KINDS["incinerator"],
    others=(*KINDS["incinerator"].others, ("a01901", "TAT", 2.8, 960 - 2.8 * 550, 1)),
)
KINDS["cold incinerator"] = KINDS["incinerator"]

# ---- enterprises --------------------------------------------------------------------------------

# What the monitors of an outlet tell in the 30 days before the load:
#   quiet    never over a limit
#   ongoing  hours over a limit now or in the last three hours, and before
#   recent   an episode that ended 4 to 40 hours ago, and before
#   past     episodes, the last more than three days ago
#   silent   the logger has not sent for 20 hours
Story = Literal["quiet", "ongoing", "recent", "past", "silent"]


@dataclass(frozen=True, slots=True)
class Outlet:
    """An outlet with its monitor. `over`: the factor that the story is about."""

    code: str
    kind: str
    story: Story = "quiet"
    over: str = ""
    fan: bool = False  # the induced-draught fan's current is reported too (ST 51)
    tamper: str = ""  # what was done to its data for the demo (`plan.tampered`)


@dataclass(frozen=True, slots=True)
class Enterprise:
    """A fictional enterprise; `number` is its place in the list, from 1."""

    number: int
    name: str
    industry: str
    district: str
    longitude: float
    latitude: float
    outlets: tuple[Outlet, ...]

    @property
    def uscc(self) -> str:
        """A code of the right form (GB 32100-2015) whose body says 'MAJW', demo."""
        organisation = f"MAJW{self.number:04d}"
        body = f"91{self.district}{organisation}{organisation_check(organisation)}"
        return body + uscc.check_character(body)

    @property
    def permit(self) -> str:
        """Permit number: the code, a serial number and the letter of HJ 608-2017 appendix A."""
        return f"{self.uscc}001P"


def organisation_check(body: str) -> str:
    """Check character of an organisation code (GB 11714-1997): 8 digits or letters."""
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(c, 36) * w for c, w in zip(body, weights, strict=True))
    return "0123456789X0"[(11 - total % 11) % 11]


def _o(
    kind: str,
    story: Story = "quiet",
    over: str = "",
    code: str = "",
    fan: bool = False,
    tamper: str = "",
) -> Outlet:
    return Outlet(
        code or ("DW001" if KINDS[kind].medium == "water" else "DA001"), kind, story, over, fan, tamper
    )  # fmt: skip


_T, _I, _C, _S, _X, _F = (
    "thermal_power", "incineration", "cement", "sewage", "chemicals", "steel",
)  # fmt: skip
_ROWS: tuple[tuple[str, str, str, float, float, Sequence[Outlet]], ...] = (
    ("热电", _T, "110105", 116.532, 39.913, [_o("turbine", "ongoing", NOX), _o("turbine", code="DA002")]),
    ("热电", _T, "110107", 116.146, 39.921, [_o("turbine")]),
    ("热电", _T, "110106", 116.300, 39.822, [_o("turbine", "past", NOX)]),
    ("热电", _T, "110108", 116.205, 40.108, [_o("turbine"), _o("turbine", code="DA002")]),
    ("热电", _T, "110114", 116.268, 40.152, [_o("turbine", "recent", NOX)]),
    ("热电", _T, "110115", 116.440, 39.752, [_o("turbine")]),
    ("热电", _T, "110112", 116.632, 39.832, [_o("turbine", tamper="copied")]),
    ("热电", _T, "110113", 116.712, 40.044, [_o("turbine", "past", NOX)]),
    ("煤电", _T, "110111", 115.965, 39.742, [_o("coal", "recent", SO2)]),
    ("煤电", _T, "110109", 116.062, 39.935, [_o("coal")]),
    ("煤电", _T, "110118", 116.800, 40.352, [_o("coal", "past", PM)]),
    ("供热", _T, "110101", 116.433, 39.945, [_o("heating")]),
    ("供热", _T, "110102", 116.345, 39.889, [_o("heating", "recent", NOX)]),
    ("供热", _T, "110116", 116.628, 40.326, [_o("heating", tamper="stuck")]),
    ("供热", _T, "110117", 117.112, 40.150, [_o("heating")]),
    ("供热", _T, "110119", 115.978, 40.462, [_o("heating")]),
    ("供热", _T, "110114", 116.142, 40.238, [_o("heating", "past", NOX)]),
    ("垃圾焚烧", _I, "110108", 116.243, 40.062, [_o("incinerator")]),
    ("垃圾焚烧", _I, "110115", 116.502, 39.612, [_o("cold incinerator", "ongoing", CO), _o("incinerator", code="DA002")]),
    ("垃圾焚烧", _I, "110113", 116.830, 40.162, [_o("incinerator")]),
    ("垃圾焚烧", _I, "110111", 116.048, 39.652, [_o("incinerator", "past", CO)]),
    ("垃圾焚烧", _I, "110114", 116.402, 40.182, [_o("incinerator")]),
    ("水泥", _C, "110111", 116.032, 39.600, [_o("kiln", "past", NOX, fan=True)]),
    ("水泥", _C, "110114", 116.190, 40.190, [_o("kiln")]),
    ("水泥", _C, "110116", 116.702, 40.332, [_o("kiln")]),
    ("水泥", _C, "110117", 116.992, 40.192, [_o("kiln", "recent", PM)]),
    ("污水处理", _S, "110105", 116.562, 39.962, [_o("effluent", "recent", COD)]),
    ("污水处理", _S, "110106", 116.382, 39.800, [_o("effluent")]),
    ("污水处理", _S, "110108", 116.342, 40.032, [_o("effluent")]),
    ("污水处理", _S, "110112", 116.782, 39.772, [_o("effluent", "past", NH3N)]),
    ("污水处理", _S, "110115", 116.332, 39.722, [_o("effluent")]),
    ("污水处理", _S, "110113", 116.722, 40.202, [_o("effluent", "silent")]),
    ("污水处理", _S, "110114", 116.232, 40.210, [_o("effluent")]),
    ("污水处理", _S, "110109", 116.092, 39.990, [_o("effluent")]),
    ("污水处理", _S, "110119", 115.902, 40.382, [_o("effluent")]),
    ("污水处理", _S, "110118", 116.842, 40.372, [_o("effluent", "past", TN)]),
    ("化工", _X, "110111", 116.172, 39.732, [_o("process", "past", NMHC), _o("wastewater")]),
    ("化工", _X, "110115", 116.652, 39.662, [_o("process", tamper="low")]),
    ("化工", _X, "110112", 116.582, 39.752, [_o("process"), _o("wastewater", "past", COD)]),
    ("化工", _X, "110113", 116.682, 40.222, [_o("process", "silent")]),
    ("化工", _X, "110117", 117.002, 40.072, [_o("process")]),
    ("化工", _X, "110116", 116.682, 40.372, [_o("process"), _o("wastewater")]),
    ("化工", _X, "110105", 116.512, 39.852, [_o("process")]),
    ("钢铁", _F, "110107", 116.172, 39.902, [_o("stove", fan=True)]),
    ("钢铁", _F, "110111", 116.102, 39.682, [_o("stove", "past", SO2, fan=True)]),
    ("钢铁", _F, "110115", 116.322, 39.632, [_o("stove", fan=True, tamper="idle")]),
    ("钢铁", _F, "110117", 117.082, 40.132, [_o("stove", fan=True)]),
)  # fmt: skip
_DIGITS = "零一二三四五六七八九十"


@cache
def enterprises() -> tuple[Enterprise, ...]:
    """All enterprises, named 示例 (demo) and counted within their trade."""
    counts: dict[str, int] = {}
    found = []
    for number, (trade, industry, district, longitude, latitude, outlets) in enumerate(_ROWS, 1):
        counts[trade] = counts.get(trade, 0) + 1
        name = f"示例{trade}{_DIGITS[counts[trade]]}厂"
        found.append(
            Enterprise(number, name, industry, district, longitude, latitude, tuple(outlets))
        )
    return tuple(found)


def mn(district: str, family: str, serial: int) -> str:
    """A device number of 24 hexadecimal digits (EPC-96, HJ 212-2017 table 4): header 01, manager
    the district, class the family (6 digits), serial."""
    return f"010{district}{family}{serial:09X}"


def password(number: str) -> str:
    """The demo logger's password (6 digits), fixed by its device number."""
    return f"{int.from_bytes(hashlib.sha256(number.encode()).digest()[:4]) % 1_000_000:06d}"


# ---- accounts -----------------------------------------------------------------------------------

PASSWORD = "jingwei-demo"  # noqa: S105  # printed at the start, in the demo profile only
_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰文辉建国"


def person(number: int) -> tuple[str, str]:
    """A made-up name: family name, given name."""
    return _FAMILY[number * 7 % len(_FAMILY)], _GIVEN[number * 11 % len(_GIVEN)]


def accounts() -> Iterator[tuple[str, str]]:
    """The accounts that are shown at the start: user name, what it is."""
    yield "dispatcher", "市调度员 city dispatcher"
    yield "district1", "区中心 district officer, 1 to 7"
    yield "grid1", "网格员 grid officer, 1 to 16"
    yield "department", "部门联络员 department liaison, also 2 to 5"
    yield "enterprise", f"企业 enterprise, also 2 to {len(enterprises())}"
    yield "auditor", "审计员 auditor"
    yield "leader", "领导 leader"
    yield "admin", "管理员 administrator"
