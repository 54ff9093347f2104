"""The 48-hour forecast in the room: an archive and telegrams in the lake, learning, runs, pages."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import printed
import world as worlds
from jingwei import hj212
from jingwei.analysis.air.field.tables import FieldError
from jingwei.analysis.air.forecast.daily import ABOVE
from jingwei.bureau.air import beside, forecast_days, forecasting, report, tasks, taylor
from jingwei.bureau.air import forecast_selectors as selectors
from jingwei.bureau.air import forecast_services as services
from jingwei.bureau.air.models import (
    Forecast,
    ForecastModel,
    State,
    StationForecast,
    WeatherForecast,
)
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import Outlet, PermitAmount, Point
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

NOW = datetime(2026, 11, 20, 4, 20, tzinfo=UTC)  # 12:20 local
START = datetime(2026, 11, 20, 3, tzinfo=UTC)  # the newest whole hour
DAYS = 130
SENT = 14 * 24  # hours that lie in the lake
ROWS = 4000


def course(hours: int, station: int, seed: int = 4) -> dict[str, np.ndarray]:
    """Particles that gather in still air and are blown away; the wind comes and goes over days."""
    random = np.random.default_rng(seed)
    wind = np.zeros(hours)
    for k in range(1, hours):
        wind[k] = 0.97 * wind[k - 1] + 0.25 * random.standard_normal()
    speed = np.exp(0.6 * wind + 0.7)
    level = np.full(hours, 50.0)
    for k in range(1, hours):
        level[k] = level[k - 1] * np.exp(-0.03 * speed[k]) + 3.0
    own = np.random.default_rng((seed, station))
    pm = level * (1 + 0.15 * station) * np.exp(0.05 * own.standard_normal(hours))
    return {
        "PM2.5": pm, "NO2": 10 + 0.3 * pm, "WSPM": speed, "TEMP": 12 + 0 * speed,
        "PRES": 1015 + 0 * speed,
    }  # fmt: skip


FIRST = START + timedelta(hours=1) - timedelta(days=DAYS)
COURSES = [course(DAYS * 24 + 60, k) for k in range(2)]


def stations(world: worlds.World) -> list[Point]:
    Point.objects.filter(pk=world.station.pk).update(station_code="S1")
    Point.objects.create(
        mn=worlds.MN[:-1] + "7", st="22", name="示例站二", kind="air_station", region=world.elsewhere,
        longitude=116.3, latitude=39.95, station_code="S2", password="123456",
    )  # fmt: skip
    return list(Point.objects.filter(kind="air_station").order_by("pk"))


def archive(path: Path, days: int = DAYS) -> Path:
    hours = days * 24
    first = np.datetime64((FIRST + timedelta(hours=8)).replace(tzinfo=None), "s")
    times = first + np.arange(hours).astype("timedelta64[h]")
    table = {"time": np.tile(times, 2), "station": np.repeat(["S1", "S2"], hours)}
    for name in COURSES[0]:
        table[name] = np.concatenate([c[name][:hours] for c in COURSES])
    table["wd"] = np.repeat("NW", 2 * hours)
    pyarrow.parquet.write_table(pa.table(table), path)
    return path


def send(data: Path, world: worlds.World) -> None:
    """The last fortnight by telegrams, up to the hour START."""
    telegrams = []
    for point, given in zip(stations(world), COURSES, strict=True):
        for k in range(DAYS * 24 - SENT, DAYS * 24):
            items = [
                ("a34004", {"Avg": f"{given['PM2.5'][k]:.1f}", "Flag": "N"}),
                ("a21004", {"Avg": f"{given['NO2'][k]:.1f}", "Flag": "N"}),
                ("a01007", {"Avg": f"{given['WSPM'][k]:.1f}", "Flag": "N"}),
                ("a01008", {"Avg": "315", "Flag": "N"}),
                ("a01001", {"Avg": "12.0", "Flag": "N"}),
                ("a01006", {"Avg": "101.5", "Flag": "N"}),
            ]
            segment = hj212.segment(
                cn="2061", st=point.st, mn=point.mn, pw=point.password,
                qn=hj212.qn(FIRST + timedelta(hours=k)), flag=5,
                cp=hj212.data_cp(FIRST + timedelta(hours=k), items),
            )  # fmt: skip
            telegrams.append(Telegram(NOW, "192.0.2.7:4000", hj212.frame(segment)))
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


def weather(path: Path, hours: int) -> Path:
    """From the hour after START on, as it came."""
    first = np.datetime64((START + timedelta(hours=9)).replace(tzinfo=None), "s")
    cut = slice(DAYS * 24, DAYS * 24 + hours)
    table = {
        "time": first + np.arange(hours).astype("timedelta64[h]"),
        "TEMP": np.full(hours, 12.0),
        "PRES": np.full(hours, 1015.0),
        "WSPM": COURSES[0]["WSPM"][cut],
        "WD": np.full(hours, 315.0),
    }
    pyarrow.parquet.write_table(pa.table(table), path)
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def world(db, data, clock) -> worlds.World:
    world = worlds.build()
    send(data, world)
    return world


ONCE: list[forecasting.Fitted] = []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning takes seconds and all tests learn from the same: it is done once."""
    fit = forecasting.fit

    def cached(stations, now, rows=None, given=None):
        if not forecasting.archive().exists() or given is not None:
            return fit(stations, now, rows, given)
        if not ONCE:
            ONCE.append(fit(stations, now, ROWS))
        return replace(ONCE[0], about={**ONCE[0].about, "stations": [s.pk for s in stations]})

    monkeypatch.setattr(forecasting, "fit", cached)


