"""Files of satellites handed in on the page and by the command line: looked at, imported whole, refused."""

from __future__ import annotations

import ast
import inspect
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import xarray
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import translation
from typer.testing import CliRunner

import world as worlds
from jingwei.analysis.air import satellite
from jingwei.analysis.air.field.tables import FieldError
from jingwei.bureau.air import hotgrid_commands, scenes
from jingwei.bureau.air import hotgrid_services as services
from jingwei.bureau.air.models import SatelliteScene
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry.models import Region

CITY = {
    "type": "Polygon",
    "coordinates": [[[116.0, 39.8], [116.4, 39.8], [116.4, 40.2], [116.0, 40.2], [116.0, 39.8]]],
}


@pytest.fixture
def world(db: None, settings: Any, tmp_path: Path) -> worlds.World:
    settings.MEDIA_ROOT = tmp_path / "files"
    made = worlds.build()
    Region.objects.filter(pk=made.region.pk).update(geometry=CITY)
    return made


def netcdf(
    place: Path, *, name: str = "no2", unit: str = "umol m-2", days: int = 3, cloudy: int = -1,
    dated: bool = True, value: float = 100.0,
) -> Path:  # fmt: skip
    """Columns of the days before today; on the day `cloudy` none can be used."""
    lon, lat = np.arange(115.6, 116.8, 0.04), np.arange(39.5, 40.6, 0.035)
    table = np.full((days, len(lat), len(lon)), value)
    if cloudy >= 0:
        table[cloudy] = np.nan
    first = datetime.now(UTC).replace(hour=5, minute=30, second=0, microsecond=0, tzinfo=None)
    times = np.datetime64(first - timedelta(days=days), "ns") + np.arange(days) * np.timedelta64(1, "D")  # fmt: skip
    coords: dict[str, Any] = {"lat": lat, "lon": lon} | ({"time": times} if dated else {})
    file = place / "columns.nc"
    xarray.Dataset(
        {name: (("time", "lat", "lon"), table, {"units": unit})}, coords=coords,
        attrs={"title": "Test columns"},
    ).to_netcdf(file, engine="scipy")  # fmt: skip
    return file


def handed(file: Path, **more: str) -> dict[str, Any]:
    return {"file": SimpleUploadedFile(file.name, file.read_bytes()), "do": "check"} | more


def page(world: worlds.World, role: str = "dispatcher") -> Client:
    client = Client()
    client.force_login(world.users[role])
    return client


URL = "/air/hotgrids/satellite/"


def test_a_file_is_looked_at_then_imported(world: worlds.World, tmp_path: Path) -> None:
    client = page(world)
    assert "还没有卫星数据" in client.get(URL).content.decode()
    looked = client.post(URL, handed(netcdf(tmp_path, cloudy=1)))
    assert looked.status_code == 200
    text = looked.content.decode()
    assert "导入 2 景" in text
    assert "没有覆盖本市任何网格" in text  # the cloudy day is named
    assert not SatelliteScene.objects.exists()
    key = looked.context["key"]
    written = client.post(URL, {"key": key, "do": "write", "time": "", "names": ""}, follow=True)
    assert written.redirect_chain == [(URL, 302)]
    text = written.content.decode()
    assert "已导入 2 景卫星数据" in text
    rows = SatelliteScene.objects.all()
    assert {(r.name, r.actor_id) for r in rows} == {("columns.nc", world.users["dispatcher"].pk)}
    for row in rows:
        assert row.sha256 == key
        assert EvidenceEntry.objects.get(pk=row.evidence_id).kind == "satellite"
        assert reverse("evidencelog:entry", args=[row.evidence_id]) in text
    assert not list((tmp_path / "files" / "handed").iterdir())  # what was imported is not held
    again = client.post(URL, {"key": key, "do": "write"})
    assert again.status_code == 422
    assert "请重新上传" in again.content.decode()
    known = client.post(URL, handed(netcdf(tmp_path, cloudy=1)))
    assert known.content.decode().count("此前已导入") == 2


