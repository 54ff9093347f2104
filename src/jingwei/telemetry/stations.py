"""How stations' tables are laid out: built-in mappings for `tables`, recognised by their columns.

* `air-hours`: hours of ambient-air stations as the national real-time feed of CNEMC gives them.
  Concentrations in µg/m³, CO in mg/m³: the units of HJ 212 for system type 22. In this feed the two
  ozone columns are swapped: the 1-hour mean stands in `o3_24h`. An hour bears the name of its end
  (from memory, not read in a standard: compare one hour with the station before taking it in).
* `water-rounds`: the rounds (every four hours) of the national surface-water stations. Times have no
  year. Codes of turbidity, chlorophyll a and algae are those that surface-water platforms use
  (HJ 525 itself was not read; secondary).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

WATER: Final = {
    "水温": "w01010", "ph": "w01001", "ph值": "w01001", "溶解氧": "w01009", "电导率": "w01014",
    "浊度": "w01003", "高锰酸盐指数": "w01019", "氨氮": "w21003", "总磷": "w21011", "总氮": "w21001",
    "叶绿素": "w01016", "叶绿素a": "w01016", "叶绿素α": "w01016", "藻密度": "w19011",
}  # fmt: skip
AIR: Final = {
    "so2": "a21026", "no2": "a21004", "co": "a21005", "o3": "a05024", "pm10": "a34002",
    "pm2_5": "a34004", "pm2.5": "a34004", "二氧化硫": "a21026", "二氧化氮": "a21004",
    "一氧化碳": "a21005", "臭氧": "a05024",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """One way to lay out a table. `needs`: columns by which it is known; `factors`: column → code
    (texts before a bracket count, in lower case); the rest as in a mapping."""

    name: str
    needs: frozenset[str]
    device: str
    time: Mapping[str, Any]
    st: str
    resolution: str
    factors: Mapping[str, str]
    missing: tuple[str, ...]


LAYOUTS: Final = (
    Layout(
        "air-hours",
        frozenset(("stationcode", "timepoint", "pm2_5", "o3_24h")),
        "stationcode",
        {"column": "timepoint", "format": "", "named_by_end": True},
        "22",
        "hour",
        {k: c for k, c in AIR.items() if k != "o3"} | {"o3_24h": "a05024"},
        ("-;", "-", "—", "NA"),
    ),
    Layout(
        "water-rounds",
        frozenset(("断面名称", "监测时间", "水质类别")),
        "断面名称",
        {"column": "监测时间", "format": "%m-%d %H:%M", "named_by_end": False},
        "21",
        "hour",
        WATER,
        ("--", "-", "—", "*"),
    ),
)


def layout(header: Iterable[str]) -> Layout | None:
    """The layout that a header has."""
    columns = {column.strip().lower() for column in header}
    return next((one for one in LAYOUTS if one.needs <= columns), None)
