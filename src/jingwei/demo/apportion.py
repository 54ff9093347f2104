"""Samples whose sources are sought: the EPA's example set of St. Louis as measured, and a set made up
for a station of the city, whose sources are known because they were put in."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import resources

import numpy as np

DAYS = 10
# What is put into the made-up set: source of the published profiles, mean in µg/m³.
MADE = (
    ("Ammonium sulfate", 14.0), ("Ammonium nitrate", 12.0), ("Coal Combustion", 9.0),
    ("Gasoline Exhaust", 11.0), ("Iron and Steel Production", 8.0),
)  # fmt: skip
SPECIES = (
    "SO4",
    "NO3",
    "NH4",
    "EC",
    "Al",
    "Si",
    "K",
    "Ca",
    "Cr",
    "Mn",
    "Fe",
    "Cu",
    "Zn",
    "Pb",
    "Ba",
)
FROM = {
    "Coal Combustion": 0.0,
    "Iron and Steel Production": 225.0,
}  # degrees where the wind comes from


def build(anchor: datetime) -> None:
    """Keep both sets and ask; the worker answers after the start."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.air.models import SampleSet

    if SampleSet.objects.exists():
        return
    dispatcher = User.objects.get(username="dispatcher")
    measured(dispatcher)
    made(anchor, dispatcher)


def measured(user: object) -> None:
    from jingwei.analysis.air.apportion import tables
    from jingwei.bureau.air import apportion_services as services
    from jingwei.bureau.air import apportioning
    from jingwei.evidence import digest

    files, contents = [], []
    for name in ("st_louis_con.csv", "st_louis_unc.csv"):
        content = (resources.files("jingwei.demo") / "data" / name).read_bytes()
        files.append({"name": name, "sha256": digest.both(content)["sha256"]})
        contents.append(apportioning.rows(content))
    table = tables.parse(contents[0], contents[1])
    row, _new = services.keep_samples(
        table, name="美国圣路易斯 PM2.5（EPA 示例数据）", hours=1.0, files=files, user=user,
        source="U.S. EPA, PMF example data (quanted/esat, Apache-2.0)",
    )  # fmt: skip
    use = {s.species: s.advice for s in tables.screen(table)}
    use["EC"] = use["Cd"] = "weak"  # tracers; just below the advised signal to noise
    services.ask(
        row,
        {"use": use, "factors": [3, 4, 5, 6, 7, 8], "robust": True, "forbidden": [],
         "balance": ["Ammonium sulfate", "Ammonium nitrate", "Gasoline Exhaust", "Iron and Steel Production", "Coal Combustion"]},
        user,
    )  # fmt: skip


def made(anchor: datetime, user: object) -> None:
    """Hours of the days before `anchor` at a station, mixed from published profiles by the wind that the
    station measured; errors of 10 %."""
    from django.utils import timezone

    from jingwei.analysis.air.apportion import profiles, tables
    from jingwei.bureau.air import apportion_services as services
    from jingwei.bureau.air import tracing
    from jingwei.bureau.air.readings import DIRECTION, SPEED
    from jingwei.bureau.registry.models import Point

    station = Point.objects.filter(kind=Point.Kind.AIR_STATION).order_by("pk").first()
    if station is None:
        return
    start = anchor.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    hours = 24 * DAYS
    wind = tracing.means([station], (SPEED, DIRECTION), start, hours)
    speed = np.nan_to_num(wind[SPEED][:, 0], nan=1.5)
    direction = np.nan_to_num(wind[DIRECTION][:, 0], nan=90.0)
    random = np.random.default_rng(20)
    times = [
        timezone.localtime(start + timedelta(hours=h)).replace(tzinfo=None) for h in range(hours)
    ]
    clock = np.array([t.hour for t in times])
    library = profiles.read(profiles.BUNDLED)
    total = np.zeros((hours, len(SPECIES)))
    mass = np.zeros(hours)
    for source, mean in MADE:
        course = np.zeros(hours)
        slow = random.normal(size=hours)
        for h in range(1, hours):
            slow[h] = 0.9 * slow[h - 1] + 0.44 * slow[h]
        course = np.exp(0.7 * slow)
        if source in FROM:
            away = np.abs((direction - FROM[source] + 180) % 360 - 180)
            course *= np.exp(-((away / 40) ** 2)) + 0.05
        elif source == "Gasoline Exhaust":
            course *= 0.4 + np.exp(-((clock - 8) ** 2) / 6) + np.exp(-((clock - 18) ** 2) / 6)
        course *= mean / course.mean() / (1 + 0.1 * speed)
        parts = profiles.FORMED.get(source)
        if parts is None:
            at = library.sources.index(source)
            parts = {
                n: float(v)
                for n, v in zip(library.species, library.values[at], strict=True)
                if np.isfinite(v)
            }
        row = np.array([parts.get(profiles.key(s), 0.0) for s in SPECIES])
        total += course[:, None] * row
        mass += course
    both = np.column_stack([total, mass])
    both *= np.exp(0.1 * random.normal(size=both.shape))
    floor = 0.05 * both.mean(axis=0) + 1e-5
    errors = np.sqrt((0.1 * both) ** 2 + floor**2)
    head = ["时间", *SPECIES, "PM2.5"]
    rows = [[t, *map(float, r)] for t, r in zip(times, both, strict=True)]
    sizes = [[t, *map(float, r)] for t, r in zip(times, errors, strict=True)]
    table = tables.parse(list(enumerate([head, *rows], 1)), list(enumerate([head, *sizes], 1)))
    kept, _new = services.keep_samples(
        table, name=f"{station.name} PM2.5 组分（演示合成）", station=station, hours=1.0,
        synthetic=True, source="演示合成数据，非实测", user=user,
    )  # fmt: skip
    use = {s.species: s.advice for s in tables.screen(table)}
    services.ask(
        kept,
        {"use": use, "factors": [3, 4, 5, 6, 7], "robust": True, "forbidden": [],
         "balance": [source for source, _mean in MADE]},
        user,
    )  # fmt: skip