@pytest.fixture
def learned(world, quick, tmp_path) -> ForecastModel:
    services.keep_archive(archive(tmp_path / "a.parquet"))
    return services.learn_now()


def test_it_learns_keeps_and_says_how_good_it_is(learned) -> None:
    assert learned.state == State.DONE, learned.reason
    data = forecasting.place(learned.digest).read_bytes()
    assert hashlib.sha256(data).hexdigest() == learned.digest
    assert set(learned.about["errors"]) == {"PM2.5", "NO2"}
    assert learned.until == START + timedelta(hours=1) - forecasting.KEPT
    assert learned.about["hours"] == DAYS * 24
    entry = EvidenceEntry.objects.get(pk=learned.evidence_id)
    assert entry.kind == "forecast.model"
    assert learned.digest in entry.content
    told = selectors.skill(learned, "PM2.5", weather=True)
    assert told is not None
    assert told["weather"]
    assert len(told["chart"]["leads"]) == 48
    whole = told["spans"][-1]
    assert whole["span"] == "1–48"
    assert whole["cases"] == 2 * 48 * learned.about["judged"]["starts"]
    assert whole["over_kept"] == pytest.approx(100 * (1 - whole["rmse"] ** 2 / whole["kept"] ** 2))


def test_too_short_a_history_is_refused_with_both_numbers(world) -> None:
    row = services.learn_now()
    assert row.state == State.REFUSED
    said = selectors.why(row.reason)
    assert f"{SENT}" in said
    assert f"{forecasting.LEAST}" in said


def test_a_run_for_every_station_with_weather(learned, tmp_path) -> None:
    row = services.take_weather(weather(tmp_path / "w.parquet", 60), "示例气象")
    made = services.forecast_now(START)
    assert made.state == State.DONE, made.reason
    assert made.weather_id == row.pk
    assert made.about["reach"] == 48
    assert made.about["pollutants"] == ["PM2.5", "NO2"]
    assert (
        made.about["joint"] is True
    )  # learned from the same cases: how they miss together is known
    assert any("同时偏高的实际频度" in s for s in selectors.said(made))
    made.about["joint"] = False
    assert any("可能的最低值" in s for s in selectors.said(made))
    assert made.stations.count() == 2
    for part in made.stations.all():
        q = np.array(part.result["series"]["PM2.5"]["q"])
        assert q.shape == (48, 7)
        assert (np.diff(q, axis=1) >= 0).all()
        assert np.array(part.result["chance"]).sum(axis=1) == pytest.approx(1, abs=0.01)
        assert set(part.result["leading"]) <= {"PM2.5", "NO2"}
        assert part.result["series"]["PM2.5"]["last"] is not None
    said = " ".join(selectors.said(made))
    assert "PM10" in said
    assert EvidenceEntry.objects.get(pk=made.evidence_id).kind == "forecast"


