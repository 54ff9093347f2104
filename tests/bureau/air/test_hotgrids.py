"""Hot grids in the room: files of satellites and telegrams of stations, runs, findings, pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xarray
from django.test import Client
from django.urls import reverse

import world as worlds
from jingwei import hj212
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.forecast.history import History
from jingwei.bureau.air import forecasting, hotgrids
from jingwei.bureau.air import hotgrid_selectors as selectors
from jingwei.bureau.air import hotgrid_services as services
from jingwei.bureau.air.models import HotCell, HotGrid, SatelliteScene, State
from jingwei.bureau.air.tracing import RefusedError
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.registry.models import Point, Region
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

SPOT = (116.25, 39.95)  # where the columns are high
WEST = {
    "type": "Polygon",
    "coordinates": [[[116.0, 39.8], [116.4, 39.8], [116.4, 40.2], [116.0, 40.2], [116.0, 39.8]]],
}
EAST = {
    "type": "Polygon",
    "coordinates": [[[116.4, 39.8], [116.7, 39.8], [116.7, 40.2], [116.4, 40.2], [116.4, 39.8]]],
}


@pytest.fixture
def world(db: None) -> worlds.World:
    """Chaoyang (district) takes the west, Haidian (district_elsewhere) the east."""
    made = worlds.build()
    Region.objects.filter(pk=made.region.pk).update(geometry=WEST)
    Region.objects.filter(pk=made.elsewhere.pk).update(geometry=EAST)
    return made


def scene(
    place: Path, now: datetime, *, gas: str = "no2", days: int = 40, high: float = 80.0,
    spot: tuple[float, float] = SPOT, cloud: float = 0.3, about: dict[str, Any] | None = None,
    shift: float = 0.0,
) -> Path:  # fmt: skip
    """Columns of the days before `now` with a hump at `spot`."""
    random = np.random.default_rng(7)
    lon, lat = np.arange(115.6, 117.2, 0.04) + shift, np.arange(39.5, 40.6, 0.035)
    x, y = np.meshgrid(lon, lat)
    hump = high * np.exp(-((x - spot[0]) ** 2 * 0.59 + (y - spot[1]) ** 2) / (2 * 0.03**2))
    days_ = np.arange(days)
    table = 100 + hump + random.normal(0, 10, (days, 1, 1)) + random.normal(0, 12, (days, *x.shape))
    table[random.random(table.shape) < cloud] = np.nan
    last = now.astimezone(UTC).replace(hour=5, minute=30, second=0, microsecond=0, tzinfo=None)
    times = np.datetime64(last, "ns") - (days - days_).astype("timedelta64[D]")
    file = place / f"{gas}.nc"
    xarray.Dataset(
        {gas: (("time", "lat", "lon"), table, {"units": "umol m-2"})},
        coords={"time": times, "lat": lat, "lon": lon},
        attrs={"title": "Test columns", **(about or {})},
    ).to_netcdf(file, engine="scipy")
    return file


def now() -> datetime:
    return datetime.now(UTC)


def run(place: Path, **more: Any) -> HotGrid:
    services.take_scenes(scene(place, now(), **more))
    return services.run_now()


def test_a_file_becomes_scenes_once(world: worlds.World, tmp_path: Path) -> None:
    file = scene(tmp_path, now(), days=3)
    rows, left = services.take_scenes(file, user=world.users["dispatcher"])
    assert len(rows) == 3
    assert not left
    one = rows[0]
    assert 0 < one.seen <= one.cells
    assert one.cells == pytest.approx(60 * 44.5 / 9, rel=0.1)  # 0.7° × 0.4° in cells of 9 km²
    assert one.notes == ["quality"]
    assert not one.synthetic
    entry = EvidenceEntry.objects.get(pk=one.evidence_id)
    assert (entry.kind, entry.subject) == ("satellite", f"satellite-scene:{one.pk}")
    assert one.sha256 in entry.content
    again, _left = services.take_scenes(file)
    assert [r.pk for r in again] == [r.pk for r in rows]
    assert SatelliteScene.objects.count() == 3


def test_what_shows_nothing_of_the_city_is_said(world: worlds.World, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="没有覆盖本市任何网格：本市范围内的像元均有云"):
        services.take_scenes(scene(tmp_path, now(), days=2, cloud=1.0))
    with pytest.raises(FieldError, match=r"覆盖东经 125.6 至 127.2°.*本市位于 116.0"):
        services.take_scenes(scene(tmp_path, now(), days=2, shift=10.0))
    with pytest.raises(FieldError, match="尚未到来"):
        services.take_scenes(scene(tmp_path, now() + timedelta(days=30), days=2))
    assert not SatelliteScene.objects.exists()
    Region.objects.update(geometry=None)
    with pytest.raises(RefusedError, match="boundary"):
        services.take_scenes(scene(tmp_path, now(), days=2))


def test_the_spot_is_found_and_nothing_else(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    row = run(tmp_path)
    assert row.state == State.DONE
    cells = list(row.cells.all())
    assert cells
    for cell in cells:
        assert abs(cell.longitude - SPOT[0]) < 0.1
        assert abs(cell.latitude - SPOT[1]) < 0.08
        assert cell.region_id == "110105"
        assert cell.q <= hotgrids.RATE
    best = cells[0]
    layer = best.layers["satellite no2"]
    assert layer["high"] >= 0.25 * layer["seen"]
    assert layer["value"] - layer["background"] > 30
    assert best.group == 1
    assert row.digest
    assert EvidenceEntry.objects.get(pk=row.evidence_id).kind == "hotgrid"
    again = services.run_now()
    assert again.pk != row.pk
    assert again.digest == row.digest
    assert again.result == row.result


def test_no_spot_no_hot_cell(world: worlds.World, tmp_path: Path, data: Path) -> None:
    row = run(tmp_path, high=0.0)
    assert row.state == State.DONE
    assert row.cells.count() <= 1
    assert "反复偏高" in selectors.verdict(row, []) or row.cells.exists()


def test_too_little_is_refused_with_a_sentence(world: worlds.World, tmp_path: Path, data: Path) -> None:  # fmt: skip
    row = run(tmp_path, days=5)
    assert (row.state, row.reason) == (State.REFUSED, "nothing")
    assert "满 10 天" in selectors.why(row.reason)
    Region.objects.update(geometry=None)
    row = services.run_now()
    assert (row.state, row.reason) == (State.REFUSED, "boundary")


def test_when_a_run_is_due(world: worlds.World, tmp_path: Path) -> None:
    moment = now()
    assert not services.due(moment)  # one station, no scene
    services.take_scenes(scene(tmp_path, moment, days=2))
    assert services.due(moment)
    asked = services.ask(moment)
    assert services.ask(moment) == asked
    assert not services.due(moment)
    HotGrid.objects.update(state=State.DONE)
    assert not services.due(moment)
    assert services.due(moment + timedelta(days=32))  # another month
    SatelliteScene.objects.update(received=moment + timedelta(seconds=1))
    assert not services.due(moment + timedelta(minutes=1))  # more may follow
    later = moment + timedelta(minutes=11)
    assert services.due(later)


def test_the_worker_computes_what_is_due(world: worlds.World, tmp_path: Path, data: Path) -> None:
    services.take_scenes(scene(tmp_path, now()))
    for _tick in range(300):
        services.work(now())
        row = HotGrid.objects.first()
        if row is not None and row.state != State.WAITING:
            break
    assert row is not None
    assert row.state == State.DONE
    assert row.cells.exists()


def send(data: Path, hottest: Point, days: int) -> None:
    """NO2 of all stations, hour by hour over the days before today: one is high, the wind is weak."""
    random = np.random.default_rng(3)
    end = now().replace(minute=0, second=0, microsecond=0)
    telegrams = []
    for p in Point.objects.filter(kind="air_station"):
        for h in range(days * 24):
            time = end - timedelta(hours=h + 1)
            value = (70 if p == hottest else 40) + 4 * random.standard_normal() + 0.1 * (h % 7)
            items = [
                ("a21004", {"Avg": f"{value:.1f}", "Flag": "N"}),
                ("a01007", {"Avg": f"{2 + 0.1 * (h % 4):.1f}", "Flag": "N"}),
                ("a01008", {"Avg": f"{90 + 5 * (h % 4)}", "Flag": "N"}),
            ]
            segment = hj212.segment(
                cn="2061", st=p.st, mn=p.mn, pw=p.password, qn=hj212.qn(time), flag=5,
                cp=hj212.data_cp(time, items),
            )  # fmt: skip
            telegrams.append(Telegram(end, "192.0.2.7:4000", hj212.frame(segment)))
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


# ---- 500 m by micro-stations --------------------------------------------------------------------

DAYS = 24


def hang(world: worlds.World) -> list[Point]:
    """Four standard stations, and twelve micro-stations round the spot: the sixth beside a source."""
    for n, (east, north) in enumerate([(-0.2, 0), (0.25, 0.05), (0.05, 0.2), (0.0, -0.12)]):
        Point.objects.create(
            mn=worlds.MN[:-2] + f"{n + 40}", st="22", name=f"示例站{n}", kind="air_station",
            region=world.region, longitude=SPOT[0] + east, latitude=SPOT[1] + north,
            password="123456",
        )  # fmt: skip
    return [
        Point.objects.create(
            mn=worlds.MN[:-2] + f"{n + 10}", st="22", name=f"示例微站{n}", kind="micro_station",
            region=world.region, longitude=SPOT[0] + 0.012 * (n % 4) - 0.018,
            latitude=SPOT[1] + 0.009 * (n // 4) - 0.009, password="123456",
        )
        for n in range(12)
    ]  # fmt: skip


def report(data: Path, hottest: Point) -> None:
    """NO2 hour by hour: the same air for all with its ups and downs, a gain and offset for each
    micro-station; beside the source more when the air stands."""
    random = np.random.default_rng(5)
    end = now().replace(minute=0, second=0, microsecond=0)
    hours = DAYS * 24
    city = 40 + 15 * np.sin(np.arange(hours) / 9) + 4 * random.standard_normal(hours)
    wind = np.round(1 + 2 * random.random(hours), 1)
    telegrams = []
    for n, p in enumerate(Point.objects.filter(kind__in=Point.AMBIENT).order_by("mn")):
        micro = p.kind == Point.Kind.MICRO_STATION
        gain, offset = (0.7 + 0.06 * n, 3.0 * (n % 4)) if micro else (1.0, 0.0)
        for h in range(hours):
            value = city[h] + 2 * random.standard_normal()
            value += 40 * (p == hottest) * (wind[h] < 2)
            items = [("a21004", {"Avg": f"{max(offset + gain * value, 0):.1f}", "Flag": "N"})]
            if not micro:
                items += [
                    ("a01007", {"Avg": f"{wind[h]:.1f}", "Flag": "N"}),
                    ("a01008", {"Avg": f"{90 + 5 * (h % 4)}", "Flag": "N"}),
                ]
            time = end - timedelta(hours=hours - h)
            segment = hj212.segment(
                cn="2061", st=p.st, mn=p.mn, pw=p.password, qn=hj212.qn(time), flag=5,
                cp=hj212.data_cp(time, items),
            )  # fmt: skip
            telegrams.append(Telegram(end, "192.0.2.7:4000", hj212.frame(segment)))
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


def test_micro_stations_show_500_m_inside_a_hot_cell_and_by_region(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    micro = hang(world)
    report(data, micro[5])
    row = run(tmp_path)
    assert row.state == State.DONE
    assert row.result["said"]["stations"] == 5  # micro-stations are no stations of the 3 km
    told = row.result["micro"]
    assert len(told["stations"]) == 12
    assert {s["factors"]["NO2"]["why"] for s in told["stations"]} == {""}
    assert len(told["cells"]) == 12
    (hot,) = [c for c in told["cells"] if c["hot"]]
    assert hot["stations"] == ["示例微站5"]
    assert hot["where"] == "in"
    figures = hot["layers"]["micro NO2"]
    assert figures["low"] < figures["excess"] < figures["upper"]
    assert figures["excess"] == pytest.approx(20, abs=7)
    assert figures["high"] > 0.9 * figures["seen"]
    assert figures["hours"] > 20 * figures["seen"]
    cell = row.cells.get(size=500)
    assert (cell.name, cell.region_id) == (hot["name"], world.region.pk)

    # A region alone: the same cell, no 3 km; its finding is a hot spot of 500 m and goes on.
    finding = services.raise_finding(world.users["dispatcher"], cell.pk)
    assert finding.kind == "air_hotspot"
    assert finding.facts["extent_m"] == 500
    assert finding.facts["factor"] == "a21004"
    assert "指示性" in finding.confidence
    assert "500 米" in finding.title
    alone = services.run_now(region=world.region)
    assert alone.state == State.DONE
    assert [c.size for c in alone.cells.all()] == [500]
    assert alone.cells.get().finding == finding
    assert Finding.objects.count() == 1
    assert services.due(now()) is False  # a region's run is none of the city's
    nothing = services.run_now(region=world.elsewhere)
    assert (nothing.state, nothing.reason) == (State.REFUSED, "micro")
    assert "未登记微站" in selectors.why(nothing.reason)
    assert "不足八个" in selectors.why("micro few")

    # The pages.
    page = login(world, "dispatcher").get(reverse("air:hotgrids"), {"run": row.pk})
    text = page.content.decode()
    assert "示例微站5" in text
    assert "指示性" in text
    assert page.context["fine_hot"] == 1
    assert len(page.context["shapes"]["fine"]) == 12
    assert sum(f[3] for f in page.context["shapes"]["fine"]) == 1
    text = (
        login(world, "dispatcher").get(reverse("air:hotgrids"), {"run": alone.pk}).content.decode()
    )
    assert "微站 500 米网格" in text
    answer = login(world, "dispatcher").get(reverse("air:fine_csv"), {"run": row.pk})
    body = b"".join(answer) if answer.streaming else answer.content
    lines = body.decode("utf-8-sig").splitlines()
    assert len(lines) == 13
    assert lines[1].startswith(hot["name"])
    # Elsewhere: the hot cell is not theirs, the others are.
    page = login(world, "district_elsewhere").get(reverse("air:hotgrids"), {"run": row.pk})
    assert page.context["fine_hot"] == 0
    assert hot["name"] not in {f.told["name"] for f in page.context["fine"]}
    assert len(page.context["fine"]) == 11


def test_no_micro_station_no_500_m_and_the_page_says_why(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    row = run(tmp_path)
    assert row.result["micro"] == {"cells": [], "stations": [], "why": ""}
    text = login(world, "dispatcher").get(reverse("air:hotgrids")).content.decode()
    assert "该处未登记微站" in text
    answer = login(world, "dispatcher").post(
        reverse("air:hotgrids_compute"), {"region": world.region.pk}
    )
    assert answer.status_code == 404  # none hangs there
    Point.objects.create(
        mn=worlds.MN[:-2] + "77", st="22", name="示例微站", kind="micro_station",
        region=world.region, longitude=116.3, latitude=39.9, password="123456",
    )  # fmt: skip
    answer = login(world, "dispatcher").post(
        reverse("air:hotgrids_compute"), {"region": world.region.pk}
    )
    assert answer.status_code == 302
    assert HotGrid.objects.get(state=State.WAITING).region == world.region
    assert login(world, "auditor").post(reverse("air:hotgrids_compute")).status_code == 403


def test_residuals_are_what_known_stacks_leave_unexplained(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    for n in range(10, 22):
        Point.objects.create(
            mn=worlds.MN[:-2] + f"{n:02d}", st="22", name=f"示例站{n}", kind="air_station",
            region=world.region, longitude=116.05 + 0.05 * (n - 10), latitude=39.85 + 0.1 * (n % 3),
            password="123456",
        )  # fmt: skip
    hottest = Point.objects.get(mn=worlds.MN[:-2] + "12")
    send(data, hottest, 13)
    row = services.run_now()
    assert row.state == State.DONE
    assert {"station NO2", "residual NO2"} <= set(row.result["layers"])
    assert row.result["layers"]["residual NO2"]["days"] >= 11
    names = {c.name: c for c in row.cells.all()}
    assert len(names) == 1
    cell = next(iter(names.values()))
    assert abs(cell.longitude - hottest.longitude) < 0.03
    assert cell.layers["residual NO2"]["value"] == pytest.approx(30, abs=6)
    told = selectors.said(row)
    assert any("没有卫星数据" in s for s in told)


def test_stations_outside_the_cells_are_named_and_do_not_count(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    for n, kind in ((1, "air_station"), (2, "micro_station")):
        Point.objects.create(
            mn=worlds.MN[:-2] + f"{n + 50}", st="22", name=f"境外站{n}", kind=kind,
            region=world.region, longitude=SPOT[0] + 3, latitude=SPOT[1], password="123456",
        )  # fmt: skip
    row = run(tmp_path)
    assert row.state == State.DONE
    assert row.result["away"] == ["境外站1", "境外站2"]
    assert row.result["said"]["stations"] == 1
    assert row.result["micro"]["stations"] == []
    page = login(world, "dispatcher").get(reverse("air:hotgrids"), {"run": row.pk})
    assert "2 个站点" in page.content.decode()
    assert "境外站1、境外站2" in page.content.decode()


# ---- findings -----------------------------------------------------------------------------------


def test_a_hot_cell_becomes_one_finding(world: worlds.World, tmp_path: Path, data: Path) -> None:
    row = run(tmp_path)
    cell = row.cells.all()[0]
    user = world.users["dispatcher"]
    finding = services.raise_finding(user, cell.pk)
    assert services.raise_finding(user, cell.pk) == finding
    assert finding.kind == "satellite"
    assert finding.facts["gas"] == "no2"
    assert finding.facts["cell_m"] == 3000
    assert finding.facts["satellite"] == "Test columns"
    assert finding.facts["value"] > finding.facts["background"]
    assert (finding.longitude, finding.latitude) == (cell.longitude, cell.latitude)
    assert finding.region_id == "110105"
    assert finding.innocent
    assert cell.name in finding.title
    # Next month the cell is hot again: the open finding goes on, none comes anew.
    again = services.run_now()
    same = again.cells.get(name=cell.name)
    assert same.finding == finding
    assert Finding.objects.count() == 1
    # Merged into another that is open: it goes on with that.
    other = services.notice(
        kind="fire", episode="elsewhere", title="示例", region=world.region, longitude=116.3,
        latitude=39.9, began=finding.began, ended=finding.ended,
    )[0]  # fmt: skip
    Finding.objects.filter(pk=finding.pk).update(state=Finding.State.MERGED, merged_into=other)
    merged = services.run_now()
    assert merged.cells.get(name=cell.name).finding == finding
    Finding.objects.filter(pk=finding.pk).update(state=Finding.State.NEW, merged_into=None)
    # Dismissed: the next run offers the cell anew.
    Finding.objects.update(state=Finding.State.DISMISSED)
    third = services.run_now()
    assert third.cells.get(name=cell.name).finding is None


def test_who_may_raise(world: worlds.World, tmp_path: Path, data: Path) -> None:
    cell = run(tmp_path).cells.all()[0]
    with pytest.raises(Refused):
        services.raise_finding(world.users["auditor"], cell.pk)
    with pytest.raises(HotCell.DoesNotExist):
        services.raise_finding(world.users["district_elsewhere"], cell.pk)
    assert services.raise_finding(world.users["district"], cell.pk).pk


def login(world: worlds.World, name: str) -> Client:
    client = Client()
    client.force_login(world.users[name])
    return client


def test_the_page_shows_what_the_reader_may_see(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    row = run(tmp_path, about={"comment": "SYNTHETIC"})
    cell = row.cells.all()[0]
    page = login(world, "dispatcher").get(reverse("air:hotgrids"))
    text = page.content.decode()
    assert page.status_code == 200
    assert cell.name in text
    assert "列为线索" in text
    assert "虚构" in text  # made up, and said so
    shapes = page.context["shapes"]
    assert len(shapes["cells"]) == row.result["tested"]
    (mine,) = [c for c in shapes["cells"] if c[3] == cell.name]
    assert shapes["west"] + (mine[1] + 0.5) * shapes["dx"] == pytest.approx(
        cell.longitude, abs=1e-4
    )
    assert shapes["south"] + (mine[0] + 0.5) * shapes["dy"] == pytest.approx(
        cell.latitude, abs=1e-4
    )
    other = login(world, "district_elsewhere").get(reverse("air:hotgrids"))
    assert cell.name not in other.content.decode()
    assert not other.context["rows"]
    auditor = login(world, "auditor").get(reverse("air:hotgrids")).content.decode()
    assert cell.name in auditor
    assert "列为线索" not in auditor
    csv = login(world, "dispatcher").get(reverse("air:hotgrids_csv"))
    lines = b"".join(csv.streaming_content).decode().splitlines()
    assert len(lines) >= 1 + row.cells.count()
    assert login(world, "enterprise").get(reverse("air:hotgrids")).status_code == 403


def test_the_button_leads_to_the_four_steps(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    cell = run(tmp_path).cells.all()[0]
    client = login(world, "dispatcher")
    answer = client.post(reverse("air:raise_cell", args=[cell.pk]))
    finding = Finding.objects.get()
    assert answer.status_code == 302
    assert answer.url == f"{reverse('cases:open')}?flow=four_step&finding={finding.pk}"
    form = client.get(answer.url)
    assert finding.title in form.content.decode()
    page = client.get(reverse("air:hotgrids")).content.decode()
    assert finding.get_absolute_url() in page
    elsewhere = login(world, "district_elsewhere").post(reverse("air:raise_cell", args=[cell.pk]))
    assert elsewhere.status_code == 404


def test_the_page_waits_for_what_the_worker_will_begin(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    services.take_scenes(scene(tmp_path, now()))
    client = login(world, "dispatcher")
    assert "计算中" in client.get(reverse("air:hotgrids")).content.decode()
    looks = {"HX-Request": "true"}
    assert client.get(reverse("air:hotgrids"), headers=looks).status_code == 204
    services.run_now()
    assert client.get(reverse("air:hotgrids"), headers=looks)["HX-Refresh"] == "true"


def test_the_page_without_a_run_and_while_it_waits(world: worlds.World, tmp_path: Path) -> None:
    client = login(world, "dispatcher")
    assert "尚未计算" in client.get(reverse("air:hotgrids")).content.decode()
    assert client.post(reverse("air:hotgrids_compute")).status_code == 302
    assert "计算中" in client.get(reverse("air:hotgrids")).content.decode()
    waits = client.get(reverse("air:hotgrids"), headers={"HX-Request": "true"})
    assert waits.status_code == 204
    HotGrid.objects.update(state=State.REFUSED, reason="nothing")
    assert "没有网格" in client.get(reverse("air:hotgrids")).content.decode()
    assert login(world, "district").post(reverse("air:hotgrids_compute")).status_code == 403


def test_scenes_of_older_boundaries_are_left_out_and_said(
    world: worlds.World, tmp_path: Path, data: Path
) -> None:
    services.take_scenes(scene(tmp_path, now(), days=12))
    first = services.run_now()
    assert first.state == State.DONE
    # A little more in the east: the same cells, moved.
    wide = {"type": "Polygon", "coordinates": [[[116.4, 39.8], [116.72, 39.8], [116.72, 40.2], [116.4, 40.2], [116.4, 39.8]]]}  # fmt: skip
    Region.objects.filter(pk=world.elsewhere.pk).update(geometry=wide)
    second = services.run_now()
    assert second.state == State.DONE
    assert second.result["said"]["strangers"] == 0
    assert {c.name for c in second.cells.all()} == {c.name for c in first.cells.all()}
    # Far more: another middle, other cells.
    Region.objects.filter(pk=world.elsewhere.pk).update(
        geometry={
            "type": "Polygon",
            "coordinates": [
                [[116.4, 39.8], [118.0, 39.8], [118.0, 40.2], [116.4, 40.2], [116.4, 39.8]]
            ],
        }
    )
    third = services.run_now()
    assert (third.state, third.reason) == (State.REFUSED, "nothing")


# ---- what goes in -------------------------------------------------------------------------------


def history(values: np.ndarray, **weather: np.ndarray) -> History:
    hours = np.datetime64("2026-11-01T00", "h") + np.arange(len(values))
    return History(hours, tuple(str(n) for n in range(values.shape[1])), {"NO2": values, "SO2": values}, weather)  # fmt: skip


def test_negative_readings_stay_for_calibration_and_marks_of_failure_do_not(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = forecasting.Station.of(world.station)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    readings = [-8.0, 3.0, -999.0]
    rows = pa.table(
        {
            "time": pa.array([start + timedelta(hours=h) for h in range(3)], pa.timestamp("s", "UTC")),
            "mn": [here.mn] * 3, "st": [here.st] * 3, "factor": ["a21004"] * 3, "value": readings,
            "flag": ["N"] * 3,
        }
    )  # fmt: skip

    class Lake:
        def __init__(self, _place: Any) -> None: ...

        def scan(self, *_asked: Any) -> pa.Table:
            return rows

    monkeypatch.setattr(forecasting, "Lake", Lake)
    end = start + timedelta(hours=3)
    kept, dropped = forecasting.measured([here], start, end, raw=True)
    assert kept.values["NO2"][:2, 0].tolist() == [-8.0, 3.0]
    assert np.isnan(kept.values["NO2"][2, 0])
    assert dropped["negative"] == 1
    cut, dropped = forecasting.measured([here], start, end)
    assert np.isnan(cut.values["NO2"][0, 0])
    assert dropped["negative"] == 2


def test_other_readings_wind_or_places_give_a_region_another_digest(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was left out of the micro-stations is told."""
    fine = {"cells": [{}], "stations": [], "why": ""}
    monkeypatch.setattr(hotgrids.finegrids, "compute", lambda *_a: fine)
    one = forecasting.Station.of(world.station)
    day = datetime(2026, 11, 1, tzinfo=UTC).date()
    given: dict[str, Any] = {}

    def measured(stations: Any, start: Any, end: Any, raw: bool = False) -> Any:
        return given["sent" if raw else "known"], {"negative": 0, "stuck": 3 if raw else 5}

    monkeypatch.setattr(hotgrids.forecasting, "measured", measured)

    def digest(sent: float = 1.0, known: float = 1.0, wind: float = 1.0, east: float = 0.0) -> str:
        given["sent"] = history(np.full((48, 1), sent))
        given["known"] = history(np.full((48, 1), known), speed=np.full(48, wind))
        moved = replace(one, at=(one.at[0] + east, one.at[1]))
        found = hotgrids.compute(
            hotgrids.Question(
                hotgrids.city(), day, day, [], 0, [one], None, [moved], ["110105"],
                frozenset(["110105"]),
            )
        )  # fmt: skip
        assert found["said"]["dropped_micro_stuck"] == 3
        return str(found["digest"])

    all_ = {digest(), digest(sent=2.0), digest(known=2.0), digest(wind=2.0), digest(east=0.01)}
    assert len(all_) == 5
    assert digest() in all_


