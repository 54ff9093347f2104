"""Samples and source apportionment in the room: handed in, asked, computed, shown, downloaded."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from openpyxl import Workbook

import world as worlds
from jingwei import hj212
from jingwei.analysis.air.apportion import own, tables
from jingwei.bureau.air import (
    apportion_forms,
    apportion_selectors,
    apportioning,
    checks,
    dispersion,
)
from jingwei.bureau.air import apportion_services as services
from jingwei.bureau.air.models import Apportionment, Dispersion, SampleSet, SourceProfile, State
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram

SPECIES = ("OC", "EC", "SO4", "NH4", "Fe", "Zn", "Mn", "Si", "PM2.5")
TRUE = np.array(
    [
        [0.0, 0.0, 7.3, 2.7, 0.0, 0.0, 0.0, 0.0, 10.0],
        [4.0, 3.0, 0.2, 0.0, 0.1, 0.0, 0.0, 0.1, 8.0],
        [0.3, 0.1, 0.1, 0.0, 3.0, 0.9, 0.5, 0.4, 6.0],
    ]
)
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
COUNT = 72


@pytest.fixture
def world(db: None) -> worlds.World:
    return worlds.build()


def mixed() -> tuple[np.ndarray, np.ndarray]:
    """Values and errors; the third source is there when the wind is from the west, every other half day."""
    random = np.random.default_rng(3)
    g = random.gamma(1.0, 1.0, (COUNT, 3))
    g[:, 0] *= random.random(COUNT) < 0.7
    g[:, 2] *= np.arange(COUNT) // 12 % 2
    values = g @ TRUE
    errors = 0.05 * values + 0.03
    return np.maximum(values + errors * random.normal(size=values.shape), 0.001), errors


def lines(values: np.ndarray, head: tuple[str, ...] = SPECIES) -> list[list[Any]]:
    local = timezone.localtime(FIRST).replace(tzinfo=None)
    times = [f"{local + timedelta(hours=h):%Y-%m-%d %H:%M}" for h in range(len(values))]
    return [
        ["时间", *head],
        *([t, *map(str, r)] for t, r in zip(times, values.tolist(), strict=True)),
    ]


def file(name: str, rows: list[list[Any]]) -> SimpleUploadedFile:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return SimpleUploadedFile(name, text.getvalue().encode("utf-8-sig"))


def handed(client: Client, con: list[list[Any]], unc: list[list[Any]], **more: Any) -> Any:
    return client.post(
        reverse("air:samples_new"),
        {"name": "一月组分", "unit": "µg/m³", "hours": "1", "concentrations": file("con.csv", con),
         "uncertainties": file("unc.csv", unc), **more},
    )  # fmt: skip


def samples(world: worlds.World, station: bool = False) -> SampleSet:
    values, errors = mixed()
    table = tables.parse(list(enumerate(lines(values), 1)), list(enumerate(lines(errors), 1)))
    row, new = services.keep_samples(
        table, name="组分", hours=1.0, station=world.station if station else None
    )
    assert new
    return row


def wanted(**more: Any) -> dict[str, Any]:
    use = dict.fromkeys(SPECIES, "good") | {"PM2.5": "total"}
    return {
        "use": use,
        "factors": [2, 3, 4],
        "robust": False,
        "forbidden": [],
        "balance": [],
        **more,
    }


def blow(data: Any, world: worlds.World) -> None:
    """West wind in every other half day, else east, from a day before the samples on."""
    telegrams = []
    for h in range(-24, COUNT):
        time = FIRST + timedelta(hours=h)
        west = h // 12 % 2
        items = [
            ("a01007", {"Avg": "2.5", "Flag": "N"}),
            ("a01008", {"Avg": "268" if west else "92", "Flag": "N"}),
        ]
        p = world.station
        segment = hj212.segment(
            cn="2061", st=p.st, mn=p.mn, pw=p.password, qn=hj212.qn(time), flag=5,
            cp=hj212.data_cp(time, items),
        )  # fmt: skip
        telegrams.append(
            Telegram(FIRST + timedelta(days=9), "192.0.2.7:4000", hj212.frame(segment))
        )
    journal, ingest = Journal(data / "journal"), Ingest(data / "journal", data / "lake")
    journal.append(telegrams)
    while ingest.step(10_000).telegrams:
        pass
    ingest.close()
    journal.close()


def test_samples_are_handed_in_asked_and_answered(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    assert client.get(reverse("air:samples_new")).status_code == 200
    values, errors = mixed()
    answer = handed(client, lines(values), lines(errors))
    row = SampleSet.objects.get()
    assert answer.status_code == 302
    assert answer.url == row.get_absolute_url()
    entry = EvidenceEntry.objects.get(pk=row.evidence_id)
    assert (entry.kind, entry.subject) == ("samples", f"samples:{row.pk}")
    assert handed(client, lines(values), lines(errors)).status_code == 302
    assert SampleSet.objects.count() == 1  # the same samples once
    page = client.get(row.get_absolute_url()).content.decode()
    assert "PM2.5" in page
    form = {f"use_{j}": "good" for j in range(8)} | {"use_8": "total"}
    asked = client.post(
        reverse("air:samples_ask", args=[row.pk]),
        {
            **form,
            "low": 3,
            "high": 3,
            "both": "on",
            "balance": ["Ammonium sulfate", "Iron and Steel Production"],
        },
    )
    run = Apportionment.objects.get()
    assert asked.url == run.get_absolute_url()
    assert "data-print" not in client.get(run.get_absolute_url()).content.decode()
    services.run_now(run)
    run.refresh_from_db()
    assert run.state == State.DONE
    assert (run.result["chosen"], run.result["total"]) == (3, "PM2.5")
    means = sorted(f["mean"] for f in run.result["factors"])
    true = sorted((mixed()[0][:, 8].mean() * np.array([1.0])).tolist())
    assert sum(means) == pytest.approx(true[0], rel=0.05)
    names = {f["name"]["source"] for f in run.result["factors"]}
    assert "Ammonium sulfate" in names
    both = run.result["both"]
    for a, columns in enumerate(both["at"]):
        assert columns[2] == 8  # the total
        for j, low, high in zip(columns, both["low"][a], both["high"][a], strict=True):
            moved = run.result["displacement"]
            assert low <= moved["low"][a][j] * 1.05
            assert high >= moved["high"][a][j] * 0.95
    page = client.get(run.get_absolute_url()).content.decode()
    assert "硫酸铵" in page
    assert page.count("<br>BS-DISP") == 3 + 9  # of the amounts, and of three species of each factor
    for table in ("contributions", "profiles", "numbers", "bootstrap", "cycles", "balance", "map"):
        told = client.get(reverse("air:apportionment_csv", args=[run.pk]), {"table": table})
        assert told.status_code == 200
        rows = list(csv.reader(io.StringIO(b"".join(told.streaming_content).decode("utf-8-sig"))))
        assert len(rows) == {
            "contributions": 73, "profiles": 28, "numbers": 2, "bootstrap": 4,
            "cycles": 1 + 3 * (7 + 4 + 24), "balance": 73, "map": 1,
        }[table]  # fmt: skip
    assert client.get(reverse("air:apportion")).status_code == 200
    assert list(checks.check()) == []
    run.result["factors"][0]["mean"] = 1e9
    run.save()
    assert any("source apportionment" in p for p in checks.check())


def test_the_number_of_factors_that_was_put_in_is_proposed(world: worlds.World) -> None:
    run = services.run_now(services.ask(samples(world), wanted()))
    assert run.state == State.DONE, run.reason
    assert run.result["chosen"] == 3
    assert run.result["why"] == ["stable", "bend"]
    assert run.result["displacement"]["swaps"] == 0
    mapped = np.array(run.result["bootstrap"]["mapped"])
    assert (np.diag(mapped[:, :3]) > 80).all()
    shares = sorted(f["share"] for f in run.result["factors"])
    true = mixed()[0][:, 8]
    assert len(true) == COUNT
    for f in run.result["factors"]:
        assert f["low"] <= f["mean"] <= f["high"]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)


def test_the_source_lies_where_its_wind_blows_from(world: worlds.World, data: Any) -> None:
    blow(data, world)
    run = services.run_now(services.ask(samples(world, station=True), wanted(factors=[3])))
    assert run.state == State.DONE, run.reason
    iron = next(
        a for a, p in enumerate(run.result["profiles"]) if max(range(8), key=lambda j: p[j]) == 4
    )
    wind = run.result["wind"]
    cpf = wind["sectors"][iron]["cpf"]
    count = len(cpf)
    assert cpf[3 * count // 4] > 0.4  # west
    assert cpf[count // 4] == 0  # east
    here = world.station.longitude
    cells = [(c[0], c[5][iron], c[4]) for c in wind["cells"]]
    west = max(p for w, p, _n in cells if w < here - 0.2)
    east = max(p for w, p, _n in cells if w > here + 0.2)
    assert west > 0.3  # all of the west has 0.5, less where few ways passed
    assert east < 0.7 * west  # ways turn back with the wind, and so reach the other side too


def gridded(
    world: worlds.World, hours: Any, south: Any, east: float = 0.0, name: str = "v10"
) -> tuple[str, Path]:
    """A file of weather with this wind from the south in these hours after `FIRST`, 2 degrees around a
    place `east` degrees of the station: its SHA-256 and where it lies."""
    xarray = pytest.importorskip("xarray")
    dims = ("time", "latitude", "longitude")
    v = np.asarray(south)[:, None, None] * np.ones((1, 9, 9))
    place = world.station
    book = io.BytesIO()
    xarray.Dataset(
        {"u10": (dims, 0 * v, {"units": "m s-1"}), name: (dims, v, {"units": "m s-1"})},
        coords={
            "time": np.datetime64(FIRST.replace(tzinfo=None), "ns") + hours * np.timedelta64(3600, "s"),
            "latitude": place.latitude + np.linspace(-2, 2, 9),
            "longitude": place.longitude + east + np.linspace(-2, 2, 9),
        },
    ).to_netcdf(book, engine="h5netcdf")  # fmt: skip
    content = book.getvalue()
    mark = hashlib.sha256(content).hexdigest()
    target = dispersion.weather_place(mark)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return mark, target


def directions(row: SampleSet, mark: str, amounts: list[list[float | None]]) -> tuple[Any, str]:
    """What is told of the ways through a file with these contributions, and in words."""
    run = Apportionment(samples=row, wanted=wanted(wind={"file": mark}))
    told = apportioning._directions(apportioning.question(run), amounts)
    run.result = {"wind": told}
    return told, " ".join(apportion_selectors.wind_said(run))


def test_why_a_gridded_file_gives_no_map(world: worlds.World) -> None:
    """What is wrong with the file, and which hours or area it has."""
    row = samples(world, station=True)
    amounts: list[list[float | None]] = [[1.0 + h % 5] for h in range(COUNT)]
    all_hours = np.arange(-30, COUNT + 1)

    def said(hours: Any, **about: Any) -> str:
        told, words = directions(row, gridded(world, hours, np.full(len(hours), 2.0), **about)[0], amounts)  # fmt: skip
        assert told["cells"] == []
        return words

    good = directions(row, gridded(world, all_hours, np.full(len(all_hours), 2.0))[0], amounts)
    assert good[0]["cells"]
    assert "未绘源区图" not in good[1]
    # A file whose wind has no known name: which, and what the file has.
    words = said(all_hours, name="wind")
    assert "网格气象文件无法使用" in words
    assert "u10" in words
    # Hours of the file, local time: it begins a month later.
    begun = timezone.localtime(FIRST + timedelta(days=30))
    assert f"仅覆盖 {begun:%Y-%m-%d %H:%M} – {begun + timedelta(hours=40):%Y-%m-%d %H:%M}" in said(np.arange(720, 761))  # fmt: skip
    # The area of the file, and that the station is not in it.
    words = said(all_hours, east=5.0)
    assert "监测点在网格气象文件范围之外" in words
    assert f"{world.station.longitude + 3:.1f}" in words


def test_what_lies_outside_is_of_the_ways_that_are_shown(world: worlds.World) -> None:
    """A gale blows the first day and a half out of the file's area, then the air hardly moves."""
    row = samples(world, station=True)
    hours = np.arange(-30, COUNT + 1)
    mark, _target = gridded(world, hours, np.where(hours < 24, 30.0, 0.5))
    calm: list[list[float | None]] = [[1.0 + h % 5 if h >= 47 else None] for h in range(COUNT)]
    every: list[list[float | None]] = [[1.0 + h % 5] for h in range(COUNT)]
    told, _words = directions(row, mark, calm)
    assert told["outside"] < 0.05
    whole, _words = directions(row, mark, every)
    assert whole["ways"] > told["ways"] >= 24
    assert whole["outside"] > 0.3