def test_the_days_have_chances_for_the_city_and_each_station(learned, world, tmp_path, client) -> None:  # fmt: skip
    services.take_weather(weather(tmp_path / "w.parquet", 30))  # the rest by what knows no weather
    made = services.forecast_now(START)
    city = made.about["days"]
    assert [d["day"] for d in city] == [f"2026-11-{k}" for k in (17, 18, 19, 20, 21)]
    assert [d["ahead"] for d in city] == [0, 0, 0, 12, 24]
    assert [("chance" in d) for d in city] == [False] * 3 + [True] * 2
    for part in made.stations.all():
        own = part.result["days"]
        assert [d["day"] for d in own] == [d["day"] for d in city]
        for d in own[3:]:
            assert len(d["chance"]) == 4
            assert d["chance"] == sorted(d["chance"], reverse=True)
    for d in [d for p in made.stations.all() for d in p.result["days"]] + city:
        for above, chance in zip(ABOVE, d.get("chance", ()), strict=False):
            assert (d["aqi"] > above) == (chance > 0.5), d
    # The second station has 15 % more particles: its days are no less likely bad.
    first, second = (p.result["days"][-1] for p in made.stations.order_by("station"))
    assert second["aqi"] > first["aqi"]
    assert second["chance"][0] >= first["chance"][0]
    yellow, orange, red = made.about["grades"]
    assert yellow >= orange >= red
    client.force_login(world.users["dispatcher"])
    page = client.get(reverse("air:forecast")).content.decode()
    assert "日 AQI 等级概率" in page
    assert "日 AQI 等级概率" in client.get(reverse("air:report")).content.decode()
    assert (
        "本站逐日" in client.get(reverse("air:station", args=[world.station.pk])).content.decode()
    )
    lines = client.get(reverse("air:days_csv")).getvalue().decode("utf-8-sig").splitlines()
    assert len(lines) == 1 + 3 * 2
    assert "AQI&gt;" not in lines[0]
    assert lines[1].startswith("全市,2026-11-20,")
    for _place, _day, index, _name, _leading, _ahead, chance, *_ in (
        x.split(",") for x in lines[1:]
    ):
        assert (int(index) > 100) == (float(chance) > 50)
    client.force_login(world.users["district_elsewhere"])
    lines = client.get(reverse("air:days_csv")).getvalue().decode("utf-8-sig").splitlines()
    assert len(lines) == 1 + 2 * 2
    assert world.station.name not in "".join(lines)


def test_a_model_without_courses_tells_no_chances_of_days(learned) -> None:
    """As those kept before there were any."""
    data = forecasting.place(learned.digest).read_bytes()
    whole = json.loads(gzip.decompress(data))
    for one in whole["models"].values():
        del one["courses"], one["drawn"]
    known = services.stations(learned.about["stations"])
    found = forecasting.run(known, gzip.compress(json.dumps(whole).encode()), START)
    assert found.about["grades"] is None
    assert found.about["joint"] is False
    assert all("chance" not in d for d in found.about["days"])
    assert found.about["days"][-1]["ahead"] == 24


