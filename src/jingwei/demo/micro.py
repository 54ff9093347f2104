"""Micro-stations of the demo city: made-up sensors in one district, in the measured air of the stations round
it, with a hidden source that nobody has registered. Fictional, and said so wherever they are shown."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

import numpy as np
import pyarrow.parquet as pq

from jingwei.demo import catalogue
from jingwei.demo.plan import Words
from jingwei.telemetry import replay

DISTRICT = "110105"
MIDDLE = (116.47, 39.92)
STEP = 0.011, 0.0085  # degrees; about 950 m
SIDE = 6  # 36 of them
HIDDEN = (116.4755, 39.9165)  # nobody's; 200 m from a micro-station
STRENGTH = {"PM2.5": 500.0, "NO2": 500.0}  # µg/m³ m/s at 0 m
FACTORS = {"PM2.5": "a34004", "NO2": "a21004"}
SERIES = "micro"
WORDS = Words(
    "Fictional: measured air of the nearest stations, with the gain, offset and noise of a made-up "
    "low-cost sensor and what a made-up hidden source adds in the measured wind.",
    "虚构：以邻近站实测空气为底，加上虚构低成本传感器的增益、截距和噪声，以及虚构的隐蔽污染源随实测风带来的增量。",
)


@dataclass(frozen=True, slots=True)
class Micro:
    number: int
    longitude: float
    latitude: float

    @property
    def name(self) -> str:
        return f"朝阳微站{self.number:02d}（虚构）"


def stations() -> Iterator[Micro]:
    """Those of the even net that lie in the district."""
    number = 0
    for j in range(SIDE):
        for i in range(SIDE):
            lon = round(MIDDLE[0] + (i - (SIDE - 1) / 2) * STEP[0] + 0.002 * (j % 2), 5)
            lat = round(MIDDLE[1] + (j - (SIDE - 1) / 2) * STEP[1], 5)
            if catalogue.district_at(lon, lat) == DISTRICT:
                number += 1
                yield Micro(number, lon, lat)


def channels(micro: Micro) -> tuple[replay.Channel, ...]:
    return tuple(
        replay.Channel(factor, f"{SERIES}/{micro.number}", name, decimals=1)
        for name, factor in FACTORS.items()
    )


class Library(replay.Library):
    """The demo's series, with those of the micro-stations, made when they are first asked for."""

    def _read(self, name: str) -> None:
        if name != SERIES:
            super()._read(name)
            return
        for series in _made():
            self.add(series)


def _made() -> Iterator[replay.Series]:
    with (catalogue.DATA / "stations.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    table = pq.read_table(catalogue.DATA / "prsa_beijing.parquet")
    names = table["station"].combine_chunks().dictionary_encode()
    codes, keys = names.indices.to_numpy(), names.dictionary.to_pylist()
    here = [codes == keys.index(r["station"]) for r in rows]

    def year(name: str) -> np.ndarray:
        values = table[name].to_numpy().astype(float)
        return np.stack([values[h] for h in here], axis=1)

    start = int(table["time"][0].as_py().replace(tzinfo=UTC).timestamp())
    there = _metres([(float(r["longitude"]), float(r["latitude"])) for r in rows])
    wind, turn = year("WSPM"), year("WD")
    known = np.isfinite(wind)
    speed = np.where(known, wind, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    speed = np.maximum(speed, 0.5)
    blows = np.nan_to_num(turn[:, 7]) + 180  # of Nongzhanguan, the nearest
    hidden = _metres([HIDDEN])[0]
    about = {
        "title": "Micro-station, fictional (made from Beijing Multi-Site Air Quality)",
        "source": "made by code from the measured stations", "licence": "CC BY 4.0",
        "units": "µg/m³",
    }  # fmt: skip
    air = {name: year(name) for name in FACTORS}
    for micro in stations():
        random = np.random.default_rng(micro.number)
        place = _metres([(micro.longitude, micro.latitude)])[0]
        weight = 1 / np.sum((there - place) ** 2, axis=1)
        share = random.dirichlet(8 * weight / weight.sum() + 1e-3)
        far = place - hidden
        away = float(np.hypot(*far))
        side = (np.degrees(np.arctan2(*far)) - blows + 180) % 360 - 180
        shape = np.where(speed < 1, 0.5, np.exp(-0.5 * (side / 25) ** 2))
        on = np.random.default_rng(7).random(len(speed)) < 0.7  # the same hours for all
        columns = {}
        for name, values in air.items():
            ok = np.isfinite(values)
            base = (np.where(ok, values, 0) @ share) / np.maximum(ok @ share, 1e-9)
            base[ok @ share < 0.5] = np.nan
            true = base + STRENGTH[name] * shape * on / speed * 300 / (away + 300)
            gain, offset = random.uniform(0.7, 1.5), random.uniform(-5, 8)
            sent = offset + gain * true * np.exp(0.1 * random.standard_normal(len(true)))
            columns[name] = replay.Cells.of(np.maximum(sent, 1.0), straight=False)
        yield replay.Series(f"{SERIES}/{micro.number}", 3600, "calendar", columns, start, about)


def _metres(places: list[tuple[float, float]]) -> np.ndarray:
    """East and north of the middle (n, 2), m; good to a percent over the city."""
    degree = 111_195.0
    return (np.array(places) - MIDDLE) * (degree * np.cos(np.radians(MIDDLE[1])), degree)