def test_the_ways_follow_a_gridded_file_where_it_is_chosen(
    world: worlds.World, client: Client
) -> None:
    """No station sends wind; the file has a fresh south wind when the third source is there, else a light
    north wind."""
    hours = np.arange(-30, COUNT + 1)
    place = world.station
    mark, target = gridded(world, hours, np.where(hours // 12 % 2, 4.0, -1.0))
    Dispersion.objects.create(
        factor="a21026", start=FIRST, end=FIRST + timedelta(hours=4), weather=mark,
        asked_for={"weather": "grid"}, state=Dispersion.State.DONE,
    )  # fmt: skip
    row = samples(world, station=True)
    client.force_login(world.users["dispatcher"])
    assert mark[:8] in client.get(row.get_absolute_url()).content.decode()
    form = {f"use_{j}": "good" for j in range(8)} | {"use_8": "total", "low": 3, "high": 3}
    assert client.post(reverse("air:samples_ask", args=[row.pk]), form | {"wind": mark}).status_code == 302  # fmt: skip
    run = services.run_now(Apportionment.objects.get())
    assert run.state == State.DONE, run.reason
    iron = next(
        a for a, p in enumerate(run.result["profiles"]) if max(range(8), key=lambda j: p[j]) == 4
    )
    cells = [(c[1], c[5][iron]) for c in run.result["wind"]["cells"]]
    below = max((p for s, p in cells if s < place.latitude - 0.2), default=0.0)
    above = max((p for s, p in cells if s > place.latitude + 0.2), default=0.0)
    assert below > 0.1
    assert above < 0.5 * below
    assert "网格气象" in client.get(run.get_absolute_url()).content.decode()
    target.unlink()
    lost = services.run_now(services.ask(row, run.wanted | {"factors": [2]}))
    assert lost.state == State.REFUSED
    assert "网格气象文件已不存在" in client.get(lost.get_absolute_url()).content.decode()


def test_constraints_hold_in_the_resamples_too(world: worlds.World) -> None:
    run = services.run_now(
        services.ask(samples(world), wanted(factors=[3], forbidden=[["Fe", "Zn"]]))
    )
    assert run.state == State.DONE, run.reason
    forbidden = run.result["forbidden"]
    assert sum(map(sum, forbidden)) == 2
    for a, row in enumerate(forbidden):
        for j, no in enumerate(row):
            if no:
                assert run.result["profiles"][a][j] == 0
                assert run.result["bootstrap"]["high"][a][j] == 0
                assert run.result["displacement"]["high"][a][j] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda con, unc: con[5].__setitem__(2, "很多"), "第 6 行，EC：“很多”"),
        (lambda con, unc: unc[3].__setitem__(1, "0"), "不确定度"),
        (lambda con, unc: con[4].__setitem__(0, "昨天"), "第 5 行"),
        (lambda con, unc: con[4].__setitem__(0, con[3][0]), "时间相同"),
        (lambda con, unc: unc[0].__setitem__(2, "Pb"), "表头"),
        (lambda con, unc: unc.pop(), "行"),
        (lambda con, unc: con[0].__setitem__(2, "EC (ppb)"), "ppb"),
        (lambda con, unc: con[7].__setitem__(3, "未检出"), "检出限"),
        (lambda con, unc: con.__delitem__(slice(10, None)), "至少"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    world: worlds.World, client: Client, change: Any, words: str
) -> None:
    client.force_login(world.users["dispatcher"])
    values, errors = mixed()
    con, unc = lines(values), lines(errors)
    change(con, unc)
    answer = handed(client, con, unc, source="检测中心")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert words in page
    assert "检测中心" in page  # what was typed is still there
    assert not SampleSet.objects.exists()


def test_a_workbook_with_limits_of_detection(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    values, _errors = mixed()
    con = lines(values)
    con[3][1], con[4][1], con[5][5] = "<0.1", "0.1L", "ND"
    book = Workbook()
    for row in con:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    limits = [con[0], ["MDL", *[0.05] * 9], ["EF", *[10] * 9]]
    answer = client.post(
        reverse("air:samples_new"),
        {"name": "表", "unit": "µg/m³", "hours": "24",
         "concentrations": SimpleUploadedFile("a.xlsx", out.getvalue()),
         "uncertainties": file("b.csv", limits)},
    )  # fmt: skip
    assert answer.status_code == 302
    table = SampleSet.objects.get().table
    assert table["values"][2][0] == pytest.approx(0.05)
    assert table["values"][4][4] == pytest.approx(0.025)
    assert table["errors"][4][4] == pytest.approx(0.05 * 5 / 6)
    value = table["values"][10][2]
    assert table["errors"][10][2] == pytest.approx(((0.1 * value) ** 2 + 0.025**2) ** 0.5)
    assert len(table["below"]) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low": 5, "high": 3}, "小于"),
        ({"low": 3, "high": 9}, "最多"),
        ({"forbidden": "Ni"}, "Ni"),
        ({f"use_{j}": "bad" for j in range(7)}, "至少"),
        ({"use_0": "total"}, "总量"),
    ],
)
def test_what_cannot_be_asked_is_said(
    world: worlds.World, client: Client, change: dict[str, Any], words: str
) -> None:
    client.force_login(world.users["dispatcher"])
    row = samples(world)
    form = {f"use_{j}": "good" for j in range(8)} | {"use_8": "total", "low": 3, "high": 4}
    answer = client.post(reverse("air:samples_ask", args=[row.pk]), form | change)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Apportionment.objects.exists()