def test_the_days_that_are_over_stand_beside_what_was_told_of_them(made, world, client) -> None:
    """A forecast tells tomorrow; two days later it is known."""

    def told(day: int, aqi: int, ahead: int, chance: float | None = None) -> dict:
        one = {"day": f"2026-11-{day:02}", "aqi": aqi, "primary": ["pm25"], "ahead": ahead}
        return one if chance is None else one | {"chance": [chance, chance / 2, 0.0, 0.0]}

    Forecast.objects.all().delete()
    for k in range(1, 15):
        days = [told(k - 1, 80 + k, 0), told(k, 90, 12, 0.9), told(k + 1, 120, 24, 0.7)]
        row = Forecast.objects.create(
            start=datetime(2026, 11, k, 3, tzinfo=UTC), state=State.DONE, about={"days": days}
        )
        StationForecast.objects.create(forecast=row, station=world.station, result={"days": days})
    found = forecast_days.recent_city(NOW)
    # Told from the 2nd to the 15th, measured up to the 13th.
    assert found["days"] == found["kept_days"] == 12
    assert found["hits"] == 0
    assert found["kept_hits"] == 12
    assert found["error"] == pytest.approx(np.mean([120 - (81 + k) for k in range(2, 14)]))
    assert found["kept_error"] == 2  # the day before the last one measured
    assert [r.day.day for r in found["rows"]] == list(range(13, 3, -1))
    one = found["bounds"][0]
    assert one["told"] == pytest.approx(12 * 0.7)
    assert (one["came"], one["kept"]) == (0, 0)
    assert one["brier"] == pytest.approx(0.49)
    # With 21 hours of the day before measured, that day is the last one known.
    for one_ in Forecast.objects.all():
        late = [d | {"ahead": 3} if d["ahead"] == 12 else d for d in one_.about["days"]]
        Forecast.objects.filter(pk=one_.pk).update(about={"days": late})
    assert forecast_days.recent_city(NOW)["kept_error"] == pytest.approx(
        np.mean([abs(90 - (81 + k)) for k in range(2, 14)])
    )
    part = StationForecast.objects.last()
    assert forecast_days.recent_station(part, NOW)["error"] == found["error"]
    # Forecasts by what had learned from those days prove nothing.
    model = ForecastModel.objects.create(state=State.DONE, until=NOW)
    Forecast.objects.update(model=model)
    assert forecast_days.recent_city(NOW) is None
    assert forecast_days.recent_city(datetime(2026, 10, 1, tzinfo=UTC)) is None


def test_the_same_input_gives_the_same_forecast_and_other_input_another_digest(learned, tmp_path) -> None:  # fmt: skip
    known = services.stations(learned.about["stations"])
    data = forecasting.place(learned.digest).read_bytes()
    one, two = (forecasting.run(known, data, START) for _ in range(2))
    assert one == two
    services.take_weather(weather(tmp_path / "w.parquet", 60))
    assert services.forecast_now(START).digest != one.digest


def test_weather_that_ends_after_30_hours_is_said_and_the_rest_is_without(learned, tmp_path) -> None:  # fmt: skip
    known = services.stations(learned.about["stations"])
    bare = forecasting.run(known, forecasting.place(learned.digest).read_bytes(), START)
    services.take_weather(weather(tmp_path / "w.parquet", 30))
    made = services.forecast_now(START)
    assert made.about["reach"] == 30
    assert any("30" in s for s in selectors.said(made))
    part = made.stations.first()
    with_, without = part.result["series"]["PM2.5"]["q"], bare.stations[part.station_id]["series"]["PM2.5"]["q"]  # fmt: skip
    assert with_[30:] == without[30:]
    assert with_[:30] != without[:30]


