"""The dispersion model in the room: what outlets add, from the register and the wind to pages and files."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import world as worlds
from jingwei import hj212
from jingwei.analysis.air import disperse
from jingwei.analysis.air.forecast.history import WEATHER
from jingwei.bureau.accounts.models import Substitution, User
from jingwei.bureau.air import (
    checks,
    dispersion,
    dispersion_commands,
    dispersion_selectors,
    tasks,
    weather_tables,
)
from jingwei.bureau.air import dispersion_services as services
from jingwei.bureau.air.models import AnnualAmount, Dispersion, WeatherForecast
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import Outlet, PermitAmount, Point
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

END = datetime(2026, 11, 20, 4, tzinfo=UTC)
START = END - timedelta(hours=4)
HOUR = timedelta(hours=1)
ALL = {"which": "all", "weather": "stations"}
SO2 = {"half_life": 4.0, "deposition": True, "washout": True, "rain_mm": None}


@pytest.fixture
def world(db: None, data: Path, monkeypatch: pytest.MonkeyPatch) -> worlds.World:
    """A stack 6 km west of the station and one 6 km east; west wind; the question is asked at `END`."""
    made = worlds.build()
    for name, offset in (("DA002", -0.07), ("DA003", 0.07)):
        outlet = Outlet.objects.create(
            enterprise=made.enterprise, code=name, name=name, medium="air",
            longitude=made.station.longitude + offset, latitude=made.station.latitude,
            height=None if name == "DA003" else 30,
        )  # fmt: skip
        PermitAmount.objects.create(
            permit=made.permit, outlet=outlet, factor="a21026", period="year",
            value=Decimal(400), unit="t", source="示例", verified="verified",
            valid_from=date(2024, 1, 1),
        )  # fmt: skip
    monkeypatch.setattr(dispersion, "this_hour", lambda: END)
    return made


def send(data: Path, world: worlds.World, hours: int = 12) -> None:
    """West wind of 2.5 m/s and SO2 of 60 µg/m³ at the station, up to the end."""
    telegrams = []
    p = world.station
    for h in range(hours):
        time = END - (hours - h) * HOUR
        items = [
            ("a21026", {"Avg": "60.0", "Flag": "N"}),
            ("a01007", {"Avg": f"{2.5 + 0.1 * (h % 4):.1f}", "Flag": "N"}),
            ("a01008", {"Avg": f"{267 + 2 * (h % 4)}", "Flag": "N"}),
        ]
        segment = hj212.segment(
            cn="2061", st=p.st, mn=p.mn, pw=p.password, qn=hj212.qn(time), flag=5,
            cp=hj212.data_cp(time, items),
        )  # fmt: skip
        telegrams.append(Telegram(END, "192.0.2.7:4000", hj212.frame(segment)))
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


def ask(world: worlds.World, asked_for: dict[str, Any] | None = None, **change: Any) -> Dispersion:
    given = {"factor": "a21026", "start": START, "end": END} | change
    weather = given.pop("content", None)
    user = world.users["dispatcher"]
    return services.ask(user, asked_for=asked_for or ALL | SO2, weather=weather, **given)


def got(client: Client, address: str) -> str:
    """What a table sends."""
    return client.get(address).getvalue().decode("utf-8-sig")  # type: ignore[attr-defined]


def table(start: datetime, hours: int, rain: str = "", sigma: str = "") -> bytes:
    lines = ["time,wind_speed,wind_direction,temperature,rain,sigma_theta"]
    for h in range(hours):
        lines.append(f"{(start + h * HOUR).isoformat()},3.0,270,12,{rain},{sigma}")
    return "\n".join(lines).encode()


def test_the_worker_computes_who_adds_what(world: worlds.World, data: Path, client: Client) -> None:
    send(data, world)
    row = ask(world)
    assert ask(world) == row  # what waits is not asked twice
    for _tick in range(600):
        tasks.tick(datetime.now(UTC))
        row.refresh_from_db()
        if row.state != Dispersion.State.WAITING:
            break
    assert row.state == Dispersion.State.DONE, row.reason
    told = row.result
    assert (told["hours"], told["lead"], told["late"]) == (4, 6, 0)
    assert {s["basis"] for s in told["sources"]} == {"permit"}
    assert told["said"]["no_height"] >= 1
    # The stack to windward adds nearly all of it; parts, series and field say the same.
    at = [0]
    first = dispersion_selectors.sources(world.users["dispatcher"], row, at)[0]
    assert first.name.endswith("DA002")
    assert first.part > 0.95
    whole = dispersion_selectors.modelled(row, at)
    assert first.value == pytest.approx(first.part * np.mean(whole), rel=1e-3)
    assert sum(s.part for s in dispersion_selectors.groups(row, at)[0]) == pytest.approx(
        1, rel=1e-3
    )
    content = dispersion.place(row.field).read_bytes()
    field = disperse.read(content)
    assert field.values.shape == (4, told["grid"]["ny"], told["grid"]["nx"])
    assert told["grid"]["size"] == 500
    cell = field.cell(world.station.longitude, world.station.latitude)
    assert cell is not None
    assert field.values[:, cell[0], cell[1]].mean() == pytest.approx(np.mean(whole), rel=0.3)
    entry = EvidenceEntry.objects.get(pk=row.evidence_id)
    assert (entry.kind, entry.subject) == ("dispersion", f"dispersion:{row.pk}")
    assert row.digest in entry.content
    assert row.field in entry.content
    assert list(checks.check()) == []
    dispersion.place(row.field).write_bytes(b"x" + content)
    assert ["file of its field is not the one" in text for text in checks.check()] == [True]
    dispersion.place(row.field).write_bytes(content)

    client.force_login(world.users["auditor"])
    page = client.get(row.get_absolute_url()).content.decode()
    assert "DA002" in page
    assert "烟囱只是" in page
    assert "60.0" in page  # what was measured
    assert client.get(f"{row.get_absolute_url()}?at={world.station.pk}").status_code == 200
    listed = client.get(reverse("air:dispersions")).content.decode()
    assert row.get_absolute_url() in listed
    assert reverse("air:disperse") not in listed  # an auditor reads
    assert client.get(reverse("air:disperse")).status_code == 403
    tile = client.get(reverse("air:dispersion_tile", args=[row.pk, 1])).content
    cells = np.frombuffer(tile, np.uint8).reshape(field.values.shape[1:])
    assert cells.max() <= len(told["breaks"])
    assert (cells == np.digitize(field.values[1], told["breaks"])).all()
    assert client.get(reverse("air:dispersion_tile", args=[row.pk, 4])).status_code == 404
    file = client.get(reverse("air:dispersion_export", args=[row.pk]))
    assert b"".join(file.streaming_content) == content  # type: ignore[attr-defined]
    where = {"longitude": world.station.longitude, "latitude": world.station.latitude}
    spot = client.get(reverse("air:dispersion-json", args=[row.pk]), where).json()
    assert len(spot["hours"]) == 4
    assert spot["outlets"][0]["name"].endswith("DA002")
    far = client.get(reverse("air:dispersion-json", args=[row.pk]), {"longitude": 1, "latitude": 1})
    assert far.json() == {"outside": True}
    assert (
        client.get(reverse("air:dispersion-json", args=[row.pk]), {"longitude": "x"}).status_code
        == 404
    )
    stations = got(client, reverse("air:dispersion_csv", args=[row.pk]))
    assert stations.count("\n") == 5
    assert ",60.0" in stations
    shares = got(client, reverse("air:dispersion_shares_csv", args=[row.pk]))
    assert "DA002" in shares.splitlines()[1]


def test_the_same_data_give_the_same_field(world: worlds.World, data: Path) -> None:
    send(data, world)
    one, two = (services.run(ask(world)) for _ in range(2))
    assert one.pk != two.pk
    assert (one.digest, one.field, one.result) == (two.digest, two.field, two.result)
    plain = services.run(ask(world, {**ALL, "half_life": None}))
    assert plain.digest != one.digest
    assert np.mean(dispersion_selectors.modelled(plain, [0])) > np.mean(
        dispersion_selectors.modelled(one, [0])
    )
    assert plain.result["balance"]["lost"] == 0 < one.result["balance"]["lost"]


def test_a_station_far_off_is_named_and_moves_nothing(
    world: worlds.World, data: Path, client: Client
) -> None:
    send(data, world)
    before = services.run(ask(world))
    assert before.result["away"] == []
    for n, (name, east) in enumerate((("近处站", 0.1), ("经度误录站", -60.0))):
        Point.objects.create(
            mn=worlds.MN[:-1] + str(n + 7), st="22", name=name, kind="air_station",
            region=world.region, longitude=world.station.longitude + east,
            latitude=world.station.latitude, password="123456",
        )  # fmt: skip
    row = services.run(ask(world))
    assert row.state == "done", row.reason
    assert row.result["away"] == ["经度误录站"]
    assert len(row.result["stations"]) == 2
    client.force_login(world.users["dispatcher"])
    page = client.get(row.get_absolute_url()).content.decode()
    assert "1 个空气站" in page
    assert "经度误录站" in page


def test_outlets_beyond_reach_are_counted_and_named(
    world: worlds.World, data: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    send(data, world)
    assert "beyond" not in {k for k, n in services.run(ask(world)).result["said"].items() if n}
    outlets = [
        Outlet.objects.create(
            enterprise=world.enterprise, code=code, name=code, medium="air",
            longitude=world.station.longitude + east, latitude=world.station.latitude, height=30,
        )
        for code, east in (("DA031", 0.6), ("DA032", 0.8), ("DA033", 0.9), ("DA034", 0.8))
    ]  # fmt: skip
    for o in outlets[:3]:  # 51, 68 and 77 km east; DA034 emits nothing
        PermitAmount.objects.create(
            permit=world.permit, outlet=o, factor="a21026", period="year", value=Decimal(400), unit="t",
            source="示例", verified="verified", valid_from=date(2024, 1, 1),
        )  # fmt: skip
    row = services.run(ask(world))
    assert row.state == "done", row.reason
    assert "DA031" in {s["name"].split()[-1] for s in row.result["sources"]}
    assert row.result["said"]["beyond"] == 2
    client.force_login(world.users["dispatcher"])
    page = client.get(row.get_absolute_url()).content.decode()
    name = world.enterprise.name
    assert (
        f"另有 2 个所选排放口排放该污染物，但距各站中心 60 km 以上，未计入：{name} DA032、{name} DA033。"
        in page
    )
    # Of those that were chosen only.
    chosen = {**ALL, **SO2, "which": "outlets", "outlets": [outlets[0].pk, outlets[1].pk]}
    assert services.run(ask(world, chosen)).result["said"]["beyond"] == 1
    capsys.readouterr()
    dispersion_commands.dispersion(START, END, losses=False)
    assert (
        "2 of the chosen outlets emit this pollutant but lie more than 60 km"
        in capsys.readouterr().out.replace("\n", " ")
    )


def test_the_coming_hours_have_the_forecast_and_end_with_it(
    world: worlds.World, data: Path, client: Client
) -> None:
    send(data, world)
    client.force_login(world.users["dispatcher"])
    form = {"factor": "a21026", "period": "coming", "which": "all", "weather": "stations"}
    page = client.post(reverse("air:disperse"), form)
    assert page.status_code == 422
    assert "没有覆盖此后时段的气象预报" in page.content.decode()
    hour = {"temperature": 8.0, "u": 3.0, "v": 0.0, "speed": 3.0}
    WeatherForecast.objects.create(
        start=END - HOUR, source="示例", digest="0" * 64,
        hours=[[hour.get(w) for w in WEATHER]] * 5,
    )  # fmt: skip
    page = client.post(reverse("air:disperse"), form)
    assert page.status_code == 302
    row = services.run(Dispersion.objects.get())
    assert (row.start, row.end) == (END, END + 48 * HOUR)
    assert row.state == Dispersion.State.DONE, row.reason
    # Four moments are forecast, three hours more are filled from the last of them.
    assert (row.result["hours"], row.result["lead"]) == (6, 6)
    assert row.result["wind"]["hours"][2][0][0] > 3
    said = " ".join(dispersion_selectors.said(row))
    assert "42" in said
    page = client.get(row.get_absolute_url())
    assert page.status_code == 200
    assert "气象资料在此之前结束" in page.content.decode()


def test_a_table_of_weather_with_rain_and_turbulence(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["district"])
    form = {
        "factor": "a21026", "period": "past", "start": "2026-11-20T08:00", "end": "2026-11-20T12:00",
        "which": "industry", "industry": "thermal_power", "weather": "table", "half_life": "",
        "washout": "on",
    }  # fmt: skip
    for content, why in (
        (b"time,wind_speed\n", "缺少以下列：wind_direction"),
        (b"time,wind_speed,wind_direction\nx,1,2\n", "第 2 行"),
        (b"time,wind_speed,wind_direction\n2026-11-20 08:30,1,2\n", "第 2 行"),
        (b"time,wind_speed,wind_direction\n2026-11-20 08:00,1,400\n", "wind_direction"),
        (table(START - 100 * HOUR, 3), "没有所选时段"),
    ):
        answer = client.post(reverse("air:disperse"), form | {"file": SimpleUploadedFile("w.csv", content)})  # fmt: skip
        assert answer.status_code == 422
        assert why in answer.content.decode(), why
    content = table(START - 2 * HOUR, 6, rain="2", sigma="20")
    # What was handed in is kept while something else is wrong.
    wrong = client.post(
        reverse("air:disperse"), form | {"end": "2026-11-20T07:00", "file": SimpleUploadedFile("w.csv", content)}
    )  # fmt: skip
    assert wrong.status_code == 422
    page = wrong.content.decode()
    assert "w.csv" in page
    key = page.split('name="key" value="')[1].split('"')[0]
    assert client.post(reverse("air:disperse"), form | {"key": key}).status_code == 302
    row = services.run(Dispersion.objects.get())
    assert row.state == Dispersion.State.DONE, row.reason
    told = row.result
    assert told["losses"]["rain"] == 8
    assert told["said"]["sigma"] == 6
    assert (told["hours"], told["lead"]) == (4, 5)  # two hours of the file, three filled
    assert told["balance"]["lost"] > 0
    assert dispersion.weather_place(row.weather).read_bytes() == content
    assert client.get(row.get_absolute_url()).status_code == 200


def test_a_gridded_file_of_weather(world: worlds.World, client: Client, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    dims = ("time", "latitude", "longitude")
    lat, lon = np.arange(39.5, 40.6, 0.25), np.arange(115.9, 117.0, 0.25)
    time = np.datetime64("2026-11-19T22", "ns") + np.arange(5) * np.timedelta64(3600, "s")
    ones = np.ones((5, len(lat), len(lon)))
    path = tmp_path / "air.nc"
    xarray.Dataset(
        {
            "wind_e": (dims, 3 * ones, {"units": "m s-1"}),
            "v10": (dims, 0 * ones, {"units": "m s-1"}),
        },
        coords={"time": time, "latitude": lat, "longitude": lon},
    ).to_netcdf(path, engine="h5netcdf")
    client.force_login(world.users["dispatcher"])
    form = {
        "factor": "a21026", "period": "past", "start": "2026-11-20T08:00", "end": "2026-11-20T12:00",
        "which": "all", "weather": "grid",
    }  # fmt: skip

    def post(**change: Any) -> Any:
        file = SimpleUploadedFile("air.nc", path.read_bytes())
        return client.post(reverse("air:disperse"), form | {"file": file} | change)

    answer = post()
    assert answer.status_code == 422
    assert "文件中找不到 u（文件含有：" in answer.content.decode()
    assert post(names="wind=x").status_code == 422
    assert post(names="u=wind_e").status_code == 302
    row = services.run(Dispersion.objects.get())
    assert row.state == Dispersion.State.DONE, row.reason
    # From 06:00 to 10:00 local time: two hours before, and two of the four asked for.
    assert (row.result["hours"], row.result["lead"]) == (2, 2)
    said = " ".join(dispersion_selectors.said(row))
    assert "没有感热通量" in said
    assert client.get(row.get_absolute_url()).status_code == 200
    Dispersion.objects.filter(pk=row.pk).update(
        state=Dispersion.State.WAITING, start=START - timedelta(days=3), end=END - timedelta(days=3)
    )
    row = services.run(Dispersion.objects.get(pk=row.pk))
    assert row.state == Dispersion.State.REFUSED
    assert "2026-11-20 06:00 – 2026-11-20 10:00" in dispersion_selectors.why(row)


def test_annual_amounts_count_where_nothing_else_does(
    world: worlds.World, data: Path, client: Client
) -> None:
    send(data, world)
    client.force_login(world.users["district"])
    uscc = world.enterprise.uscc
    head = "uscc,outlet,factor,year,tonnes\n"
    bad = f"{head}{uscc},DA099,a21026,2024,5\n{uscc},DA001,a99999,2024,5\n{uscc},DA001,a21026,24,5\n{uscc},DA001,a21026,2024,-5\n"
    answer = client.post(
        reverse("air:amounts"), {"file": SimpleUploadedFile("i.csv", bad.encode())}
    )
    assert answer.status_code == 422
    page = answer.content.decode()
    assert all(f"第 {n} 行" in page for n in (2, 3, 4, 5))
    assert not AnnualAmount.objects.exists()
    lines = [(2023, 50), (2024, 31.536)]
    good = head + "".join(
        f"{uscc},{o},a21026,{y},{t}\n" for o in ("DA001", "DA002") for y, t in lines
    )
    for _twice in range(2):
        answer = client.post(
            reverse("air:amounts"), {"file": SimpleUploadedFile("i.csv", good.encode())}
        )
        assert answer.status_code == 302
    assert AnnualAmount.objects.count() == 4
    assert EvidenceEntry.objects.filter(kind="inventory").count() == 2
    assert "DA001" in client.get(reverse("air:amounts")).content.decode()
    question = dispersion.question(ask(world))
    told = dict(zip([o.code for o in question.outlets], zip(question.basis, question.rates, strict=True), strict=True))  # fmt: skip
    assert told["DA001"] == ("inventory", pytest.approx(1.0))  # g/s, of the newest year
    assert told["DA002"][0] == "permit"
    # The template is in the reader's language, and both can be handed in again.
    for language, first in (("zh-hans", "统一社会信用代码,排放口编号,污染因子编码,年份,年排放量（吨）"), ("en", head.strip())):  # fmt: skip
        address, about = reverse("air:amounts_template"), {"accept-language": language}
        template = client.get(address, headers=about).getvalue()  # type: ignore[attr-defined]
        assert template.decode("utf-8-sig").splitlines()[0] == first
        back = client.post(reverse("air:amounts"), {"file": SimpleUploadedFile("i.csv", template)})
        assert back.status_code == 302
    client.force_login(world.users["district_elsewhere"])
    answer = client.post(
        reverse("air:amounts"), {"file": SimpleUploadedFile("i.csv", good.encode())}
    )
    assert answer.status_code == 422
    assert "DA001" not in client.get(reverse("air:amounts")).content.decode()


@pytest.mark.parametrize(
    ("change", "asked_for", "reason"),
    [
        ({"factor": "a21005"}, {}, "no_sources"),
        ({}, {"which": "industry", "industry": "cement"}, "no_sources"),
        ({"start": START - timedelta(days=9), "end": END - timedelta(days=9)}, {}, "wind"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_reason(
    world: worlds.World, data: Path, client: Client, change: dict[str, Any],
    asked_for: dict[str, Any], reason: str,
) -> None:  # fmt: skip
    send(data, world)
    row = services.run(ask(world, ALL | asked_for, **change))
    assert (row.state, row.reason) == (Dispersion.State.REFUSED, reason)
    assert dispersion_selectors.why(row) != reason
    client.force_login(world.users["dispatcher"])
    page = client.get(row.get_absolute_url()).content.decode()
    assert dispersion_selectors.why(row).split("：")[0] in page


def test_too_much_is_refused(
    world: worlds.World, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(data, world)
    monkeypatch.setattr(disperse, "SERIES", 8)
    assert services.run(ask(world)).reason == "large"


def test_a_run_can_be_cancelled(world: worlds.World, data: Path, client: Client) -> None:
    send(data, world)
    row = ask(world)
    client.force_login(world.users["dispatcher"])
    page = client.get(row.get_absolute_url()).content.decode()
    assert reverse("air:dispersion_cancel", args=[row.pk]) in page
    part = client.get(row.get_absolute_url(), headers={"HX-Request": "true"})
    assert "progress" in part.content.decode()
    assert client.post(reverse("air:dispersion_cancel", args=[row.pk])).status_code == 302
    row.refresh_from_db()
    assert row.state == Dispersion.State.CANCELLED
    assert "已取消" in client.get(row.get_absolute_url()).content.decode()
    # A run that is under way stops at its next hour and keeps nothing.
    again = ask(world)
    compute, _keep = services._computing(again)
    services.cancel(world.users["dispatcher"], again)
    services._unwanted.add(again.pk)
    try:
        with pytest.raises(services.CancelledError):
            compute()
    finally:
        services._unwanted.clear()
    assert not list((data / "air").glob("dispersion-*"))


def test_only_who_asked_or_the_city_cancels(world: worlds.World, client: Client) -> None:
    def posted(who: User, row: Dispersion) -> tuple[bool, int, str]:
        """Whether the page shows the button, what the server answers, and the state then."""
        client.force_login(who)
        address = reverse("air:dispersion_cancel", args=[row.pk])
        shown = address in client.get(row.get_absolute_url()).content.decode()
        status = client.post(address).status_code
        row.refresh_from_db()
        return shown, status, row.state

    def asked_by(who: User | None, hours: int) -> Dispersion:
        return services.ask(who, "a21026", END - timedelta(hours=hours), END, ALL | SO2)

    users, waiting = world.users, Dispersion.State.WAITING
    own, city, machine = (
        asked_by(u, n) for n, u in enumerate((users["district"], users["dispatcher"], None), 1)
    )
    for who in ("district_elsewhere", "auditor", "leader"):
        assert posted(users[who], own) == (False, 403, waiting)
    # A district gives up its own runs; those of the city and of the command line are not its business.
    for row in (city, machine):
        assert posted(users["district"], row) == (False, 403, waiting)
    assert posted(users["district"], own) == (True, 302, Dispersion.State.CANCELLED)
    for row in (machine, city):
        assert posted(users["dispatcher"], row) == (True, 302, Dispersion.State.CANCELLED)
    another = asked_by(users["district"], 4)
    assert posted(users["dispatcher"], another) == (True, 302, Dispersion.State.CANCELLED)
    # Who stands in for a colleague today gives up his runs, too.
    absent = asked_by(users["district"], 5)
    today = timezone.localdate()
    Substitution.objects.create(
        absent=users["district"],
        substitute=users["district_elsewhere"],
        begins=today,
        ends=today,
        reason="培训",
        made_by=users["admin"],
    )
    assert posted(users["district_elsewhere"], absent) == (True, 302, Dispersion.State.CANCELLED)


def test_the_form_looks_at_the_hours(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    page = client.get(reverse("air:disperse"), {"factor": "a34004", "start": "2026-11-19T08:00"})
    assert 'value="2026-11-19T08:00"' in page.content.decode()
    form = {"factor": "a21026", "period": "past", "which": "outlets", "weather": "stations"}
    for start, end, why in (
        ("", "", "请给出时间"),
        ("2026-11-20T08:00", "2026-11-20T08:00", "结束时间须"),
        ("2026-11-10T08:00", "2026-11-20T08:00", "72"),
        ("2026-11-20T08:00", "2026-11-20T14:00", "所选时段尚未结束"),
    ):
        answer = client.post(reverse("air:disperse"), form | {"start": start, "end": end})
        assert answer.status_code == 422
        assert why in answer.content.decode(), (start, end)
    assert "至少选择一个排放口" in answer.content.decode()
    assert not Dispersion.objects.exists()


def test_the_template_is_read(world: worlds.World) -> None:
    client = Client()
    client.force_login(world.users["dispatcher"])
    for language, first in (("zh-hans", "时间,风速,风向,气温,降水量,风向标准差"), ("en", "time,wind_speed,wind_direction,temperature,rain,sigma_theta")):  # fmt: skip
        address, about = reverse("air:weather_template"), {"accept-language": language}
        content = client.get(address, headers=about).getvalue()  # type: ignore[attr-defined]
        assert content.decode("utf-8-sig").splitlines()[0] == first
        found = weather_tables.read(content)
        assert len(found) == 3
        assert found[END - 24 * HOUR].sigma == 15
    twice = table(START, 1) + table(START, 1)[6:]
    with pytest.raises(weather_tables.TableError):
        weather_tables.read(twice)
    assert Point.objects.filter(kind="air_station").count() == 1


def test_the_command_computes_the_same(
    world: worlds.World, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    send(data, world)
    monkeypatch.setattr("django.setup", lambda: None)
    first, last = (START + 8 * HOUR).replace(tzinfo=None), (END + 8 * HOUR).replace(tzinfo=None)
    dispersion_commands.dispersion(first, last)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["hours"], told["outlets"]) == (4, 2)
    asked = services.run(ask(world))
    assert Path(told["field"]) == dispersion.place(asked.field)
    for change, code in (({"industry": "cement"}, 1), ({"factor": "x"}, 2), ({"industry": "x"}, 2)):
        with pytest.raises(typer.Exit) as refused:
            dispersion_commands.dispersion(first, last, **change)
        assert refused.value.exit_code == code
    with pytest.raises(typer.Exit):
        dispersion_commands.dispersion(last, first)