def test_nothing_is_imported_by_halves(
    world: worlds.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = services.record, []

    def failing(*args: Any, **about: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise RuntimeError("the log is full")
        return real(*args, **about)

    monkeypatch.setattr(services, "record", failing)
    with pytest.raises(RuntimeError):
        services.take_scenes(netcdf(tmp_path))
    assert len(calls) == 3
    assert not SatelliteScene.objects.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "vcd"}, "没有找到 no2 or hcho（文件中有 vcd"),
        ({"unit": "K"}, "单位为“K”，应为柱浓度单位"),
        ({"unit": ""}, "no2 没有单位"),
        ({"dated": False, "days": 1}, "没有注明观测时间"),
        ({"value": 1e6}, "不可能是 NO2 柱浓度"),
    ],
)
def test_what_cannot_be_used_is_said(
    world: worlds.World, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    found = page(world).post(URL, handed(netcdf(tmp_path, **change), names="", time=""))
    assert found.status_code == 422
    assert said in found.content.decode()
    assert not SatelliteScene.objects.exists()
    assert not list((tmp_path / "files" / "handed").iterdir())


def test_what_the_file_does_not_say_is_given_by_hand(world: worlds.World, tmp_path: Path) -> None:
    client = page(world)
    file = netcdf(tmp_path, name="vcd", dated=False, days=1)
    more = {"names": "no2=vcd", "time": "2024-05-01T13:30"}
    looked = client.post(URL, handed(file, **more))
    assert "2024-05-01 13:30" in looked.content.decode()
    client.post(URL, {"key": looked.context["key"], "do": "write", **more})
    assert SatelliteScene.objects.get().taken == datetime(2024, 5, 1, 5, 30, tzinfo=UTC)
    wrong = client.post(URL, handed(file, names="no2:vcd"))
    assert "请按此格式填写" in wrong.content.decode()
    assert "no2:vcd" in wrong.content.decode()  # what was typed is kept
    none = client.post(URL, {"do": "check"})
    assert none.status_code == 422
    assert "请选择文件" in none.content.decode()


def test_a_file_that_is_too_large_is_refused(
    world: worlds.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "LARGEST", 1000)
    found = page(world).post(URL, handed(netcdf(tmp_path)))
    assert "文件超过 200 MB" in found.content.decode()
    monkeypatch.setattr(satellite, "UNPACKED", 1000)
    with pytest.raises(satellite.SceneError) as told:
        satellite.read(netcdf(tmp_path))
    assert told.value.code == "large"


def test_without_boundaries_it_says_so(world: worlds.World, tmp_path: Path) -> None:
    Region.objects.update(geometry=None)
    found = page(world).post(URL, handed(netcdf(tmp_path)))
    assert "边界" in found.content.decode()
    assert found.status_code == 422


def test_who_may_import(world: worlds.World, tmp_path: Path) -> None:
    for role in ("district", "auditor", "grid"):
        client = page(world, role)
        assert client.get(URL).status_code == 403
        assert client.post(URL, handed(netcdf(tmp_path))).status_code == 403
    text = page(world, "district").get(reverse("air:hotgrids")).content.decode()
    assert URL not in text
    assert URL in page(world).get(reverse("air:hotgrids")).content.decode()


def test_a_held_file_is_its_senders_and_goes_after_a_day(
    world: worlds.World, tmp_path: Path
) -> None:
    user, other = world.users["dispatcher"], world.users["district"]
    file = netcdf(tmp_path)
    key, path = scenes.hold(SimpleUploadedFile("../a b.nc", file.read_bytes()), user)
    assert path.name == "a_b.nc"
    assert scenes.held(key, user) == path
    assert scenes.held(key, other) is None
    for wrong in ("", "../" + key, key[:-1], key.upper() + "\n"):
        assert scenes.held(wrong, user) is None
    old = path.stat().st_mtime - scenes.HELD - 60
    os.utime(path.parent, (old, old))
    scenes.hold(SimpleUploadedFile("b.nc", b"other"), user)
    assert scenes.held(key, user) is None


def test_every_refusal_has_its_sentence() -> None:
    """All codes that the reader of files raises are told in Chinese, with all that they name."""
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(satellite)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SceneError"
    ]
    assert len(calls) >= 13
    for call in calls:
        codes = [c.value for c in ast.walk(call.args[0]) if isinstance(c, ast.Constant) and c.value]
        for code in codes:
            error = satellite.SceneError(
                code, "text", **{k.arg or "": "zzz" for k in call.keywords}
            )
            with translation.override("zh-hans"):
                said = scenes.refusal(error)
            with translation.override("en"):
                assert scenes.refusal(error) != said
            named = len(call.keywords) - (code == "no_unit")
            assert said.count("zzz") == named, code
    assert scenes.refusal(FieldError("said already")) == "said already"


def test_the_command_speaks_the_language_of_the_office(world: worlds.World, tmp_path: Path) -> None:
    def run(*args: str) -> Any:
        app = typer.Typer()
        hotgrid_commands.attach(app)
        return CliRunner().invoke(app, ["satellite", *args])

    good, bad = netcdf(tmp_path), tmp_path / "bad.nc"
    bad.write_text("no such thing")
    found = run(str(good), str(bad))
    assert found.exit_code == 1
    assert "bad.nc：不是可读取的 NetCDF 文件" in found.stderr
    assert found.stdout.count("个网格中的") == 3
    assert run(str(bad)).exit_code == 2
    wrong = run(str(good), "--name", "no2")
    assert wrong.exit_code == 2
    assert "格式为 键=名称" in wrong.stderr
    with translation.override("en"):
        assert "cannot be read as NetCDF" in run(str(bad)).stderr