def test_the_stack_in_the_wind_adds_at_the_station_and_the_other_does_not(learned, world, tmp_path, client) -> None:  # fmt: skip
    for name, offset in (("DA002", 0.06), ("DA003", -0.06)):  # the wind comes from the north-west
        outlet = Outlet.objects.create(
            enterprise=world.enterprise, code=name, name=name, medium="air", height=30,
            longitude=world.station.longitude - offset * 1.3, latitude=world.station.latitude + offset,
        )  # fmt: skip
        PermitAmount.objects.create(
            permit=world.permit, outlet=outlet, factor="a21002", period="year", value=Decimal(400),
            unit="t", source="示例", verified="verified", valid_from=date(2024, 1, 1),
        )  # fmt: skip
    services.take_weather(weather(tmp_path / "w.parquet", 30))
    made = services.forecast_now(START)
    assert made.about["stacks"]["lacking"] == ""
    part = made.stations.get(station=world.station)
    codes = [Outlet.objects.get(pk=k).code for k in part.result["sources"]["NO2"]["outlets"]]
    assert "DA002" in codes
    assert "DA003" not in codes
    adds = part.result["sources"]["NO2"]["hours"][codes.index("DA002")]
    assert len(adds) == 30
    assert max(adds) > 0.5
    client.force_login(world.users["dispatcher"])
    told = client.get(reverse("air:sources-json", args=[world.station.pk])).json()
    no2 = next(g for g in told["pollutants"] if g["name"] == "NO2")
    assert "DA002" in no2["outlets"][codes.index("DA002")]["name"]
    assert len(no2["outlets"][0]["hours"]) == 48
    assert no2["outlets"][0]["url"]
    told = report.report(world.users["dispatcher"], made, {}, 40)
    one = next(p for p in told["pollutants"] if p.name == "NO2")
    means = [np.mean(p.result["sources"].get("NO2", {"hours": [[0.0]]})["hours"][0]) for p in made.stations.all()]  # fmt: skip
    assert one.enterprises[0].mean == pytest.approx(np.mean(means), rel=1e-6)
    assert one.enterprises[0].saved == pytest.approx(0.4 * one.enterprises[0].mean)
    assert one.enterprises[0].worst == pytest.approx(max(means))
    assert one.groups[0].saved_worst == pytest.approx(0.4 * one.groups[0].worst)
    # Known by their permits: the interval is wide, holds the figure and shrinks with the cut.
    known = made.about["stacks"]["basis"]["NO2"]
    assert Outlet.objects.get(code="DA002").pk in known["permit"]
    assert made.about["stacks"]["parts"] is True
    assert "计为 NO2" in told["contributions"]
    # What adds nothing at any station has no row.
    listed = [p for q in told["pollutants"] for p in (*q.groups, *q.enterprises)]
    assert listed
    assert all(f"{p.mean:.2f}" != "0.00" or p.worst >= report.SOMEWHERE for p in listed)
    part = one.enterprises[0]
    assert part.known == one.groups[0].known == no2["outlets"][codes.index("DA002")]["known"] != ""
    assert part.band.low < part.mean < part.band.high
    assert part.band.high / part.band.low > 5
    assert part.saved_band.high == pytest.approx(0.4 * part.band.high)
    assert (part.monitored, part.saved_share) == (0, pytest.approx(0.4 * part.share))
    assert one.band.high >= part.band.high
    measures = told["measures"]
    assert [m.together for m in measures if m.pollutant == "NO2"][:1] == [True]
    assert {m.part.name for m in measures if not m.together} == {world.enterprise.name}
    # Each group by its own part: together they save the sum.
    own = report.report(world.users["dispatcher"], made, {one.groups[0].key: 25}, 50)
    some = next(p for p in own["pollutants"] if p.name == "NO2")
    assert some.groups[0].saved == pytest.approx(0.25 * some.groups[0].mean)
    assert some.chosen.saved == pytest.approx(sum(g.saved for g in some.groups))
    assert some.chosen.saved_band.high <= 0.5 * some.band.high
    # Nobody is cut, nothing is promised.
    none = report.report(world.users["dispatcher"], made, {}, 0)
    assert none["measures"] == []
    page = client.get(reverse("air:report"), {"cut": "40", "group": one.groups[0].key}).content.decode()  # fmt: skip
    assert "−40 %" in page
    assert "措施及预期效果" in page
    assert "全部停排" in page
    assert world.enterprise.name in page
    page, file = printed.both(client, reverse("air:report"), {"cut": "40", "run": str(made.pk)})
    assert len(printed.cells(page)) > 40
    assert unquote(file["Content-Disposition"]).endswith("决策报告 2026-11-20.pdf")
    said = printed.text(file.content)
    assert "措施及预期效果" in said
    assert world.enterprise.name in said
    assert "format=pdf" in page
    each = client.get(reverse("air:report"), {f"cut-{one.groups[0].key}": "35"}).content.decode()
    assert f'name="cut-{one.groups[0].key}" min="0" max="100" step="5" value="35"' in each
    other = report.report(world.users["dispatcher"], made, {"no such industry": 40}, 0)
    assert other["measures"] == []
    client.force_login(world.users["district_elsewhere"])
    assert client.get(reverse("air:sources-json", args=[world.station.pk])).status_code == 404