def test_so2_is_lost_on_its_way_and_no2_is_not() -> None:
    plane = hotgrids.Plane(116.4, 40.0)
    n = 36
    rates = {name: np.array([10.0]) for name in hotgrids.RESIDUALS}
    given = hotgrids.Stacks(
        plane, (1,), np.array([-8000.0]), np.array([0.0]), np.array([0.0]),
        np.full((3, 1), np.nan), rates, 0,
    )  # fmt: skip
    still = np.zeros(n)
    known = history(
        np.full((n, 1), 20.0), u=still + 2, v=still, speed=still + 2, temperature=still + 15
    )
    known = replace(known, times=known.times - np.timedelta64(12, "h"))
    here = forecasting.Station(1, "1", "22", "1", "1", "2017", (116.4, 40.0), {})
    found, left = hotgrids._explained(given, [here], known)
    assert left == 0
    no2, so2 = (np.nanmean(found[n]) for n in ("NO2", "SO2"))
    assert 0.3 * no2 < so2 < 0.95 * no2


def test_the_page_shows_the_city_unless_a_region_is_asked_for(world: worlds.World) -> None:
    def make(region: Region | None, minutes: int) -> HotGrid:
        day = now().date()
        return HotGrid.objects.create(
            state=State.DONE, region=region, first=day, last=day,
            asked=now() + timedelta(minutes=minutes), result={},
        )  # fmt: skip

    part = make(world.region, 1)
    assert selectors.at("") == part
    whole = make(None, 0)
    assert selectors.at("") == whole
    assert selectors.at(str(part.pk)) == part
    assert "尚无 500 米网格功能" in selectors.why_not_fine(whole)


def test_a_cell_lies_where_most_of_its_wanted_sensors_do() -> None:
    assert hotgrids.finegrids._region(["1", "2", "2"], None) == "2"
    assert hotgrids.finegrids._region(["1", "2", "2"], frozenset(["1"])) == "1"