def test_displacement_in_resamples_counts_as_work(
    world: worlds.World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apportion_forms, "WORK", COUNT * 9 * 9 * 4**2)
    client.force_login(world.users["dispatcher"])
    url = reverse("air:samples_ask", args=[samples(world).pk])
    form = {f"use_{j}": "good" for j in range(8)} | {"use_8": "total", "low": 3, "high": 4}
    answer = client.post(url, form | {"both": "on"})
    assert answer.status_code == 422
    assert "BS-DISP 计算将超过" in answer.content.decode()
    assert client.post(url, form).status_code == 302
    assert Apportionment.objects.get().wanted["both"] is False


def test_the_worker_computes_and_says_how_far_it_is(
    world: worlds.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = services.ask(samples(world), wanted(factors=[3]))
    assert services.ask(row.samples, wanted(factors=[3])).pk == row.pk
    for k in (4, 5):
        services.ask(row.samples, wanted(factors=[k]))
    with pytest.raises(services.BusyError):
        services.ask(row.samples, wanted(factors=[6]))
    for _round in range(2_000):
        services.work(timezone.now())
        row.refresh_from_db()
        if row.state != State.WAITING:
            break
    assert row.state == State.DONE
    while services._beside.job is not None or Apportionment.objects.filter(state=State.WAITING):
        services.work(timezone.now())


def test_who_may_not_ask_may_look(world: worlds.World, client: Client) -> None:
    row = samples(world)
    run = services.run_now(services.ask(row, wanted(factors=[3])))
    client.force_login(world.users["auditor"])
    for url in (reverse("air:apportion"), row.get_absolute_url(), run.get_absolute_url()):
        page = client.get(url)
        assert page.status_code == 200
        assert reverse("air:samples_ask", args=[row.pk]) not in page.content.decode() or url == row.get_absolute_url()  # fmt: skip
    assert client.get(reverse("air:samples_new")).status_code == 403
    assert client.post(reverse("air:samples_ask", args=[row.pk])).status_code == 403


PROFILE = [
    ["源类", "组分", "质量分数", "不确定度"],
    *([["本市烧结厂", s, v, e] for s, v, e in zip(
        ("OC", "EC", "SO4", "Fe", "Zn", "Mn", "Si"), (0.05, 0.017, 0.017, 0.5, 0.15, 0.083, 0.067),
        (0.01, 0.004, 0.004, 0.05, 0.02, 0.01, 0.01), strict=True)]),
]  # fmt: skip


def test_own_profiles_are_handed_in_used_and_withdrawn(world: worlds.World, client: Client) -> None:
    client.force_login(world.users["dispatcher"])
    url = reverse("air:profiles")
    assert "尚无本地源谱" in client.get(url).content.decode()
    given = {"unit": "fraction", "origin": "市监测站 2025 年采样"}
    wrong = [*PROFILE, ["本市烧结厂", "Pb", "很多", "0.1"], ["燃煤", "Pb", "0.1", ""]]
    answer = client.post(reverse("air:profiles_new"), given | {"table": file("p.csv", wrong)})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "第 9 行，Pb：“很多”不是质量分数" in page
    assert "第 10 行，Pb：不确定度为" in page
    assert "市监测站 2025 年采样" in page
    assert not SourceProfile.objects.exists()
    answer = client.post(reverse("air:profiles_new"), given | {"table": file("p.csv", PROFILE)})
    assert answer.status_code == 302
    row = SourceProfile.objects.get()
    page = client.get(url).content.decode()
    assert "市监测站 2025 年采样" in page
    assert EvidenceEntry.objects.get(pk=row.evidence_id).subject == f"profile:{row.pk}"
    again = client.post(reverse("air:profiles_new"), given | {"table": file("p.csv", PROFILE)})
    assert "已有名为“本市烧结厂”的源谱" in again.content.decode()
    told = b"".join(client.get(reverse("air:profiles_csv")).streaming_content).decode("utf-8-sig")
    assert told.splitlines()[0] == "源类,组分,质量分数,不确定度,测定单位与来源"
    assert told.splitlines()[4] == "本市烧结厂,Fe,0.5,0.05,市监测站 2025 年采样"
    # As it is exported, it can be read again, in either language.
    english = client.get(reverse("air:profiles_csv"), headers={"accept-language": "en"})
    plain = b"".join(english.streaming_content).decode("utf-8-sig")
    assert plain.splitlines()[0] == "source,species,fraction,uncertainty,Measured by"
    for text in (told, plain):
        (one,) = own.parse(list(enumerate(csv.reader(text.splitlines()), 1)), "fraction")
        assert one.source == "本市烧结厂"
        assert one.rows[3] == ("Fe", 0.5, 0.05)
    # Used for names and offered for CMB.
    kept = samples(world)
    assert "本市烧结厂" in client.get(kept.get_absolute_url()).content.decode()
    form = {f"use_{j}": "good" for j in range(8)} | {"use_8": "total", "low": 3, "high": 3}
    client.post(
        reverse("air:samples_ask", args=[kept.pk]),
        form | {"balance": ["本市烧结厂", "Ammonium sulfate"]},
    )
    run = services.run_now(Apportionment.objects.get())
    assert run.state == State.DONE, run.reason
    assert "本市烧结厂" in {f["name"]["source"] for f in run.result["factors"]}
    page = client.get(run.get_absolute_url()).content.decode()
    assert page.count(">本地源谱<") == 2  # of the factor and of CMB
    assert "除公开源谱外还使用了本地源谱：本市烧结厂" in page
    assert list(checks.check()) == []
    # Withdrawn it is offered no more, and the run stays as it was.
    assert client.post(reverse("air:profile_withdraw", args=[row.pk])).status_code == 302
    assert "本市烧结厂" not in client.get(url).content.decode()
    assert "本市烧结厂" in client.get(run.get_absolute_url()).content.decode()
    form = form | {"balance": ["本市烧结厂"]}
    assert client.post(reverse("air:samples_ask", args=[kept.pk]), form).status_code == 422
    assert client.post(reverse("air:profile_withdraw", args=[row.pk])).status_code == 404
    SourceProfile.objects.update(rows=[["Fe", 0.9, 0.1]])
    assert any("source profile" in p for p in checks.check())
    client.force_login(world.users["auditor"])
    assert reverse("air:profiles_new") not in client.get(url).content.decode()
    assert client.post(reverse("air:profiles_new"), given).status_code == 403