@pytest.mark.once
def test_the_field_of_the_stacks_is_learned_where_asked_and_used_where_it_helps(world, quick, tmp_path, monkeypatch) -> None:  # fmt: skip
    outlet = Outlet.objects.create(
        enterprise=world.enterprise, code="DA002", name="DA002", medium="air", height=30,
        longitude=world.station.longitude - 0.078, latitude=world.station.latitude + 0.06,
    )  # fmt: skip
    PermitAmount.objects.create(
        permit=world.permit, outlet=outlet, factor="a21002", period="year", value=Decimal(400),
        unit="t", source="示例", verified="verified", valid_from=date(2024, 1, 1),
    )  # fmt: skip
    services.keep_archive(archive(tmp_path / "a.parquet"))
    learned = services.learn_now(rows=6000, field=True)
    assert learned.state == State.DONE, learned.reason
    # Nothing else emits in the world; of NO2 both were judged and the better one stands.
    assert set(learned.about["field"]) == {"NO2"}
    errors = {k: v["spans"][-1][2] for k, v in learned.about["errors"]["NO2"].items()}
    used = learned.about["field"]["NO2"]
    assert used == (errors["field"] < errors["weather"])
    kept = forecasting.store.load(forecasting.place(learned.digest).read_bytes())
    assert ("NO2 field" in kept) == used
    (said,) = selectors.field_said(learned)
    assert str(errors["field"]) in said
    assert ("不采用" in said) == (not used)
    told = selectors.skill(learned, "NO2", weather=True)
    assert told["spans"][-1]["rmse"] == min(errors["field"], errors["weather"])
    # A forecast with it and, where the stacks are gone, without.
    services.take_weather(weather(tmp_path / "w.parquet", 48))
    made = services.forecast_now(START)
    assert made.state == State.DONE, made.reason
    known = services.stations()
    data = forecasting.place(learned.digest).read_bytes()
    sky = forecasting.Sky(1, made.weather.start, np.array(made.weather.hours, float))
    without = forecasting.run(known, data, START, sky)
    own = made.stations.get(station=world.station).result["series"]["NO2"]["q"]
    assert (without.stations[world.station.pk]["series"]["NO2"]["q"] != own) == used
    # The worker keeps to it without being asked again.
    given = []
    monkeypatch.setattr(forecasting, "fit", lambda *about: given.append(about[3]))
    services._learning(learned, NOW)[0]()
    services._learning(learned, NOW, field=False)[0]()
    assert [g is None for g in given] == [False, True]


def test_a_changed_file_of_the_model_is_not_used(learned) -> None:
    forecasting.place(learned.digest).write_bytes(b"something else")
    made = services.forecast_now(START)
    assert made.state == State.REFUSED
    assert made.reason == "changed"
    assert selectors.why(made.reason) != "changed"
    forecasting.place(learned.digest).unlink()
    assert services.forecast_now(START).reason == "lost"


def test_nothing_of_the_last_hours_is_no_forecast(learned) -> None:
    late = START + timedelta(hours=9)
    assert services.forecast_now(late).reason == "old"


def test_the_worker_learns_and_forecasts_by_itself(world, quick, tmp_path) -> None:
    services.keep_archive(archive(tmp_path / "a.parquet"))
    for _tick in range(1500):
        tasks.tick(NOW)
        if Forecast.objects.filter(state=State.DONE).exists():
            break
    made = Forecast.objects.get()
    assert made.state == State.DONE, made.reason
    assert timezone.localtime(made.start).hour == 8  # of 2, 8, 14, 20 the last that is over
    services.work(NOW)
    assert ForecastModel.objects.count() == Forecast.objects.count() == 1


def test_a_forecast_waits_for_the_first_model_that_another_worker_learns(world) -> None:
    assert services.learn() == beside.take(
        ForecastModel.objects.all(), NOW
    )  # by a worker that was killed, or by another machine
    row = services.ask(START)
    services.work(NOW)
    row.refresh_from_db()
    assert (row.state, row.started) == (State.WAITING, None)


def test_a_hindcast_knows_nothing_later_than_its_start(learned) -> None:
    known = services.stations(learned.about["stations"])
    data = forecasting.place(learned.digest).read_bytes()
    early = START - timedelta(hours=40)
    one = forecasting.run(known, data, early)
    history, _dropped = forecasting.measured(known, early - timedelta(days=9), early + timedelta(hours=1))  # fmt: skip
    assert history.times[-1] == forecasting.local(early)
    made = services.forecast_now(early)
    assert {p.station_id: p.result for p in made.stations.all()} == {
        k: json.loads(json.dumps(v)) for k, v in one.stations.items()
    }
    assert any("回报" in s for s in selectors.said(made))
    part = made.stations.get(station=known[0].pk)
    told = selectors.recent(part, "PM2.5", NOW)
    assert told is not None
    assert sum(s["cases"] for s in told["spans"]) == 40
    true = COURSES[0]["PM2.5"][DAYS * 24 - 40 : DAYS * 24 - 34]
    median = [q[3] for q in part.result["series"]["PM2.5"]["q"][:6]]
    assert told["spans"][0]["mae"] == pytest.approx(
        np.mean(np.abs(np.array(median) - true)), abs=0.1
    )


def test_a_hindcast_takes_only_weather_that_was_there_in_time(learned, tmp_path) -> None:
    """A newer forecast of the weather begins as early but was received after the start."""
    early = START - timedelta(hours=40)
    row = services.take_weather(weather(tmp_path / "w.parquet", 60))
    WeatherForecast.objects.filter(pk=row.pk).update(start=early + timedelta(hours=1))
    assert services.forecast_now(early).about["reach"] == 0
    before = START - timedelta(hours=46)
    WeatherForecast.objects.filter(pk=row.pk).update(
        start=before + timedelta(hours=1), received=before + timedelta(hours=1)
    )
    again = services.forecast_now(before)
    assert (again.weather_id, again.about["reach"]) == (row.pk, 48)


def test_a_hindcast_is_made_with_what_had_not_learned_from_its_days(learned) -> None:
    early = START - timedelta(hours=40)
    newer = ForecastModel.objects.create(
        state=State.DONE, until=early + timedelta(hours=2), digest=learned.digest,
        about=learned.about,
    )  # fmt: skip
    made = services.forecast_now(early)
    assert any("均不晚于起报时刻" in s for s in selectors.said(made))
    assert made.model_id == learned.pk
    assert not made.hindsight
    part = made.stations.first()
    assert selectors.recent(part, "PM2.5", NOW) is not None
    # Only one that knows those days: it is said, and it proves nothing.
    Forecast.objects.filter(pk=made.pk).update(model=newer)
    made.refresh_from_db()
    assert made.hindsight
    assert any("已包含所预报的日子" in s for s in selectors.said(made))
    assert not any("均不晚于起报时刻" in s for s in selectors.said(made))
    assert selectors.recent(part, "PM2.5", NOW) is None
    first = early.date()
    assert taylor.pairs(part.station, "PM2.5", first, first, NOW).runs == 0
    Forecast.objects.filter(pk=made.pk).update(model=learned)
    assert taylor.pairs(part.station, "PM2.5", first, first, NOW).runs == 1


def test_bad_files_are_refused_by_name(world, tmp_path) -> None:
    table = pyarrow.parquet.read_table(weather(tmp_path / "w.parquet", 30))
    pyarrow.parquet.write_table(
        table.rename_columns(["time", "t2m", "PRES", "WSPM", "WD"]), tmp_path / "other.parquet"
    )
    with pytest.raises(FieldError, match=r"lacks TEMP \(it has time, t2m"):
        services.take_weather(tmp_path / "other.parquet")
    known = pyarrow.parquet.read_table(archive(tmp_path / "a.parquet"))
    names = pa.array(["nobody"] * len(known))
    pyarrow.parquet.write_table(
        known.set_column(known.column_names.index("station"), "station", names),
        tmp_path / "strange.parquet",
    )
    with pytest.raises(forecasting.ForecastError, match="strangers"):
        services.keep_archive(tmp_path / "strange.parquet")
    assert not WeatherForecast.objects.exists()
    assert not forecasting.archive().exists()


@pytest.fixture
def made(learned) -> Forecast:
    return services.forecast_now(START)


def test_the_pages_show_forecast_band_skill_and_what_is_missing(made, world, client: Client) -> None:  # fmt: skip
    client.force_login(world.users["dispatcher"])
    page = client.get(reverse("air:forecast")).content.decode()
    assert world.station.name in page
    assert "没有气象预报" in page
    address = reverse("air:station", args=[world.station.pk])
    for pollutant in ("AQI", "PM2.5"):
        page = client.get(address, {"of": pollutant}).content.decode()
        assert 'id="band"' in page
        assert "衰减持续性" in page
    rows = client.get(reverse("air:station_csv", args=[world.station.pk])).getvalue().decode("utf-8-sig")  # fmt: skip
    assert len(rows.splitlines()) == 49


def test_each_sees_his_own_stations(made, world, client: Client) -> None:
    address = reverse("air:station", args=[world.station.pk])
    for user, status in (("district", 200), ("district_elsewhere", 404), ("leader", 200), ("grid", 403)):  # fmt: skip
        client.force_login(world.users[user])
        assert client.get(address).status_code == status, user
    client.force_login(world.users["district_elsewhere"])
    page = client.get(reverse("air:forecast")).content.decode()
    assert "示例站二" in page
    assert world.station.name not in page


def test_before_anything_was_learned_the_page_says_so(world, client: Client) -> None:
    client.force_login(world.users["district"])
    page = client.get(reverse("air:forecast")).content.decode()
    assert "还没有预报" in page
    assert client.post(reverse("air:learn")).status_code == 403
    client.force_login(world.users["dispatcher"])
    client.post(reverse("air:learn"))
    assert ForecastModel.objects.get().actor == world.users["dispatcher"]
    services.learn_now()
    assert f"{forecasting.LEAST}" in client.get(reverse("air:forecast")).content.decode()


def test_the_commands(world, quick, tmp_path) -> None:
    import typer
    from typer.testing import CliRunner

    from jingwei.bureau.air import forecast_commands

    app = typer.Typer()
    forecast_commands.attach(app)
    run = CliRunner().invoke(app, ["weather", str(weather(tmp_path / "w.parquet", 40))])
    assert run.exit_code == 0, run.output
    short = CliRunner().invoke(app, ["forecast"])
    assert short.exit_code == 1
    assert str(forecasting.LEAST) in short.output
    run = CliRunner().invoke(
        app, ["forecast", "--archive", str(archive(tmp_path / "a.parquet")), "--rows", str(ROWS),
              "--start", "2026-11-20 11:00:00"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    told = json.loads(run.output.splitlines()[-1])
    assert told["weather_hours"] == 40
    assert len(told["stations"]) == 2
    assert StationForecast.objects.count() == 2
    wrong = CliRunner().invoke(app, ["weather", str(tmp_path / "none.csv")])
    assert wrong.exit_code == 2
